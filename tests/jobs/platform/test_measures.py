"""Drift in numbers: the index by hand, and what counts as a bin."""

from __future__ import annotations

from math import log

import numpy as np
import pyarrow as pa
import pytest

from expectations.contract import Column, Contract, Freshness, Reference, WeekChange
from jobs.platform.distributions import LABEL, LEAST_SHARE, Values, psi
from jobs.platform.measures import ALL, Measured, measured, repeated_keys, unknown_rows
from tests.jobs.platform.things import DAY, THINGS, WEEK_BEFORE, day, frame

VISIT = {"day": "date", "thing_key": "int", "thing_id": "string", "shop_id": "string"}


def texts(**counts: int) -> Values:
    return Values(np.repeat(np.array(list(counts), dtype=object), list(counts.values())), 0)


def numbers(*values: float, nulls: int = 0) -> Values:
    return Values(np.array(values, dtype=float), nulls)


def test_shares_by_hand():
    # From 80:20 to 50:50: (0.5 - 0.8) ln(0.5 / 0.8) + (0.5 - 0.2) ln(0.5 / 0.2)
    assert psi(texts(x=80, y=20), texts(x=50, y=50)) == pytest.approx(-0.3 * log(0.625) + 0.3 * log(2.5))


def test_tenths_by_hand():
    before = numbers(*range(100))
    assert psi(before, before) == 0
    # All in the first tenth, with the others' shares at the floor.
    expected = (1 - 0.1) * log(1 / 0.1) + 9 * (LEAST_SHARE - 0.1) * log(LEAST_SHARE / 0.1)
    assert psi(before, numbers(*[1] * 50)) == pytest.approx(expected)


def test_two_normal_curves_are_their_squared_distance_apart():
    rng = np.random.default_rng(1)
    before, now = rng.normal(0, 1, 200_000), rng.normal(0.5, 1, 200_000)
    assert psi(Values(before, 0), Values(now, 0)) == pytest.approx(0.25, abs=0.02)


def test_nulls_are_a_bin():
    # 0 % to 50 %: the nulls, and ten bins that each lose half.
    expected = (0.5 - LEAST_SHARE) * log(0.5 / LEAST_SHARE) + 10 * (0.05 - 0.1) * log(0.5)
    assert psi(numbers(*range(100)), numbers(*range(100), nulls=100)) == pytest.approx(expected)


def test_new_and_rare_values_share_a_bin():
    assert psi(texts(x=100), texts(x=50, new=25, newer=25)) == psi(texts(x=100), texts(x=50, new=50)) > 1


def test_nothing_known_before():
    assert psi(numbers(nulls=10), numbers(nulls=10)) == 0
    assert psi(numbers(nulls=10), numbers(1, 2, 3)) > 1


def test_values_of_a_slice_in_words():
    sample = pa.table(
        {LABEL: ["now", "now", "now", "then"], "price": [1.0, 2.0, None, 9.0], "kind": ["x", "x", "y", "z"]}
    )
    assert str(Values.of(sample, "now", "price")) == "mean 1.5, 33.3% null"
    assert str(Values.of(sample, "now", "kind")) == "x 66.7%, y 33.3%, 0.0% null"
    assert str(numbers(nulls=3)) == "100.0% null"


@pytest.mark.parametrize("engine", ["spark", "arrow"])
def test_counts_of_slices_and_unknown_ids(spark, engine):
    rows = frame(engine, day(DAY, 1.0, 2.0, None) + day(WEEK_BEFORE, 4.0), spark)
    reference = Reference("thing_id", THINGS)
    known = pa.table({"thing_id": ["a", "c", "z"]})
    parents = {reference: known if engine == "arrow" else spark.createDataFrame([(x,) for x in "acz"], ["thing_id"])}
    found = measured(THINGS, rows, parents)
    assert found.rows == {"2020-09-09": 1, "2020-09-16": 3}
    assert found.unknown == {reference: {"2020-09-16": 1}}
    assert found.examples == {reference: ["b"]}


@pytest.mark.parametrize("engine", ["spark", "arrow"])
def test_days_and_two_references_are_counted_together(spark, engine):
    """A key of another thing, one of none, an id of none, and nulls, which belong to nobody."""
    shops = Contract("silver", "shops", "Shops.", (Column("shop_id", "string", "Shop"),), key=("shop_id",))
    columns = (Column("thing_key", "int", "Key"), Column("thing_id", "string", "Thing"))
    keyed = Contract("silver", "keyed", "Things with keys.", columns, key=("thing_id",))
    of_things = Reference("thing_key", keyed, id_column="thing_id")
    visits = Contract(
        "silver",
        "visits",
        "Visits.",
        tuple(Column(n, t, n, nullable=True) for n, t in VISIT.items()),
        references=(of_things, Reference("shop_id", shops)),
        week_change=WeekChange("day", 0.5, 2, "weeks are alike"),
        freshness=Freshness("day", 7, "no week is silent"),
    )
    rows = [
        (DAY, 0, "a", "s"),
        (DAY, 1, "a", "s"),
        (DAY, 9, "c", None),
        (WEEK_BEFORE, 1, "b", "t"),
        (WEEK_BEFORE, None, "b", "s"),
    ]
    tables = [(rows, VISIT), ([(0, "a"), (1, "b")], {"thing_key": "int", "thing_id": "string"})]
    tables.append(([("s",)], {"shop_id": "string"}))
    frames = [spark.createDataFrame(of, ", ".join(f"{n} {t}" for n, t in columns.items())) for of, columns in tables]
    visited, things, listed = frames if engine == "spark" else [frame.toArrow() for frame in frames]
    found = measured(visits, visited, dict(zip(visits.references, (things, listed), strict=True)))
    for examples in found.examples.values():
        examples.sort()
    assert found == Measured(
        rows={ALL: 5},
        days={str(WEEK_BEFORE): 2, str(DAY): 3},
        newest=DAY,
        unknown={visits.references[0]: {ALL: 2}, visits.references[1]: {ALL: 1}},
        counted={ALL: 5},
        examples={visits.references[0]: [1, 9], visits.references[1]: ["t"]},
    )


def test_unknown_rows_are_those_of_other_ids(spark):
    rows = spark.createDataFrame([("a",), ("b",), (None,)], "thing_id string")
    known = spark.createDataFrame([("a",)], "thing_id string")
    assert unknown_rows(rows, Reference("thing_id", THINGS), known).collect() == [("b",)]


def test_repeated_keys_are_counted_by_slice_with_examples(spark):
    rows = day(DAY, 1.0, 2.0) + day(DAY, 3.0) + day(DAY, 4.0) + day(WEEK_BEFORE, 5.0)
    found = measured(THINGS, frame("spark", rows, spark), {})
    assert found.repeated == {"2020-09-16": 2}
    assert found.examples == {ALL: ["2020-09-16 a"]}


def test_keys_that_share_a_hash_are_no_repetition(spark, monkeypatch):
    import pyspark.sql.functions as F

    monkeypatch.setattr(F, "xxhash64", lambda *columns: F.lit(1))
    rows = frame("spark", day(DAY, 1.0, 2.0, 3.0), spark).withColumn(LABEL, F.lit("x"))
    assert repeated_keys(rows, ["as_of_date", "thing_id"]).count() == 0
