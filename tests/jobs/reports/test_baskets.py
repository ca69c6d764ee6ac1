"""Stocks, cohorts, churn and segments of random purchases beside plain loops over their definitions."""

from __future__ import annotations

import calendar
from collections import defaultdict
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from pyspark.sql import DataFrame, SparkSession

from jobs.reports import baskets, churn, figures
from jobs.reports.business_metrics import polars

AS_OF = date(2020, 9, 23)
CUSTOMERS, DAYS = 40, 500

#: Customer -> days with a purchase, ascending.
Days = dict[int, list[date]]


def random_days(seed: int = 7) -> Days:
    """Some customers buy often, some once, and many stay away for months."""
    random = np.random.default_rng(seed)
    days: Days = defaultdict(list)
    for customer in range(CUSTOMERS):
        count = int(random.integers(1, 14))
        found = {AS_OF - timedelta(days=int(n)) for n in random.integers(1, DAYS, count)}
        days[customer] = sorted(found)
    return days


@pytest.fixture(scope="module")
def days() -> Days:
    return random_days()


@pytest.fixture(scope="module")
def made(interpreted: SparkSession, days: Days) -> DataFrame:
    """Baskets of those, two units each, and purchases from the as-of date on, which change nothing."""
    rows = [(day, customer, 1, 0.5, 1) for customer, found in days.items() for day in found for _ in range(2)]
    rows += [(AS_OF + timedelta(days=n), customer, 1, 9.0, 2) for customer in days for n in range(2)]
    names = "t_dat date, customer_key int, article_key int, price double, sales_channel_id int"
    lines = baskets.known_lines(interpreted.createDataFrame(rows, names), AS_OF)
    return baskets.baskets(lines, baskets.customer_groups(people(interpreted, days))).persist()


def people(spark: SparkSession, days: Days) -> DataFrame:
    names = "customer_key int, customer_id string, age int, club_member_status string"
    return spark.createDataFrame([(c, f"c{c:02d}", None, None) for c in days], names)


def test_rates_of_every_week(made: DataFrame, days: Days) -> None:
    """Active customers, retention, churn and repeat purchases, as of each week's end."""
    weekly = polars(baskets.weekly_counts(made))
    weeks = weekly["weeks_ago"].max() + 1  # type: ignore[operator]
    metrics = figures.customer_metrics(weekly, weeks).filter(pl.col("segment_type") == "all")
    found = {
        (week, metric): value for week, metric, value in metrics.select("weeks_ago", "metric", "value").iter_rows()
    }
    for week in range(weeks - 1):
        end = AS_OF - timedelta(weeks=week)
        start = end - timedelta(weeks=1)
        until = {c: [day for day in found_days if day < end] for c, found_days in days.items()}
        bought = {c for c, known in until.items() if known and known[-1] >= start}
        before = {c for c, known in until.items() if any(start - timedelta(weeks=1) <= day < start for day in known)}
        known = [c for c in until if until[c]]
        assert found.get((week, "active_customers"), 0) == len(bought)
        if before:
            assert found[week, "retention_7d"] == pytest.approx(len(before & bought) / len(before))
        assert found[week, "repeat_purchase_rate"] == pytest.approx(sum(len(until[c]) > 1 for c in known) / len(known))
        lately = {
            c for c in known if (opened := [d for d in until[c] if d < start]) and (start - opened[-1]).days <= 90
        }
        if lately:
            gone = found[week, "churned_customers"]
            assert found[week, "churn_rate_90d"] == pytest.approx(gone / len(lately))
    gaps = [b - a for known in days.values() for a, b in zip(known, [*known[1:], AS_OF], strict=True)]
    assert sum(found[week, "churned_customers"] for week in range(weeks)) == sum(gap.days > 90 for gap in gaps)


