"""What the gates look at beyond single rows: counts, newest dates, unknown ids and samples, block by block.

A sample holds about SAMPLE rows of each slice, whatever its size:
shares estimated from it are off by less than half a percentage point, which moves no verdict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from pandas.core.util.hashing import combine_hash_arrays
from pandas.util import hash_array

from expectations.contract import Contract, Reference
from jobs.platform.lookup import Lookup
from jobs.platform.spark import in_parallel
from jobs.platform.staging import Staged

if TYPE_CHECKING:
    from pyspark import SparkContext

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
        days: day -> number of rows, by the column of the contract's `week_change`.
        newest: greatest value of the freshness column; None where there is none.
        unknown: reference -> slice -> rows whose id the parent table does not hold.
        examples: reference -> a few such ids.
    """

    rows: dict[str, int] = field(default_factory=dict)
    days: dict[str, int] = field(default_factory=dict)
    newest: date | None = None
    unknown: dict[Reference, dict[str, int]] = field(default_factory=dict)
    examples: dict[Reference, list[Any]] = field(default_factory=dict)

    def add(self, other: Measured) -> None:
        """Count further rows in."""
        self.rows, self.days = _sum(self.rows, other.rows), _sum(self.days, other.days)
        self.newest = max((day for day in (self.newest, other.newest) if day), default=None)
        for reference, counts in other.unknown.items():
            self.unknown[reference] = _sum(self.unknown.get(reference, {}), counts)
            self.examples[reference] = [*self.examples.get(reference, []), *other.examples.get(reference, [])][:3]


def _sum(left: Mapping[str, int], right: Mapping[str, int]) -> dict[str, int]:
    return {name: left.get(name, 0) + right.get(name, 0) for name in sorted(left.keys() | right.keys())}


def all_distinct(rows: pa.Table, contract: Contract) -> bool:
    """True if no key of the contract comes twice in the rows."""
    return all(_are_distinct(rows.select(list(columns))) for columns in contract.unique)


def _are_distinct(rows: pa.Table) -> bool:
    """True if no row comes twice: where no two hashes are equal, which is soon seen, or on a look at all values."""
    hashes = pl.DataFrame(rows).hash_rows().to_numpy()
    return pd.Index(hashes).is_unique or rows.group_by(rows.column_names).aggregate([]).num_rows == rows.num_rows


def all_distinct_in(context: SparkContext, files: Staged, paths: Sequence[str]) -> bool:
    """True if no key of the contract comes twice in the staged files; False if one does, or if two hashes are equal.

    Hashes of 64 bits travel, those of one bucket to one task.
    """
    keys = files.contract.unique
    if not keys:
        return True
    exchange = files.exchange(min(len(paths), context.defaultParallelism))

    def leave(path: str) -> list[str]:
        found = (_hashes(files.read(path, columns)) for columns in keys)
        return [exchange.put(hashes, {"hash": hashes}) for hashes in found]

    by_key = list(zip(*in_parallel(context, leave, paths), strict=True))

    def are_distinct(bucket: int) -> bool:
        every = (np.sort(exchange.take(left, bucket)["hash"]) for left in by_key)
        return not any((hashes[1:] == hashes[:-1]).any() for hashes in every)

    is_distinct = all(in_parallel(context, are_distinct, range(exchange.buckets)))
    exchange.clear()
    return is_distinct


def _hashes(rows: pa.Table) -> np.ndarray:
    """A 64-bit hash of each row."""
    columns = (column.combine_chunks().to_numpy(zero_copy_only=False) for column in rows.columns)
    return combine_hash_arrays((hash_array(values, categorize=False) for values in columns), rows.num_columns)


def needed_columns(contract: Contract) -> list[str]:
    """The columns that are measured or sampled, and the slice's date."""
    gates = (*contract.references, *contract.drifts, contract.freshness, contract.week_change)
    names = {gate.column for gate in gates if gate} | ({contract.slice_date} if contract.slice_date else set())
    return [name for name in contract.column_names if name in names] or contract.column_names[:1]


def measured(contract: Contract, rows: pa.Table, parents: Mapping[Reference, Lookup]) -> Measured:
    """Everything counted, of one block of rows."""
    labels = _labels(contract, rows)
    found = Measured(_counts(labels, np.ones(len(labels), dtype=bool)))
    if contract.week_change:
        found.days = days_of(rows[contract.week_change.column])
    if contract.freshness:
        found.newest = pc.max(rows[contract.freshness.column]).as_py()
    for reference, parent in parents.items():
        ids = rows[reference.column]
        is_unknown = ~parent.has(ids)
        found.unknown[reference] = _counts(labels, is_unknown)
        found.examples[reference] = ids.take(np.flatnonzero(is_unknown)[:3]).to_pylist()
    return found


def sample(contract: Contract, rows: pa.Table, shares: Mapping[str, float]) -> pa.Table:
    """This share of the rows of each slice: the slice and the columns that may drift."""
    labels = _labels(contract, rows)
    share = np.array([shares.get(label, 0.0) for label in labels.dictionary.to_pylist()])
    draws = np.random.default_rng(0).random(rows.num_rows)
    drawn = np.flatnonzero(draws < share[labels.indices])
    columns = rows.select([drift.column for drift in contract.drifts]).take(drawn)  # a slice would carry all rows along
    return columns.append_column(LABEL, labels.take(drawn).dictionary_decode())


def shares_of(rows: Mapping[str, int]) -> dict[str, float]:
    """The share of each slice that makes a sample of about SAMPLE rows."""
    return {label: min(1.0, SAMPLE / count) for label, count in rows.items() if count}


def _labels(contract: Contract, rows: pa.Table) -> pa.DictionaryArray:
    """The slice of each row."""
    if contract.slice_date:
        days = rows[contract.slice_date].combine_chunks().dictionary_encode()
        return pa.DictionaryArray.from_arrays(days.indices, days.dictionary.cast(pa.string()))
    return pa.DictionaryArray.from_arrays(np.zeros(rows.num_rows, np.int32), [ALL])


def days_of(days: pa.ChunkedArray) -> dict[str, int]:
    """Rows of each day."""
    return {str(pair["values"]): pair["counts"] for pair in pc.value_counts(days).to_pylist()}


def _counts(labels: pa.DictionaryArray, where: np.ndarray) -> dict[str, int]:
    """Rows of each slice, of those at which `where` is true."""
    counts = np.bincount(labels.indices.to_numpy()[where], minlength=len(labels.dictionary))
    return {label: int(n) for label, n in zip(labels.dictionary.to_pylist(), counts, strict=True) if n}


def of_file(
    path: str, files: Staged, parents: Mapping[Reference, Lookup], shares: Mapping[str, float]
) -> tuple[Measured, pa.Table]:
    """The measures of one staged file, and its part of the samples."""
    rows = files.read(path, needed_columns(files.contract))
    return measured(files.contract, rows, parents), sample(files.contract, rows, shares)


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
