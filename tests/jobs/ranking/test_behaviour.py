"""What the history says, counted by hand."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from jobs.ranking import behaviour
from jobs.ranking.histories import Bought
from jobs.retrieval.purchases import Purchases, day_number

TODAY = date(2020, 9, 16)


def history(*lines: tuple[int, int, int]) -> Purchases:
    """From (days ago, customer, article); three customers, four articles."""
    ago, customer, article = np.array(sorted(lines, key=lambda line: -line[0]), dtype=np.int32).T
    ids = [pa.array([f"{i}" for i in range(size)]) for size in (3, 4)]
    return Purchases((day_number(TODAY) - ago).astype(np.int32), customer, article, *ids)


def bought(purchases: Purchases) -> Bought:
    return Bought.of(purchases.customer, purchases.article, purchases.day, 4)


def ints(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int32)


def test_the_trend_compares_last_week_with_the_four_before() -> None:
    shop = history((1, 0, 0), (7, 1, 0), (7, 2, 0), (8, 0, 1), (35, 0, 1), (36, 0, 2))
    # Article 0: 3 units, none before. 1: none, then 2 in four weeks. 2: too long ago. 3: never.
    assert behaviour.trend(shop, TODAY) == pytest.approx(np.log([4, 1 / 1.5, 1, 1]))


def test_the_rank_counts_who_sold_more_in_the_group() -> None:
    rank = behaviour.rank_within(ints(0, 1, 0, 0, 1), np.array([5, 2, 9, 5, 0]))
    assert np.expm1(rank) == pytest.approx([1, 0, 0, 1, 1])


def test_the_repurchase_rate_counts_pairs_with_a_second_day() -> None:
    shop = history((9, 0, 0), (2, 0, 0), (5, 1, 0), (5, 1, 0), (5, 0, 1), (3, 2, 1))
    # Article 0: one of two customers came back (two units of a day are one visit); 1: none of two. Mean 1 / 4.
    rate = behaviour.repurchase_rate(bought(shop), ints(0, 1, 2, 3))
    assert rate == pytest.approx([(1 + 2.5) / 12, 2.5 / 12, 0.25, 0.25])
    assert behaviour.repurchase_rate(bought(shop), ints(0, 0, 1, 1)) == pytest.approx([3.5 / 14, 0.25])


def test_a_customers_repeats_and_visits() -> None:
    shop = history((21, 0, 0), (11, 0, 0), (11, 0, 1), (1, 0, 1), (4, 1, 0))
    # Customer 0: 4 purchases of 2 articles, on 3 days 10 apart, the last yesterday. 1: one visit. 2: none.
    assert behaviour.repeat_share(bought(shop), 3) == pytest.approx([0.5, 0, np.nan], nan_ok=True)
    gap, overdue = behaviour.visit_gaps(shop, TODAY)
    assert gap == pytest.approx([np.log(11), np.nan, np.nan], nan_ok=True)
    assert overdue == pytest.approx([np.log(2 / 11), np.nan, np.nan], nan_ok=True)


def test_newness_is_the_age_of_articles_when_bought() -> None:
    shop = history((10, 0, 0), (7, 1, 0), (7, 1, 1))
    assert behaviour.newness(shop) == pytest.approx([0, np.log(4) / 2, np.nan], nan_ok=True)


def test_the_unknown_age_is_a_band_of_its_own() -> None:
    bands = behaviour.age_bands(np.array([17, 20, 24.5, 80, np.nan], dtype=np.float32))
    assert bands.tolist() == [0, 1, 1, 7, 8]


def test_the_lift_of_an_age_band_is_smoothed() -> None:
    shop = history((1, 0, 0), (2, 0, 0), (3, 1, 0), (28, 1, 1), (29, 1, 1))
    lift = behaviour.age_band_lift(shop, TODAY, ints(0, 8, 8))
    # Four units within four weeks, two in each band; of article 0's three, 1.5 are expected in each.
    assert lift[0, [0, 8, 1]] == pytest.approx(np.log([7 / 6.5, 6 / 6.5, 1]))
    assert lift[1, [0, 8]] == pytest.approx(np.log([5 / 5.5, 6 / 5.5]))


def test_windows_end_before_the_as_of_date() -> None:
    shop = history((0, 0, 0), (-1, 0, 0), (1, 0, 1))
    assert behaviour.sales(shop, TODAY, 0, 7).tolist() == [0, 1, 0, 0]
    assert behaviour.trend(shop, TODAY)[0] == 0
