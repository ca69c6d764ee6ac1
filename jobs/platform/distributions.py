"""Distributions of a column, and how far one has moved from another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

#: Column of a sample with the slice of each row.
LABEL = "_slice"
#: Values of a text column counted separately; what is left over counts as one more.
MOST_VALUES = 100
#: No share counts as less: one row in a sample makes no infinity.
LEAST_SHARE = 1e-4


@dataclass(frozen=True)
class Values:
    """One column of one slice's sample: texts or numbers, and how many rows had none."""

    present: np.ndarray
    nulls: int

    @staticmethod
    def of(sample: pa.Table, label: str, column: str) -> Values:
        chunks = sample.filter(pc.equal(sample[LABEL], label))[column]
        return Values(chunks.drop_null().to_numpy(), chunks.null_count)

    @property
    def size(self) -> int:
        return len(self.present) + self.nulls

    def __str__(self) -> str:
        """For a message: the nulls, and the mean or the most frequent values."""
        nulls = f"{self.nulls / max(self.size, 1):.1%} null"
        if not len(self.present):
            return nulls
        if self.present.dtype.kind in "iuf":
            return f"mean {self.present.mean():.4g}, {nulls}"
        names, counts = np.unique(self.present.astype(str), return_counts=True)
        top = [f"{names[n]} {counts[n] / self.size:.1%}" for n in np.argsort(-counts, kind="stable")[:3]]
        return f"{', '.join(top)}, {nulls}"


def psi(before: Values, now: Values) -> float:
    """Population stability index of a column, as in expectations.contract.Drift; 0 when nothing moved."""
    shares = [_shares(values, before) for values in (before, now)]
    old, new = (np.maximum(share, LEAST_SHARE) for share in shares)
    return float(((new - old) * np.log(new / old)).sum())


def _shares(values: Values, before: Values) -> np.ndarray:
    """Share of nulls, then of each bin that `before` defines."""
    if before.present.dtype.kind in "iuf":
        tenths = np.linspace(0.1, 0.9, 9) if len(before.present) else np.array([])
        edges = np.unique(np.quantile(before.present, tenths)) if len(tenths) else tenths
        bins = np.searchsorted(edges, values.present, side="left")
        counts = np.bincount(bins, minlength=len(edges) + 1)
    else:
        names, frequency = np.unique(before.present.astype(str), return_counts=True)
        names = np.sort(names[np.argsort(-frequency, kind="stable")[:MOST_VALUES]])
        found, frequency = np.unique(values.present.astype(str), return_counts=True)
        lookup = dict(zip(found, frequency, strict=True))
        known = [lookup.get(name, 0) for name in names]
        counts = np.array([*known, len(values.present) - sum(known)])
    return np.concatenate([[values.nulls], counts]) / max(values.size, 1)