def test_cohorts(made: DataFrame, days: Days) -> None:
    metrics = figures.cohort_metrics(polars(baskets.cohort_counts(made, AS_OF)), AS_OF)
    found = {
        (cohort, metric): value for cohort, metric, value in metrics.select("segment", "metric", "value").iter_rows()
    }
    expected = {}
    for month in {known[0].strftime("%Y-%m") for known in days.values()}:
        cohort = [known for known in days.values() if known[0].strftime("%Y-%m") == month]
        end = date(int(month[:4]), int(month[5:]), calendar.monthrange(int(month[:4]), int(month[5:]))[1])
        period = 1
        while end + timedelta(days=30 * (period + 1)) <= AS_OF:
            again = sum(any(30 * period <= (d - known[0]).days < 30 * period + 30 for d in known) for known in cohort)
            expected[month, f"retention_30d_{period}"] = pytest.approx(again / len(cohort))
            period += 1
    assert found == expected and any(value for value in found.values())


def band(value: int, limits: tuple[int, ...]) -> int:
    return sum(value > limit for limit in limits)


def test_churn_probability_and_its_check(interpreted: SparkSession, made: DataFrame, days: Days) -> None:
    """Learnt from the 90 days before, told as of 90 days ago, compared with what then happened."""

    def cells(ago: int) -> dict[tuple[int, int], list[bool]]:
        """Whether each customer churned within 90 days, by recency and frequency that long ago."""
        then, found = AS_OF - timedelta(days=ago), defaultdict(list)
        for known in days.values():
            if before := [d for d in known if d < then]:
                cell = band((then - before[-1]).days, (7, 14, 30, 60, 90, 180, 365)), band(len(before), (1, 2, 4, 9))
                found[cell].append(not any(then <= d < then + timedelta(days=90) for d in known))
        return found

    states = polars(baskets.state_counts(made))
    learnt = {cell: sum(gone) / len(gone) for cell, gone in cells(180).items()}
    expected: dict[int, list[float]] = defaultdict(lambda: [0, 0.0, 0, 0.0])
    for cell, gone in cells(90).items():
        for churned in gone if cell in learnt else []:
            for n, add in enumerate((1, learnt[cell], churned, (learnt[cell] - churned) ** 2)):
                expected[cell[0]][n] += add
    metrics = churn.churn_metrics(states).filter(pl.col("segment_type") == "recency_band")
    found = {
        (segment, metric): (customers, value)
        for segment, metric, customers, value in metrics.select(
            "segment", "metric", "customer_count", "value"
        ).iter_rows()
    }
    assert len(found) == 3 * len(expected) > 9
    for recency, (count, *sums) in expected.items():
        name = f"up to {baskets.RECENCY_BANDS[recency]} days" if recency < 7 else "over 365 days"
        for metric, total in zip(("churn_probability", "churn_realised", "churn_brier"), sums, strict=True):
            assert found[name, metric] == (count, pytest.approx(total / count))
    shares = {(r, f): share for r, f, share in churn.churn_shares(states, 90).iter_rows()}
    mean = sum(len(known) for known in days.values()) / len(days)  # two units of 0.5 a basket
    rows = baskets.segments(made, people(interpreted, days), shares, mean, AS_OF, "r")
    segmented = polars(rows).sort("customer_id").to_dicts()
    assert [segment_of(row) for row in segmented] == [row["segment"] for row in segmented]
    assert len({row["segment"] for row in segmented}) > 4
    of_cell = {cell: sum(gone) / len(gone) for cell, gone in cells(90).items()}
    for row, known in zip(segmented, days.values(), strict=True):
        recency = (AS_OF - known[-1]).days
        cell = band(recency, (7, 14, 30, 60, 90, 180, 365)), band(len(known), (1, 2, 4, 9))
        assert (row["recency_days"], row["basket_count"]) == (recency, len(known))
        told = of_cell.get(cell)
        assert row["churn_probability"] == (told if told is None else pytest.approx(told))


def segment_of(row: dict) -> str:
    """The first of RFM_SEGMENTS' rules that holds, as they are written there."""
    from expectations.business import RFM_SEGMENTS

    scores = {letter: row[f"{letter}_score"] for letter in "rfm"}
    for name, rule in RFM_SEGMENTS.items():
        parts = [] if rule == "all others" else rule.split(", ")
        terms = [part.split() for part in parts]
        is_at = {">=": lambda a, b: a >= b, "=": lambda a, b: a == b}
        if all(is_at[sign](scores[letter], int(limit)) for letter, sign, limit in terms):
            return name
    raise AssertionError("no rule")
