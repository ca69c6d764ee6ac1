"""Best sellers of an age band on the 13 purchases of the retrieval tests."""

from __future__ import annotations

import pytest

from jobs.retrieval.popularity_age_band import PopularityByAgeBand
from tests.jobs.retrieval.small import codes, found_by, on, purchases
from tests.jobs.retrieval.test_sources import AS_OF, HISTORY


def test_a_bands_own_sales_beside_everybodys() -> None:
    # In the last 7 days customer 0 bought 1 and 2 once and 3 twice, and customer 1 bought 2 once: of 5 units, 2 are of
    # article 2, 2 of article 3 and one of article 1. Everybody's shares weigh 1000 units.
    found = found_by(PopularityByAgeBand(HISTORY, AS_OF, codes(0, 1, 2, 1)), 0, 1, 2, 3)
    first = {3: 402 / 1004, 2: 401 / 1004, 1: 201 / 1004}
    second = {2: 401 / 1001, 3: 400 / 1001, 1: 200 / 1001}
    silent = {2: 0.4, 3: 0.4, 1: 0.2}
    assert found == [pytest.approx(band) for band in (first, second, silent, second)]
    assert [list(row) for row in found] == [[3, 2, 1], [2, 3, 1], [2, 3, 1], [2, 3, 1]]


def test_a_large_band_has_its_own_order() -> None:
    history = purchases([(1, 0, 0)] * 3000 + [(1, 1, 1)] * 4000, customers=3, articles=2)
    old, young = found_by(PopularityByAgeBand(history, on(2), codes(0, 1, 1)), 0, 2)
    assert old == pytest.approx({0: (3000 + 1000 * 3 / 7) / 4000, 1: 1000 * 4 / 7 / 4000})
    assert list(young) == [1, 0]
