"""interaction_features: calendar and weeks, by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from expectations.features import INTERACTION_FEATURES
from jobs.features.interactions import transform
from jobs.platform.schemas import arrow_schema
from tests.jobs.features.histories import Line, exact, rows

WEEKS = [date(2020, 9, 9), date(2020, 9, 2)]
LINES = [
    (date(2020, 9, 9), "a", "x", 0.5, 2),  # Wednesday: the week's first day
    (date(2020, 9, 15), "a", "x", 0.5, 2),  # Tuesday: its last
    (date(2020, 9, 12), "a", "y", 1.5, 1),  # Saturday, two units
    (date(2020, 9, 12), "a", "y", 1.5, 1),
    (date(2020, 9, 6), "b", "x", 0.5, 2),  # Sunday of the week before
    (date(2020, 9, 16), "b", "x", 0.5, 2),  # the as-of date
    (date(2020, 9, 1), "b", "x", 0.5, 2),  # before the weeks asked for
]


@pytest.fixture
def made(spark: SparkSession) -> Callable[[Sequence[Line], Sequence[date]], pa.Table]:
    """The table of some lines."""

    def made(lines: Sequence[Line], weeks: Sequence[date]) -> pa.Table:
        columns = "t_dat date, customer_id string, article_id string, price double, sales_channel_id int"
        return transform(spark.createDataFrame(list(lines), columns), weeks).toArrow()

    return made


def test_by_hand(made):
    found = rows(made(LINES, WEEKS))
    assert list(found[0]) == INTERACTION_FEATURES.column_names
    assert [list(row.values()) for row in found] == [
        [date(2020, 9, 2), date(2020, 9, 6), "b", "x", 0.5, 2, 7, 9, True],
        [date(2020, 9, 9), date(2020, 9, 9), "a", "x", 0.5, 2, 3, 9, False],
        [date(2020, 9, 9), date(2020, 9, 12), "a", "y", 1.5, 1, 6, 9, True],
        [date(2020, 9, 9), date(2020, 9, 12), "a", "y", 1.5, 1, 6, 9, True],
        [date(2020, 9, 9), date(2020, 9, 15), "a", "x", 0.5, 2, 2, 9, False],
    ]


def test_agrees_with_the_calendar_on_every_day_of_two_years(made):
    days = [date(2019, 1, 2) + timedelta(n) for n in range(728)]
    lines = [(day, "a", "x", 1.0, 1) for day in days]
    for row in rows(made(lines, days[::7])):
        day = row["t_dat"]
        assert (row["day_of_week"], row["month"]) == (day.isoweekday(), day.month)
        assert row["is_weekend"] == (day.isoweekday() in (6, 7))
        assert row["week_start_date"].isoweekday() == 3
        assert timedelta(0) <= day - row["week_start_date"] < timedelta(7)


def test_types_are_the_contracts(made):
    made_types = {field.name: field.type for field in made(LINES, WEEKS).schema}
    assert made_types == {field.name: field.type for field in arrow_schema(INTERACTION_FEATURES)}


def test_later_transactions_change_nothing(made):
    past = [line for line in LINES if line[0] < date(2020, 9, 16)]
    assert exact(made(LINES, WEEKS)) == exact(made(past, WEEKS))
