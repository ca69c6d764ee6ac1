"""Best sellers of the last seven days on the 13 purchases of the retrieval tests."""

from __future__ import annotations

from jobs.retrieval.popularity import Popularity, units_sold
from tests.jobs.retrieval.small import found_by
from tests.jobs.retrieval.test_sources import AS_OF, HISTORY


def test_everyone_gets_the_best_sellers_with_their_units() -> None:
    best_sellers = {2: 2, 3: 2, 1: 1, 0: 0, 4: 0}  # the order of popular_articles; 0 and 4 only fill up
    found = found_by(Popularity(HISTORY, AS_OF), 3, 0)
    assert found == [best_sellers, best_sellers]
    assert list(found[0]) == list(best_sellers)


def test_units_of_a_window() -> None:
    assert units_sold(HISTORY, AS_OF).tolist() == [0, 1, 2, 2, 0, 0, 0]
    assert units_sold(HISTORY, AS_OF, 8).tolist() == [0, 1, 2, 2, 3, 0, 0]
