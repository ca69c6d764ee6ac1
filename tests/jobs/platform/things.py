"""A small contract with a rule of every kind, and rows for it in both engines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable

from expectations.contract import Column, Contract, as_of_column
from jobs.platform.schemas import arrow_schema
from jobs.platform.warehouse import Warehouse

THINGS = Contract(
    layer="gold",
    name="things",
    description="Things, for the tests.",
    columns=(
        as_of_column(),
        Column("thing_id", "string", "Thing", pattern="^[a-z]+$"),
        Column("kind", "string", "Kind of thing", allowed=("big", "small")),
        Column("weight", "double", "Weight; null if unknown", nullable=True, minimum=0, maximum=10),
    ),
    key=("as_of_date", "thing_id"),
    partition_by=("as_of_date",),
)
DAY, WEEK_BEFORE = date(2020, 9, 16), date(2020, 9, 9)

Row = tuple[Any, ...]


def ungated(contract: Contract) -> Contract:
    """The table without what it refers to and is compared with, which random rows cannot obey."""
    return replace(contract, references=(), row_change=None, week_change=None, drifts=(), freshness=None)


def day(when: date, *weights: float | None) -> list[Row]:
    """Things a, b, c, ... of a day with these weights."""
    return [(when, chr(ord("a") + n), "big", weight) for n, weight in enumerate(weights)]


def arrow(rows: Sequence[Row]) -> pa.Table:
    """The rows as Arrow, unchecked: nulls pass."""
    schema = pa.schema([field.with_nullable(True) for field in arrow_schema(THINGS)])
    return pa.Table.from_pylist([dict(zip(THINGS.column_names, row, strict=True)) for row in rows], schema)


def frame(engine: str, rows: Sequence[Row], spark: Any) -> Any:
    """The rows as `engine` ("spark" or "arrow") publishes them."""
    return spark.createDataFrame(list(rows), THINGS.ddl) if engine == "spark" else arrow(rows)


def publish(warehouse: Warehouse, data: Any, *days: date) -> int:
    """Publish to the slices of `days` with the engine that `data` belongs to."""
    engine = warehouse.publish_arrow if isinstance(data, pa.Table) else warehouse.publish_spark
    return engine(THINGS, data, {"as_of_date": days})


def stored(warehouse: Warehouse) -> list[Row]:
    """All rows of the table, sorted."""
    table = DeltaTable(warehouse.uri(THINGS)).to_pyarrow_table()
    return sorted(tuple(row[name] for name in THINGS.column_names) for row in table.to_pylist())
