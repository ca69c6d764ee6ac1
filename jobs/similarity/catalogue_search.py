"""Search of the catalogue by words, by a picture, or by both, for whoever asks more than once.

Networks' libraries, which take seconds to import and hundreds of megabytes, are imported by who asks with a picture or
in the joint space; words alone do without.

`CatalogueSearch.load` reads vectors and weights once; a search then takes milliseconds: the vectors are scanned whole,
which is exact, and at a hundred thousand articles no slower than what makes the question a vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.embeddings import text_fitting
from jobs.embeddings.decode import open_rgb
from jobs.embeddings.text_encoders import TextEncoder, unit
from jobs.platform.errors import JobError
from jobs.platform.settings import Settings
from jobs.similarity.fusion import fuse
from jobs.similarity.methods import METHODS, Method, parts_of
from jobs.similarity.spelling import Speller, catalogue_words
from jobs.similarity.vectors import (
    Read,
    Vectors,
    comparable,
    encoder_of,
    heads_of,
    load_vectors,
    text_encoder_of,
)

if TYPE_CHECKING:
    from jobs.embeddings.encoders import Encoder
    from jobs.embeddings.reduction import Reduction
    from lightning_modules.joint_heads import JointHeads

MOST = 100
#: Characters of a question that are looked at: far more than any encoder reads.
MAX_TEXT = 10_000


@dataclass(frozen=True)
class Hit:
    """One article found: its id, and its score by the method (cosine, distance, or fused ranks)."""

    article_id: str
    score: float


class Part:
    """Vectors of one method, and what brings a question among them; encoders are opened when they are first needed.

    Args:
        method: that compares vectors; a method that fuses others has a part of each.
        settings: with the encoders that the method's vectors are made by.
        vectors: the articles'.
        text_encoders: those opened so far, by name, of all parts.
        threads: cores that a text encoder uses; 0: all.
    """

    def __init__(
        self, method: Method, settings: Settings, vectors: Vectors, text_encoders: dict[str, TextEncoder], threads: int
    ) -> None:
        self.method, self.settings, self.text_encoders, self.threads = method, settings, text_encoders, threads
        self.values = unit(vectors.values) if method.metric == "cosine" else vectors.values
        self.vectors = replace(vectors, values=self.values)  # not both: a catalogue's are hundreds of megabytes
        self.norms = (self.values**2).sum(axis=1) if method.metric == "euclidean" else np.zeros(1, np.float32)

    @cached_property
    def image_encoder(self) -> tuple[Encoder, Reduction]:
        from jobs.embeddings import encoder_fitting

        return encoder_fitting.load(encoder_of(self.settings), self.settings)

    @property
    def text_encoder(self) -> TextEncoder:
        name = self.settings.text_encoder
        if name not in self.text_encoders:
            self.text_encoders[name] = text_fitting.load(text_encoder_of(self.settings), self.settings, self.threads)
        return self.text_encoders[name]

    @cached_property
    def heads(self) -> JointHeads:
        return heads_of(self.settings).heads

    def of_image(self, content: bytes) -> np.ndarray:
        """A picture, the content of a file, as a vector [d] among this part's; JobError when it is none."""
        import torch

        from jobs.embeddings.stream import features_of

        encoder, pca = self.image_encoder
        try:
            image, _ = open_rgb(content, encoder.at_least)
        except ValueError as error:
            raise JobError(f"image: {error}") from None
        pixels = torch.from_numpy(np.array(encoder.prepare(image)))[None]
        dimensions = min(self.settings.embedding_dim, len(pca.components))
        vector = pca.apply(features_of(encoder, pixels).numpy(), dimensions)
        if not self.method.is_joint:
            return comparable(vector, self.method.metric, pca)[0]
        with torch.inference_mode():
            return self.heads.image_head(torch.from_numpy(vector)).numpy()[0]

    def of_text(self, vector: np.ndarray) -> np.ndarray:
        """A text, as its encoder's vector [1, dt], as a vector [d] among this part's."""
        if self.method.is_joint:
            import torch

            with torch.inference_mode():
                return self.heads.text_head(torch.from_numpy(vector)).numpy()[0]
        if self.method.side == "text":
            return vector[0]
        return self.image_encoder[1].coordinates(vector, self.values.shape[1] - 1)[0]

    def best(self, query: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the k articles nearest to a vector [d], the best first, and their scores; none where it is zero."""
        if self.method.metric == "cosine":
            query = unit(query[None])[0]
            if not query.any():
                return np.empty(0, np.int64), np.empty(0, np.float32)
            near = self.values @ query
        else:
            near = 2 * (self.values @ query) - self.norms
        k = min(k, len(near))
        rows = np.argpartition(-near, k - 1)[:k]
        rows = rows[np.lexsort((rows, -near[rows]))]
        if self.method.metric == "cosine":
            return rows, near[rows]
        distances = np.linalg.norm(self.values[rows] - query, axis=1)
        is_near = distances <= self.method.limit(self.vectors.values)
        return rows[is_near], distances[is_near]


class CatalogueSearch:
    """A method's articles, loaded to be asked about.

    Attributes:
        method: the method's name.
        size: how many articles can be found.
    """

    def __init__(self, method: str, parts: Sequence[Part], speller: Speller) -> None:
        self.method, self._parts, self._speller = method, parts, speller
        self.size = max(len(part.vectors) for part in parts)

    @classmethod
    def load(cls, read: Read, settings: Settings, threads: int = 0) -> CatalogueSearch:
        """Load what the settings' method takes.

        Args:
            read: Warehouse.read_arrow.
            settings: with the method.
            threads: cores that a text encoder uses; 0: all.

        Raises:
            JobError: an encoder was never fitted, or has no vectors.
        """
        parts, opened = list[Part](), dict[str, TextEncoder]()
        for method, chosen in parts_of(settings):
            vectors = load_vectors(read, method, chosen)
            below = heads_of(chosen).settings if method.is_joint else chosen
            parts.append(Part(method, below, vectors, opened, threads))
        takes_text = any(part.method.takes_text for part in parts)
        return cls(settings.method, parts, Speller(catalogue_words(read) if takes_text else {}))

    def warm_up(self) -> None:
        """Open the text encoders now, so that the first question waits for nothing."""
        said = self._said("dress")
        for part in self._parts:
            if part.method.takes_text:
                part.of_text(said[part.settings.text_encoder])

    def spelt(self, text: str) -> str:
        """A question as it is understood: words that neither catalogue nor language know, as the most like that do."""
        return self._speller.corrected(text)

    def search(self, text: str | None = None, image: bytes | None = None, top: int = 10) -> list[Hit]:
        """The `top` articles most like a text, a picture, or the sum of both, the best first.

        None is found for a text of which the method knows nothing.

        Args:
            text: what is looked for, in words.
            image: a picture file's content.
            top: how many, from 1 to MOST.

        Raises:
            JobError: `top` is out of range; neither text nor picture is given, or the method does not take it;
                the picture is none.
        """
        check_top(top)
        self._check(text, image)
        said = self._said(None if text is None else self.spelt(text[:MAX_TEXT]))
        found = []
        for part in self._parts:
            if (text is None or part.method.takes_text) and (image is None or part.method.takes_image):
                found.append((part, *part.best(self._query(part, said, image), top if len(self._parts) == 1 else MOST)))
        if len(found) == 1:
            part, rows, scores = found[0]
            ids = part.vectors.article_ids.take(pa.array(rows)).to_pylist()[:top]
            return [Hit(article, float(score)) for article, score in zip(ids, scores, strict=False)]
        return _fused([part.vectors.article_ids.take(pa.array(rows)) for part, rows, _ in found], top)

    def _check(self, text: str | None, image: bytes | None) -> None:
        if text is None and image is None:
            raise JobError("nothing to look for: give a text, a picture or both")
        if text is not None and not text.strip():
            raise JobError("nothing to look for: the text is empty")
        for given, what, able in ((text, "text", "takes_text"), (image, "image", "takes_image")):
            if given is not None and not any(getattr(part.method, able) for part in self._parts):
                others = [name for name, method in METHODS.items() if getattr(method, able) or method.parts]
                raise JobError(f"method {self.method} takes no {what}; one that does: {', '.join(others)}")

    def _said(self, text: str | None) -> dict[str, np.ndarray]:
        """What each text encoder makes of a text, [1, d], by its name; nothing of none."""
        if text is None:
            return {}
        encoders = {part.settings.text_encoder: part for part in self._parts if part.method.takes_text}
        return {name: part.text_encoder.encode([text]) for name, part in encoders.items()}

    def _query(self, part: Part, said: dict[str, np.ndarray], image: bytes | None) -> np.ndarray:
        words = part.of_text(said[part.settings.text_encoder]) if said else None
        look = None if image is None else part.of_image(image)
        if words is None or look is None:
            return words if look is None else look  # type: ignore[return-value]
        return unit(words[None])[0] + unit(look[None])[0]


def check_top(top: object) -> None:
    """Raise JobError unless that many articles can be asked for."""
    if isinstance(top, bool) or not isinstance(top, Integral) or not 1 <= int(top) <= MOST:
        raise JobError(f"top {top!r}: not from 1 to {MOST}")


def _fused(lists: Sequence[pa.StringArray], top: int) -> list[Hit]:
    ids = pa.concat_arrays(lists).unique().sort()
    places = [pc.index_in(some, value_set=ids).to_numpy()[None] for some in lists if len(some)]
    if not places:
        return []
    rows, scores = (part[0] for part in fuse(places, top))
    return [Hit(ids[int(row)].as_py(), float(score)) for row, score in zip(rows, scores, strict=True) if row >= 0]
