"""What pictures are tagged with: columns of the catalogue, and what cannot be learned of them."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jobs.platform.errors import JobError
from lightning_modules.tagging_heads import NO_LABEL

#: A label has at least so many articles for each of its values, or its values are names and no classes.
ARTICLES_PER_CLASS = 2
#: Parts of the catalogue, by product line: one is held out, one chooses epochs, weights and thresholds.
PARTS, TEST, VALIDATION = 10, 0, 1

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Labels:
    """The labels of n articles.

    Attributes:
        classes: label -> its values, in alphabetical order.
        codes: int64 [n, label], places in `classes`, NO_LABEL where the catalogue gives none.
        left_out: label -> why it is not learned.
    """

    classes: Mapping[str, Sequence[str]]
    codes: Ints
    left_out: Mapping[str, str]

    def remark(self) -> str:
        """What is left out, in words; empty for nothing."""
        return "; ".join(f"{name} is left out: {why}" for name, why in self.left_out.items())


@dataclass(frozen=True)
class Examples:
    """What taggers learn from.

    Attributes:
        vectors: [n, d] of the articles.
        labels: their codes.
        activations: what EfficientNet-Lite0 gives of their pictures but for its last blocks, float16 [n, c, h, w];
            None: the encoder is not trained further.
    """

    vectors: Floats
    labels: Labels
    activations: Floats | None = None

    def __len__(self) -> int:
        return len(self.vectors)


def labels_of(columns: Mapping[str, pa.ChunkedArray]) -> Labels:
    """The labels in these columns of text, blank taken for null; JobError where nothing can be learned of any."""
    classes, codes, left_out = {}, [], {}
    for name, column in columns.items():
        text = pc.utf8_trim_whitespace(column)
        text = pc.if_else(pc.equal(text, ""), None, text)
        values, given = pc.drop_null(pc.unique(text)).sort(), len(text) - text.null_count
        if len(values) < 2:
            left_out[name] = f"all {given:,} articles have the same value" if given else "no article has a value"
        elif given < ARTICLES_PER_CLASS * len(values):
            left_out[name] = f"{len(values):,} values of {given:,} articles are names, no classes"
        else:
            classes[name] = values.to_pylist()
            codes.append(pc.fill_null(pc.index_in(text, value_set=values), NO_LABEL).to_numpy().astype(np.int64))
    if not classes:
        why = "; ".join(f"{name}: {why}" for name, why in left_out.items())
        raise JobError(f"no label to learn from ({why}); name others as labels in the mapping")
    return Labels(classes, np.stack(codes, axis=1), left_out)


def parts_of(names: Sequence[str], parts: int = PARTS) -> Ints:
    """The part of each name, which it keeps whatever is added to the catalogue."""
    return np.array([zlib.crc32(name.encode()) % parts for name in names], dtype=np.int64)
