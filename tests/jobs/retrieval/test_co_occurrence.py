"""Item-to-item similarities computed by hand on ten purchases."""

from __future__ import annotations

import pytest

from jobs.retrieval import co_occurrence
from jobs.retrieval.co_occurrence import CoOccurrence
from jobs.retrieval.recent import RecentPurchases
from tests.jobs.retrieval.small import found_by, on, purchases

AS_OF = on(300)
# Customers 0 and 1 bought 0 and 1 fourteen days ago, customer 2 bought 0 and 2. Customer 3 bought 0 ninety days ago, so
# it is not counted for similarities; customer 4 nothing.
ROWS = [(286, 0, 0), (286, 0, 1), (286, 1, 0), (286, 1, 1), (286, 2, 0), (286, 2, 2), (210, 3, 0)]
#: A purchase of fourteen days ago, of two in its customer's row.
UNIT = 0.5 / 2**0.5


def source(rows: list[tuple[int, int, int]]) -> CoOccurrence:
    history = purchases(rows, customers=6, articles=5)
    return CoOccurrence(RecentPurchases(history.before(AS_OF)), AS_OF)


def test_similarity_is_the_chance_to_buy_damped_by_popularity() -> None:
    # Two of the three buyers of 0 bought 1, whose popularity is 2 x UNIT; one bought 2. Five unknown buyers are added
    # to the three. Ninety days are one and a half half lives of customer 3's purchase.
    (found,) = found_by(source(ROWS), 3)
    expected = {1: 2 * UNIT / 8 / (2 * UNIT) ** 0.3 * 2**-1.5, 2: UNIT / 8 / UNIT**0.3 * 2**-1.5}
    assert list(found) == [1, 2]
    assert found == pytest.approx(expected)


def test_scores_of_own_articles_add_up_and_own_articles_are_found() -> None:
    weight = 2 ** (-14 / 60)
    zero = 2 * UNIT / 7 / (3 * UNIT) ** 0.3  # from 1, bought by two
    one, two = 2 * UNIT / 8 / (2 * UNIT) ** 0.3, UNIT / 8 / UNIT**0.3  # from 0, bought by three
    assert found_by(source(ROWS), 0, 4) == [pytest.approx({1: weight * one, 0: weight * zero, 2: weight * two}), {}]
    both = found_by(source([*ROWS, (200, 5, 0), (200, 5, 2)]), 5)[0]
    from_two = UNIT / 6 / (3 * UNIT) ** 0.3  # 0 from 2, bought by one
    weight = 2 ** (-100 / 60)
    assert both == pytest.approx({0: weight * from_two, 1: weight * one, 2: weight * two})
    # Two ways lead to the same article: 1 and 2 both to 0.
    own = found_by(source([*ROWS, (200, 5, 1), (200, 5, 2)]), 5)[0]
    assert own == pytest.approx({0: weight * (zero + from_two)})


def test_an_old_article_leads_to_a_new_one_and_not_back() -> None:
    # Customer 0 bought 3 long ago and 4 yesterday; customers 1 and 2 have one of them each.
    rows = [(100, 0, 3), (299, 0, 4), (210, 1, 3), (299, 2, 4)]
    old, new = found_by(source(rows), 1, 2)
    fresh = 2 ** (-1 / 14)
    assert old == pytest.approx({4: 2**-1.5 * fresh / 6 / (2 * fresh) ** 0.3})
    assert new == {}


def test_blocks_of_articles_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = found_by(source(ROWS), 0, 1, 2, 3)
    monkeypatch.setattr(co_occurrence, "BLOCK", 2)
    assert found_by(source(ROWS), 0, 1, 2, 3) == whole
