"""Stocks, cohorts, churn and segments of random purchases beside plain loops over their definitions."""

from __future__ import annotations

import calendar
from collections import defaultdict
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from jobs.reports import baskets, churn, figures

AS_OF = date(2020, 9, 23)
CUSTOMERS, DAYS = 40, 500
LINE_TYPES = (pl.Int32, pl.Int32, pl.Date, pl.Float64, pl.Int32)

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
def made(days: Days) -> pl.DataFrame:
    """Baskets of those, two units each, and purchases from the as-of date on, which change nothing."""
    rows = [(customer, 0, day, 0.5, 1) for customer, found in days.items() for day in found for _ in range(2)]
    rows += [(customer, 0, AS_OF + timedelta(days=n), 9.0, 2) for customer in days for n in range(2)]
    lines = pl.DataFrame(rows, schema=dict(zip(baskets.LINE, LINE_TYPES, strict=True)), orient="row")
    return baskets.baskets(baskets.basket_sums(baskets.known_lines(lines, AS_OF)), people(days))


def people(days: Days) -> pl.DataFrame:
    nothing = {name: pl.lit(None, kind) for name, kind in (("age", pl.Int32), ("club_member_status", pl.String))}
    customers = pl.DataFrame({"customer_key": list(days)}, schema={"customer_key": pl.Int32})
    return baskets.customer_groups(customers.with_columns(**nothing))


def test_rates_of_every_week(made: pl.DataFrame, days: Days) -> None:
    """Active customers, retention, churn and repeat purchases, as of each week's end."""
    weekly = baskets.weekly_counts(made)
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


def test_cohorts(made: pl.DataFrame, days: Days) -> None:
    metrics = figures.cohort_metrics(baskets.cohort_counts(made, AS_OF), AS_OF)
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


def test_churn_probability_and_its_check(made: pl.DataFrame, days: Days) -> None:
    """Learnt from the 90 days before, as of 90 days ago, compared with what then happened."""

    def cells(ago: int) -> dict[tuple[int, int], list[bool]]:
        """Whether each customer churned within 90 days, by recency and frequency that long ago."""
        then, found = AS_OF - timedelta(days=ago), defaultdict(list)
        for known in days.values():
            if before := [d for d in known if d < then]:
                cell = band((then - before[-1]).days, (7, 14, 30, 60, 90, 180, 365)), band(len(before), (1, 2, 4, 9))
                found[cell].append(not any(then <= d < then + timedelta(days=90) for d in known))
        return found

    states = baskets.state_counts(made)
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
    known = baskets.known_customers(made, 0).with_columns(customer_id=pl.format("c{}", pl.col("customer_key") + 10))
    segmented = baskets.segments(known, shares, mean).sort("customer_id").to_dicts()
    assert [segment_of(row) for row in segmented] == [row["segment"] for row in segmented]
    assert len({row["segment"] for row in segmented}) > 4
    of_cell = {cell: sum(gone) / len(gone) for cell, gone in cells(90).items()}
    for row, known in zip(segmented, days.values(), strict=True):
        recency = (AS_OF - known[-1]).days
        cell = band(recency, (7, 14, 30, 60, 90, 180, 365)), band(len(known), (1, 2, 4, 9))
        assert (row["recency_days"], row["basket_count"]) == (recency, len(known))
        share = of_cell.get(cell)
        assert row["churn_probability"] == (share if share is None else pytest.approx(share))


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


def test_what_came_before_half_a_year_can_be_one_row_a_customer(made: pl.DataFrame, days: Days) -> None:
    """The newest weeks are counted the same; only who bought nothing but in those before may differ in older ones."""
    horizon = 182
    sums = made.filter(pl.col("days_before") <= horizon).select(
        "customer_key", "days_before", "units", "revenue", "store_units", "store_revenue"
    )
    again = baskets.baskets(sums, people(days), baskets.known_customers(made, horizon))
    newest = pl.col("days_before") <= horizon
    assert (
        again.filter(newest)
        .sort("customer_key", "days_before")
        .equals(made.filter(newest).sort("customer_key", "days_before"))
    )

    def figures_of(some: pl.DataFrame) -> list[dict]:
        weekly = figures.customer_metrics(baskets.weekly_counts(some), DAYS // 7 + 1)
        cohorts = figures.cohort_metrics(baskets.cohort_counts(some, AS_OF), AS_OF)
        recent = pl.concat([weekly, cohorts]).filter(pl.col("weeks_ago") <= 12)
        states = churn.churn_metrics(baskets.state_counts(some))
        return pl.concat([recent, states]).sort(pl.all()).to_dicts()

    assert figures_of(again) == figures_of(made) and len(figures_of(made)) > 300
