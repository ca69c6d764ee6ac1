"""TF-IDF of texts, by words and by the letters within them, in few dimensions.

Words alone, as in the paper, know no misspelt word; groups of three and four letters do. Truncated SVD (latent semantic
analysis, Deerwester et al. 1990) makes vectors of both that a nearest-neighbour index can hold.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_matrix, hstack
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from jobs.embeddings.text_encoders import TextEncoder
from jobs.embeddings.text_versions import KINDS
from jobs.platform.errors import JobError

DIMENSIONS = 256
#: Of the words, and of the groups of letters: how they are counted, and how much they weigh.
ANALYZERS = (({"analyzer": "word"}, 1.0), ({"analyzer": "char_wb", "ngram_range": (3, 4)}, 0.5))
#: Words and groups of letters kept at most, each; texts that the dimensions are fitted on.
MAX_FEATURES, MAX_FIT_TEXTS = 20_000, 20_000
_NUMBERS, _VOCABULARY = "tfidf.safetensors", "vocabulary.json"


@dataclass(frozen=True)
class Tfidf:
    """A fitted TF-IDF: its vectorizers, and the components [d, features] of its dimensions."""

    vectorizers: tuple[TfidfVectorizer, ...]
    components: np.ndarray

    def embed(self, texts: list[str]) -> np.ndarray:
        """Texts as float32 [n, d]; zeros where no word and no letters are known."""
        return (_weights(self.vectorizers, texts) @ self._by_feature).astype(np.float32)

    @cached_property
    def _by_feature(self) -> np.ndarray:
        """The components as [features, d] in this order in memory, or each product would copy them first."""
        return np.ascontiguousarray(self.components.T)

    def encoder(self) -> TextEncoder:
        digest = hashlib.sha256(json.dumps(self._vocabularies()).encode())
        for numbers in (*(v.idf_ for v in self.vectorizers), self.components):
            digest.update(np.ascontiguousarray(numbers).tobytes())
        return TextEncoder(KINDS["tfidf"], digest.hexdigest(), len(self.components), self.embed)

    def _vocabularies(self) -> list[list[str]]:
        return [v.get_feature_names_out().tolist() for v in self.vectorizers]

    def save(self, folder: Path) -> None:
        idf = {f"idf_{n}": v.idf_ for n, v in enumerate(self.vectorizers)}
        save_file({**idf, "components": np.ascontiguousarray(self.components)}, folder / _NUMBERS)
        (folder / _VOCABULARY).write_text(json.dumps(self._vocabularies()))


def fit(texts: list[str], seed: int) -> Tfidf:
    """Fit on distinct texts. Same texts and seed, same vectors. Raises JobError where they hold too few words."""
    vectorizers = tuple(_vectorizer(options) for options, _ in ANALYZERS)
    try:
        for vectorizer in vectorizers:
            vectorizer.fit(texts)
    except ValueError as error:
        raise JobError(f"text encoder tfidf: {len(texts):,} texts of articles: {error}") from None
    if len(texts) > MAX_FIT_TEXTS:
        rows = np.sort(np.random.default_rng(seed).choice(len(texts), MAX_FIT_TEXTS, replace=False))
        texts = [texts[row] for row in rows]
    weights = _weights(vectorizers, texts)
    dimensions = min(DIMENSIONS, weights.shape[1] - 1, max(len(texts) - 1, 1))
    svd = TruncatedSVD(dimensions, random_state=seed).fit(weights)
    return Tfidf(vectorizers, svd.components_.astype(np.float32))


def load(folder: Path) -> Tfidf:
    """What `save` wrote."""
    numbers = load_file(folder / _NUMBERS)
    vectorizers = []
    for n, words in enumerate(json.loads((folder / _VOCABULARY).read_text())):
        vectorizers.append(_vectorizer(ANALYZERS[n][0] | {"vocabulary": words}))
        vectorizers[n].idf_ = numbers[f"idf_{n}"]
    return Tfidf(tuple(vectorizers), numbers["components"])


def _vectorizer(options: dict) -> TfidfVectorizer:
    return TfidfVectorizer(sublinear_tf=True, max_features=MAX_FEATURES, dtype=np.float32, **options)


def _weights(vectorizers: tuple[TfidfVectorizer, ...], texts: list[str]) -> csr_matrix:
    parts = zip(vectorizers, ANALYZERS, strict=True)
    return hstack([vectorizer.transform(texts) * weight for vectorizer, (_, weight) in parts], format="csr")
