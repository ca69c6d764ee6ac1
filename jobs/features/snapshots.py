"""What the as-of feature tables share: the freshness gate, and snapshots of all entities on several as-of dates.

Spark brings all lines of an entity together, by its surrogate key, in one shuffle however many dates are asked for;
numpy then computes whole partitions at a time (jobs.features.histories), which is several times as fast as aggregate
functions and gives the same bits in whatever order the rows arrived.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from expectations.contract import Contract
from expectations.transactions import TRANSACTIONS
from jobs.features.histories import Array, Histories
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.schemas import arrow_schema
from jobs.platform.settings import WEEK

#: All features of the entities of a history, which ends before a day (days since 1970-01-01): column -> values.
Features = Callable[[Histories, int], Mapping[str, Array]]


def fresh_transactions(job: Job) -> DataFrame:
    """The transactions. Raises JobError if the week before the as-of date has none: no shop is that quiet."""
    transactions, as_of = job.read_spark(TRANSACTIONS), job.settings.as_of_date
    week = (F.col("t_dat") >= as_of - WEEK) & (F.col("t_dat") < as_of)
    if transactions.where(week).isEmpty():
        raise JobError(
            f"{TRANSACTIONS.path}: no transactions from {as_of - WEEK} until the as-of date {as_of}:"
            f" is a file late, or {job.settings.data} not the right directory?"
        )
    return transactions


def snapshots(
    transactions: DataFrame, ids: DataFrame, contract: Contract, features: Features, as_of_dates: Sequence[date]
) -> DataFrame:
    """One row per as-of date and entity with an earlier transaction, in the columns of `contract`.

    Args:
        transactions: t_dat, customer_key, article_key, price and sales_channel_id of every unit bought.
        ids: the entities' table, with their surrogate key and their id.
        contract: the feature table; the second column of its key is the entity's id.
        features: computes all further columns.
        as_of_dates: in any order.
    """
    entity_id = contract.key[1]
    key, other = ("customer_key", "article_key") if entity_id == "customer_id" else ("article_key", "customer_key")
    lines = transactions.where(F.col("t_dat") < max(as_of_dates)).select(
        key, F.unix_date("t_dat").alias("day"), "price", F.col(other).alias("other"), "sales_channel_id"
    )
    types = {column.name: column.type for column in contract.columns} | {key: "int"}
    names = [key if name == entity_id else name for name in contract.column_names]
    schema = pa.schema([arrow_schema(contract).field(n) if n != key else pa.field(key, pa.int32()) for n in names])
    days = [int(np.datetime64(day, "D").astype(int)) for day in sorted(as_of_dates)]

    def cut(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        if not (received := list(batches)):
            return
        table = pa.Table.from_batches(received)
        history = Histories.of(*(column.to_numpy() for column in table.columns))
        for day in days:
            past = history.before(day)
            if not len(past):
                continue
            values = {"as_of_date": np.full(len(past.entities), day, np.int32), key: past.entities}
            yield _record_batch(values | dict(features(past, day)), schema)

    return (
        lines.repartition(key)
        .mapInArrow(cut, ", ".join(f"{name} {types[name]}" for name in names))
        .join(ids.select(key, entity_id), key)
        .select(*contract.column_names)
    )


def _record_batch(values: Mapping[str, Array], schema: pa.Schema) -> pa.RecordBatch:
    """The columns of `schema`; NaN becomes null."""
    arrays = []
    for field in schema:
        column = values[field.name]
        if pa.types.is_date32(field.type):
            column = column.astype(np.int32).astype("datetime64[D]")
        is_missing = np.isnan(column) if column.dtype.kind == "f" else None
        arrays.append(pa.array(column, field.type, mask=is_missing))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
