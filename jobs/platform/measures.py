"""What the gates look at beyond single rows: counts, newest dates, unknown ids and samples, of Spark or Arrow rows.

Everything but the samples is counted in one pass. A sample holds about SAMPLE rows of each slice, whatever its size:
shares estimated from it are off by less than half a percentage point, which moves no verdict.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.contract import Contract, Reference

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

SAMPLE = 20_000
#: Values of a text column told apart; what is left over counts as one more.
MOST_VALUES = 100
#: No share counts as less: one row in a sample makes no infinity.
LEAST_SHARE = 1e-4
#: The one slice of a table that is not partitioned by a date.
ALL = "all"
LABEL = "_slice"


@dataclass
class Measured:
    """What was counted of some rows.

    Attributes:
        rows: slice -> number of rows.
        newest: greatest value of the freshness column; None where there is none.
        unknown: reference -> slice -> rows whose id the parent table does not hold.
        examples: reference -> a few such ids.
    """

    rows: dict[str, int] = field(default_factory=dict)
    newest: date | None = None
    unknown: dict[Reference, dict[str, int]] = field(default_factory=dict)
    examples: dict[Reference, list[Any]] = field(default_factory=dict)

    def add(self, other: Measured) -> None:
        """Count further rows in."""
        self.rows = _sum(self.rows, other.rows)
        self.newest = max((day for day in (self.newest, other.newest) if day), default=None)
        for reference, counts in other.unknown.items():
            self.unknown[reference] = _sum(self.unknown.get(reference, {}), counts)
            self.examples[reference] = [*self.examples.get(reference, []), *other.examples.get(reference, [])][:3]


def _sum(left: Mapping[str, int], right: Mapping[str, int]) -> dict[str, int]:
    return {name: left.get(name, 0) + right.get(name, 0) for name in sorted(left.keys() | right.keys())}


# ---- Spark


def measured_spark(contract: Contract, rows: DataFrame, parents: Mapping[Reference, DataFrame]) -> Measured:
    """Everything counted, in one aggregate over the columns it needs.

    An id is looked up by its 64-bit hash, a tenth of the memory of 64 characters: that an unknown id passes because it
    shares the hash of a known one has a probability of 1 in 10^13 at a million known ids.
    """
    from pyspark.sql import functions as F

    aggregates = [F.count("*").alias("rows")]
    names = {r.column for r in parents} | ({contract.freshness.column} if contract.freshness else set())
    seen = rows.select(_label(contract), *sorted(names))
    if contract.freshness:
        aggregates.append(F.max(contract.freshness.column).alias("newest"))
    for n, (reference, parent) in enumerate(parents.items()):
        seen = _looked_up(seen, reference, parent, f"known_{n}")
        aggregates.append(F.count_if(_is_unknown(reference, f"known_{n}")).alias(f"unknown_{n}"))
    groups = seen.groupBy(LABEL).agg(*aggregates).collect()
    found = Measured({group[LABEL]: group["rows"] for group in groups})
    if contract.freshness:
        found.newest = max((group["newest"] for group in groups if group["newest"]), default=None)
    for n, (reference, parent) in enumerate(parents.items()):
        found.unknown[reference] = {group[LABEL]: group[f"unknown_{n}"] for group in groups}
        if any(found.unknown[reference].values()):
            lost = _looked_up(rows.select(reference.column), reference, parent, "known")
            first = lost.where(_is_unknown(reference, "known")).limit(3).collect()
            found.examples[reference] = [row[0] for row in first]
    return found


def all_distinct(rows: DataFrame, contract: Contract) -> bool:
    """True if the 64-bit hashes of every key are distinct, and so the keys; False if two are equal, or may be."""
    from pyspark.sql import functions as F

    for columns in contract.unique:
        hashes = rows.select(F.xxhash64(*columns).alias("hash")).groupBy("hash").count()
        if not hashes.where("count > 1").isEmpty():
            return False
    return True


def _looked_up(rows: DataFrame, reference: Reference, parent: DataFrame, mark: str) -> DataFrame:
    from pyspark.sql import functions as F

    ids = parent.select(F.xxhash64(reference.column).alias(f"{mark}_hash"), F.lit(True).alias(mark)).distinct()
    return rows.join(F.broadcast(ids), F.xxhash64(rows[reference.column]) == ids[f"{mark}_hash"], "left")


def _is_unknown(reference: Reference, mark: str) -> Column:
    from pyspark.sql import functions as F

    return F.col(reference.column).isNotNull() & F.col(mark).isNull()


def _label(contract: Contract) -> Column:
    from pyspark.sql import functions as F

    return (F.col(contract.slice_date).cast("string") if contract.slice_date else F.lit(ALL)).alias(LABEL)


def sample_spark(contract: Contract, rows: DataFrame, sizes: Mapping[str, int]) -> pa.Table:
    """About SAMPLE rows of each slice in `sizes` (slice -> its rows): the slice and the columns that may drift."""
    columns = rows.select(_label(contract), *(drift.column for drift in contract.drifts))
    shares = {label: min(1.0, SAMPLE / count) for label, count in sizes.items() if count}
    return columns.sampleBy(LABEL, shares, seed=0).toArrow()


# ---- Arrow


def measured_arrow(contract: Contract, rows: pa.Table, parents: Mapping[Reference, pa.ChunkedArray]) -> Measured:
    """Everything counted, of one block of rows; `parents` holds the known ids."""
    labels = _labels(contract, rows)
    found = Measured(_counts(labels))
    if contract.freshness:
        found.newest = pc.max(rows[contract.freshness.column]).as_py()
    for reference, known in parents.items():
        ids = rows[reference.column]
        is_unknown = pc.and_(pc.is_valid(ids), pc.invert(pc.is_in(ids, value_set=known.cast(ids.type))))
        found.unknown[reference] = _counts(labels.filter(is_unknown))
        found.examples[reference] = ids.filter(is_unknown).slice(0, 3).to_pylist()
    return found


def sample_arrow(contract: Contract, rows: pa.Table) -> pa.Table:
    """About SAMPLE rows of a block: the slice and the columns that may drift."""
    columns = rows.select([drift.column for drift in contract.drifts]).append_column(LABEL, _labels(contract, rows))
    if rows.num_rows <= SAMPLE:
        return columns
    return columns.take(np.sort(np.random.default_rng(0).choice(rows.num_rows, SAMPLE, replace=False)))


def _labels(contract: Contract, rows: pa.Table) -> pa.ChunkedArray:
    if contract.slice_date:
        return rows[contract.slice_date].cast(pa.string())
    return pa.chunked_array([pa.repeat(pa.scalar(ALL), rows.num_rows)])


def _counts(labels: pa.ChunkedArray) -> dict[str, int]:
    return {pair["values"]: pair["counts"] for pair in pc.value_counts(labels).to_pylist()}


# ---- distributions


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
