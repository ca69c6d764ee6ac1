"""What the gates look at beyond single rows: counts, newest dates, unknown ids, repeated keys, and samples.

Of rows in Spark everything is counted by Spark; of an Arrow table, which is small, in memory. A sample holds about
SAMPLE rows of each slice, whatever its size: shares estimated from it are off by less than half a percentage point,
which moves no verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.contract import Contract, Reference
from jobs.platform.distributions import LABEL

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

SAMPLE = 20_000
#: The one slice of a table that is not partitioned by a date.
ALL = "all"
_HASH = "_hash"
#: Examples of what a gate found.
EXAMPLES = 3


@dataclass
class Measured:
    """What was counted of some rows.

    Attributes:
        rows: slice -> number of rows.
        days: day -> number of rows, by the column of the contract's `week_change`.
        newest: greatest value of the freshness column; None where there is none.
        unknown: reference -> slice -> rows whose id the parent table does not hold.
        repeated: slice -> rows beyond the first of their key.
        counted: slice -> number of rows without the flag of the contract's `row_change`.
        examples: reference or ALL (repeated keys) -> a few such values.
    """

    rows: dict[str, int] = field(default_factory=dict)
    days: dict[str, int] = field(default_factory=dict)
    newest: date | None = None
    unknown: dict[Reference, dict[str, int]] = field(default_factory=dict)
    repeated: dict[str, int] = field(default_factory=dict)
    counted: dict[str, int] = field(default_factory=dict)
    examples: dict[Reference | str, list[Any]] = field(default_factory=dict)


def measured(
    contract: Contract, rows: pa.Table | DataFrame, parents: Mapping[Reference, pa.Table | DataFrame]
) -> Measured:
    """Everything counted.

    Args:
        contract: the table's.
        rows: an Arrow table, or stored rows in Spark.
        parents: what each reference's parent table has in its `parent_columns`.
    """
    return _of_arrow(contract, rows, parents) if isinstance(rows, pa.Table) else _of_spark(contract, rows, parents)


def shares_of(rows: Mapping[str, int]) -> dict[str, float]:
    """The share of each slice that makes a sample of about SAMPLE rows."""
    return {label: min(1.0, SAMPLE / count) for label, count in rows.items() if count}


# ---- Spark


def _of_spark(contract: Contract, rows: DataFrame, parents: Mapping[Reference, Any]) -> Measured:
    """Everything but repeated keys in one pass over the rows."""
    from pyspark.sql import functions as F

    fresh, week = contract.freshness, contract.week_change
    newest = F.max(fresh.column) if fresh else F.lit(None).cast("date")
    flag = contract.row_change.unless if contract.row_change else None
    counted = F.count_if(~F.col(flag)) if flag else F.count("*")
    sums = [F.count("*").alias("rows"), counted.alias("counted"), newest.alias("newest")]
    flags = {reference: f"_unknown_{n}" for n, reference in enumerate(parents)}
    marked = rows.withColumns({name: _is_unknown(of, parents[of]) for of, name in flags.items()})
    sums += [F.count_if(name).alias(name) for name in flags.values()]
    by = dict.fromkeys(name for name in (contract.slice_date, week and week.column) if name)
    groups = [row for row in marked.groupBy(*by).agg(*sums).collect() if row["rows"]]

    def summed(column: str, slice_date: str | None) -> dict[str, int]:
        found: dict[str, int] = {}
        for row in groups:
            label = str(row[slice_date]) if slice_date else ALL
            found[label] = found.get(label, 0) + row[column]
        return dict(sorted(found.items()))

    found = Measured(summed("rows", contract.slice_date), counted=summed("counted", contract.slice_date))
    found.newest = max((row["newest"] for row in groups if row["newest"]), default=None)
    if week:
        found.days = summed("rows", week.column)
    for reference, name in flags.items():
        found.unknown[reference] = {label: n for label, n in summed(name, contract.slice_date).items() if n}
        if found.unknown[reference]:
            unknown = unknown_rows(rows, reference, parents[reference]).select(reference.column)
            found.examples[reference] = [row[0] for row in unknown.take(EXAMPLES)]
    for key in contract.unique:
        repeated = repeated_keys(rows.withColumn(LABEL, _label(contract)), key)
        found.repeated |= _counts(repeated.groupBy(LABEL).agg(F.sum("again").alias("rows")))
        if found.repeated:
            found.examples[ALL] = [" ".join(map(str, row)) for row in repeated.select(*key).take(EXAMPLES)]
    return found


def unknown_rows(rows: DataFrame, reference: Reference, known: DataFrame) -> DataFrame:
    """The rows whose value the parent does not have, or (`id_column`) has for another id.

    Args:
        rows: with the reference's columns; nulls are passed over.
        reference: which.
        known: the parent's rows, in its `parent_columns`.
    """
    from pyspark.sql import functions as F

    hashed = rows.where(F.col(reference.column).isNotNull()).withColumn(_HASH, _hash(reference))
    return hashed.join(_known_hashes(reference, known), _HASH, "left_anti").drop(_HASH)


def _is_unknown(reference: Reference, known: DataFrame) -> Column:
    """Whether a row is one of those that `unknown_rows` gives: a column, so that one pass counts those of them all."""
    from pyspark.sql import functions as F

    return F.col(reference.column).isNotNull() & ~_hash(reference).isin(_known_hashes(reference, known))


def _hash(reference: Reference) -> Column:
    """A row's value, or its key and id, as one number of 64 bits.

    Ids need not travel then, and the numbers of some million customers fit every task. A wrong value has that of one
    among a million others once in 10^13.
    """
    from pyspark.sql import functions as F

    return F.xxhash64(reference.column, *([reference.id_column] if reference.id_column else []))


def _known_hashes(reference: Reference, known: DataFrame) -> DataFrame:
    from pyspark.sql import functions as F

    return known.select(F.xxhash64(*reference.parent_columns).alias(_HASH))


def repeated_keys(rows: DataFrame, key: Iterable[str]) -> DataFrame:
    """The keys that more than one row has: the key, its slice and how many rows `again` have it.

    Rows whose 64-bit hash repeats are few, mostly none; only they are compared in full.
    """
    from pyspark.sql import functions as F

    hashed = rows.withColumn(_HASH, F.xxhash64(*key))
    suspected = hashed.groupBy(_HASH).agg(F.count("*").alias("rows")).where("rows > 1").select(_HASH)
    of_key = hashed.join(suspected, _HASH, "left_semi").groupBy(*dict.fromkeys([LABEL, *key]))
    return of_key.agg((F.count("*") - 1).alias("again")).where("again > 0")


def _label(contract: Contract) -> Column:
    from pyspark.sql import functions as F

    return (F.col(contract.slice_date).cast("string") if contract.slice_date else F.lit(ALL)).alias(LABEL)


def _counts(rows: DataFrame) -> dict[str, int]:
    return {row[LABEL]: row["rows"] for row in sorted(rows.collect(), key=lambda row: row[LABEL])}


def sample_spark(contract: Contract, rows: DataFrame, shares: Mapping[str, float]) -> pa.Table:
    """This share of the rows of each slice: the slice and the columns that may drift."""
    from pyspark.sql import functions as F

    columns = rows.select(_label(contract), *(drift.column for drift in contract.drifts))
    share = F.create_map(*(F.lit(part) for pair in shares.items() for part in pair))
    return columns.where(F.rand(seed=0) < F.coalesce(share[F.col(LABEL)], F.lit(0.0))).toArrow()


# ---- Arrow


def _of_arrow(contract: Contract, rows: pa.Table, parents: Mapping[Reference, Any]) -> Measured:
    labels = _labels(contract, rows)
    found = Measured(_tally(labels))
    flag = contract.row_change.unless if contract.row_change else None
    found.counted = dict.fromkeys(found.rows, 0) | _tally(labels.filter(pc.invert(rows[flag]))) if flag else found.rows
    if contract.week_change:
        found.days = days_of(rows[contract.week_change.column])
    if contract.freshness:
        found.newest = pc.max(rows[contract.freshness.column]).as_py()
    for reference, known in parents.items():
        ids = rows[reference.column]
        position = pc.index_in(ids, value_set=known[0].combine_chunks())
        is_known = position.is_valid()
        if reference.id_column:
            is_known = pc.equal(known[1].take(position), rows[reference.id_column]).fill_null(False)
        is_unknown = pc.and_(pc.invert(is_known), ids.is_valid())
        found.unknown[reference] = _tally(labels.filter(is_unknown))
        found.examples[reference] = ids.filter(is_unknown)[:EXAMPLES].to_pylist()
    return found


def sample_arrow(contract: Contract, rows: pa.Table, shares: Mapping[str, float]) -> pa.Table:
    """As sample_spark."""
    labels = _labels(contract, rows)
    share = np.array([shares.get(label, 0.0) for label in labels.dictionary.to_pylist()])
    drawn = np.flatnonzero(np.random.default_rng(0).random(rows.num_rows) < share[labels.indices.to_numpy()])
    columns = rows.select([drift.column for drift in contract.drifts]).take(drawn)  # a slice would carry all rows along
    return columns.append_column(LABEL, labels.take(drawn).cast(pa.string()))


def _labels(contract: Contract, rows: pa.Table) -> pa.DictionaryArray:
    """The slice of each row."""
    if contract.slice_date:
        days = rows[contract.slice_date].combine_chunks().dictionary_encode()
        return pa.DictionaryArray.from_arrays(days.indices, days.dictionary.cast(pa.string()))
    return pa.DictionaryArray.from_arrays(np.zeros(rows.num_rows, np.int8), [ALL])


def days_of(days: pa.ChunkedArray) -> dict[str, int]:
    """Rows of each day."""
    return _tally(days.cast(pa.string()))


def _tally(labels: pa.Array | pa.ChunkedArray) -> dict[str, int]:
    return dict(sorted((pair["values"], pair["counts"]) for pair in pc.value_counts(labels).to_pylist()))
