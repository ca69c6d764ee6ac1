"""Keywords of short texts: TF-IDF over phrases that neither a stop word nor punctuation interrupts, or YAKE."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import stopwordsiso
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer

from jobs.platform.errors import JobError

#: Keywords of a text, and words of a keyword, at most.
KEYWORDS, WORDS = 10, 3
#: Words that lists of stop words have, and that tell garments apart.
GARMENT_WORDS = {
    "en": frozenset(
        (
            "back",
            "bottom",
            "front",
            "full",
            "high",
            "length",
            "long",
            "low",
            "open",
            "round",
            "side",
            "sides",
            "small",
            "top",
        )
    )
}
#: Languages that do not put spaces between words.
UNSPACED = frozenset(("ja", "th", "zh"))
_TOKEN = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*|\S")

#: Keywords of a text with their scores, the most telling first.
Scored = list[tuple[str, float]]


class Extractor(Protocol):
    """Finds the keywords of texts."""

    def __call__(self, texts: Sequence[str]) -> list[Scored]: ...


def stop_words(language: str) -> frozenset[str]:
    """Words of a language (ISO 639-1) that say nothing by themselves; raises JobError for one that has no list."""
    spaced = sorted(stopwordsiso.langs() - UNSPACED)
    if language not in spaced:
        raise JobError(f"language {language!r}: no stop words for it; those there are: {', '.join(spaced)}")
    return frozenset(stopwordsiso.stopwords(language)) - GARMENT_WORDS.get(language, frozenset())


@dataclass(frozen=True)
class Phrases:
    """All phrases of one to three words of a text, in the order they stand there.

    Candidates are found as in RAKE (Rose, Engel, Cramer and Cowley, Automatic keyword extraction from individual
    documents, 2010): within runs of words between stop words, numbers and punctuation.
    """

    stop: frozenset[str]

    def __call__(self, text: str) -> list[str]:
        runs: list[list[str]] = [[]]
        for token in _TOKEN.findall(unicodedata.normalize("NFKC", text).lower()):
            if len(token) > 1 and token not in self.stop and not any(map(str.isdigit, token)):
                runs[-1].append(token)
            elif runs[-1]:
                runs.append([])
        return [
            " ".join(run[start : start + size])
            for run in runs
            for size in range(1, WORDS + 1)
            for start in range(len(run) - size + 1)
        ]


def by_tfidf(texts: Sequence[str], stop: frozenset[str]) -> list[Scored]:
    """Phrases by TF-IDF among these texts, which should be distinct: copies make what they share look common.

    A phrase of several words counts if two texts have it, or it is chance that the words met. Of phrases that hold one
    another a text keeps the most telling, of equal ones the longest.
    """
    vectoriser = CountVectorizer(analyzer=Phrases(stop))
    try:
        counts = vectoriser.fit_transform(texts)
    except ValueError:  # not one word in all of the texts
        return [[] for _ in texts]
    phrases = vectoriser.get_feature_names_out()
    is_word = np.array([" " not in phrase for phrase in phrases])
    is_kept = is_word | (np.bincount(counts.indices, minlength=len(phrases)) > 1)
    phrases, weights = phrases[is_kept], TfidfTransformer().fit_transform(counts[:, is_kept])
    row = np.repeat(np.arange(len(texts)), np.diff(weights.indptr))
    words = np.array([phrase.count(" ") for phrase in phrases])
    order = np.lexsort((weights.indices, -words[weights.indices], -weights.data, row))
    found: list[Scored] = [[] for _ in texts]
    candidates = zip(row[order].tolist(), phrases[weights.indices[order]], weights.data[order].tolist(), strict=True)
    for text, phrase, score in candidates:
        kept = found[text]
        if len(kept) < KEYWORDS and not any(_holds(phrase, other) or _holds(other, phrase) for other, _ in kept):
            kept.append((str(phrase), score))
    return found


def _holds(phrase: str, other: str) -> bool:
    return f" {other} " in f" {phrase} "


def by_yake(texts: Sequence[str], stop: frozenset[str], language: str) -> list[Scored]:
    """Keywords by YAKE (Campos et al., Information Sciences 509, 2020), each text by itself; low scores say most.

    Raises JobError where the package, which Atelier does not bring, is not installed.
    """
    try:
        from yake import KeywordExtractor
    except ModuleNotFoundError as error:
        raise JobError(
            "keyword-method yake: the package yake is not installed; its licence is GPL-3.0, so it is yours to decide:"
            " `.venv/jobs/bin/python -m pip install yake`, or keyword-method tfidf"
        ) from error
    extractor = KeywordExtractor(lan=language, n=WORDS, top=KEYWORDS, stopwords=set(stop))
    return [[(word.lower(), float(score)) for word, score in extractor.extract_keywords(text)] for text in texts]
