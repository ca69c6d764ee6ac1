"""The less an article sells, the longer the windows of the sources."""

from __future__ import annotations

import pytest

from jobs.retrieval.windows import CHOICES, Windows
from tests.jobs.retrieval.small import on, purchases

AS_OF_DAY = 40


@pytest.mark.parametrize(
    ("sold_every", "popular"),
    [(1, 7), (4, 14), (9, 28), (40, 28)],
    ids=["every day: 7 a week", "1.75 a week, 3.5 in two", "3.1 in four weeks", "hardly at all"],
)
def test_the_shortest_window_with_enough_units_per_article(sold_every: int, popular: int) -> None:
    lines = [(day, 0, article) for article in range(3) for day in range(AS_OF_DAY) if not day % sold_every]
    lines += [(AS_OF_DAY, 1, 0)] * 99  # too late to be known
    windows = Windows.of(purchases(lines, customers=2, articles=4), on(AS_OF_DAY))
    assert windows[:4] == (popular, 4 * popular, 8 * popular, 2 * popular)
    assert f"best sellers of {popular} days" in str(windows)


def test_a_shop_that_sold_nothing_has_the_longest() -> None:
    assert Windows.of(purchases([], customers=1, articles=1), on(AS_OF_DAY)).popular == CHOICES[-1]


@pytest.mark.parametrize(("units", "is_sparse"), [(4.9, True), (5.0, False)])
def test_a_shop_is_sparse_below_five_units_of_an_article_a_week(units: float, is_sparse: bool) -> None:
    assert Windows(7, 28, 56, 14, units).is_sparse is is_sparse
