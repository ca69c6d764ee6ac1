"""No table can hold a number that is not finite: every contract's rules refuse it, in rows, in arrays, in the table."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from expectations.contract import GREATEST, Column
from expectations.registry import CONTRACTS
from jobs.platform.checks import not_finite
from jobs.platform.schemas import delta_schema
from tests.jobs.platform.checked import check
from tests.jobs.platform.things import DAY, THINGS, arrow, day

BAD = [math.inf, -math.inf, math.nan, 1e308, -1e16]
DOUBLES = {(t.name, c.name): t for t in CONTRACTS.values() for c in t.columns if c.type == "double"}


def test_every_double_of_every_contract_is_finite_with_a_maximum() -> None:
    assert len(DOUBLES) > 50
    for (table, name), contract in DOUBLES.items():
        (column,) = (c for c in contract.columns if c.name == name)
        assert all(limit is not None and abs(limit) <= GREATEST for limit in column.limits), (table, name)
        (between,) = (r for r in column.expectations() if r.type == "expect_column_values_to_be_between")
        assert (between.kwargs["min_value"], between.kwargs["max_value"]) == column.limits
    assert GREATEST**2 < 3.4e38, "as is its square in 32 bits"


def test_delta_keeps_every_constraint_as_it_is_written(tmp_path: Path) -> None:
    """What it keeps in other words has not been verified by the checks, and costs each publish a Spark session."""
    for contract in CONTRACTS.values():
        table = DeltaTable.create(tmp_path / contract.name, delta_schema(contract))
        if contract.constraints():
            table.alter.add_constraint(contract.constraints())
        kept = {k.removeprefix("delta.constraints."): v for k, v in table.metadata().configuration.items()}
        assert kept == contract.constraints(), contract.path


def test_every_tables_constraints_refuse_what_is_not_finite(spark: SparkSession) -> None:
    """As Spark evaluates them for rows that were staged; Delta's own writers are tried in test_staging."""
    holds = []
    for (table, name), contract in DOUBLES.items():
        rules = [contract.constraints()[f"{name}_{end}"] for end in ("minimum", "maximum")]
        holds.append(F.expr(" AND ".join(f"({rule})" for rule in rules)).alias(f"{table}.{name}"))
    values = spark.createDataFrame([(bad,) for bad in BAD], "value double")
    rows = values.select(*(F.col("value").alias(name) for name in {name for _, name in DOUBLES})).select(*holds)
    assert not [name for row in rows.collect() for name, is_kept in row.asDict().items() if is_kept]


@pytest.mark.parametrize("value", BAD)
def test_rows_in_memory_with_such_a_number_break_their_contract(value: float) -> None:
    rows = arrow(day(DAY, 1.0, value, None))
    if math.isnan(value):
        assert not_finite(THINGS, rows) == ["weight: numbers that are not finite, or beyond 1e+15, in 1 rows"]
    else:
        with pytest.raises(Exception, match="weight: expect_column_values_to_be_between"):
            check(THINGS, rows)
    assert not_finite(THINGS, arrow(day(DAY, 1.0, None))) == []


def test_arrays_are_looked_into(spark: SparkSession) -> None:
    shares = "array<struct<hex:string,share:double>>"
    pictures = replace(
        THINGS,
        columns=(
            *THINGS.columns,
            Column("vector", "array<float>", "Vector", nullable=True),
            Column("colours", shares, "Colours", nullable=True),
        ),
    )
    share = pa.struct({"hex": pa.string(), "share": pa.float64()})
    good = pa.array([[0.5, None], None, []], pa.list_(pa.float32()))
    vectors = [pa.array([[0.5, bad], [bad, bad], None], pa.list_(pa.float32())) for bad in BAD]
    colours = [pa.array([None, [{"hex": "#000000", "share": bad}], []], pa.list_(share)) for bad in BAD]
    no_colours = pa.nulls(3, pa.list_(share))
    words = "numbers that are not finite, or beyond 1e+15, in"
    cases = [(good, no_colours, [])]
    cases += [(vector, no_colours, [f"vector: {words} 2 rows"]) for vector in vectors]
    cases += [(good, colour, [f"colours: {words} 1 rows"]) for colour in colours]
    for vector, colour, expected in cases:
        rows = arrow(day(DAY, 1.0, 2.0, None)).append_column("vector", vector).append_column("colours", colour)
        assert not_finite(pictures, rows) == expected
        assert not_finite(pictures, rows.slice(1)) == [text.replace("2 rows", "1 rows") for text in expected]
        assert not_finite(pictures, spark.createDataFrame(rows)) == expected
