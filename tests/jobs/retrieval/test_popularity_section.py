"""Best sellers of a customer's sections, whose units fade."""

from __future__ import annotations

import pytest

from jobs.retrieval.popularity_section import PopularityBySection, decayed_units
from jobs.retrieval.recent import RecentPurchases
from tests.jobs.retrieval.small import codes, found_by, on, purchases

# Day, customer, article. The as-of day is 20: units of day 10 count half, those of day 0 a quarter.
ROWS = [(0, 1, 1), (0, 1, 1), (0, 1, 1), (10, 1, 2), (10, 1, 3), (10, 0, 0), (20, 1, 1), (20, 1, 2)]
SECTION = codes(0, 0, 0, 1)
HISTORY = purchases(ROWS, customers=3, articles=4)


def test_units_fade() -> None:
    assert decayed_units(HISTORY.before(on(20)), on(20), 10).tolist() == [0.5, 0.75, 0.5, 0.5]


def test_the_best_of_the_customers_sections() -> None:
    source = PopularityBySection(RecentPurchases(HISTORY.before(on(20))), HISTORY, on(20), SECTION, 10)
    assert found_by(source, 0, 2) == [pytest.approx({1: 0.75, 0: 0.5, 2: 0.5}), {}]
