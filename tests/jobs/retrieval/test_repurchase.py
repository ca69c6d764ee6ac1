"""Own purchases on the 13 purchases of the retrieval tests."""

from __future__ import annotations

import pytest

from jobs.retrieval.purchases import day_number
from jobs.retrieval.recent import RecentPurchases
from jobs.retrieval.repurchase import COUNT, Repurchase
from tests.jobs.retrieval.small import codes, found_by, on, purchases
from tests.jobs.retrieval.test_sources import AS_OF, HISTORY


def test_latest_day_then_units_then_code() -> None:
    found = found_by(Repurchase(RecentPurchases(HISTORY.before(AS_OF)), AS_OF), 2, 0, 3, 1)
    assert [list(row) for row in found] == [[4], [1, 3, 2, 0], [], [2, 0]]
    # Customer 0 bought 1 and 3 twice, the last time a day ago, 2 once seven days ago, 0 twice 19 days ago.
    assert list(found[1].values()) == pytest.approx([-1 + 2 / 3, -1 + 2 / 3, -7 + 1 / 2, -19 + 2 / 3])
    assert found[0] == pytest.approx({4: -8 + 3 / 4})


def test_no_more_than_its_count_and_the_latest_of_them() -> None:
    history = purchases([(day, 0, day) for day in range(COUNT + 5)], customers=1, articles=COUNT + 5)
    (found,) = found_by(Repurchase(RecentPurchases(history), on(COUNT + 5)), 0)
    assert list(found) == list(range(COUNT + 4, 4, -1))


def test_who_bought_what_ever() -> None:
    recent = RecentPurchases(HISTORY.before(AS_OF))
    row = codes(0, 0, 1, 1, 1, 2).astype("int64")
    assert recent.has_bought(codes(1, 0, 3), row, codes(0, 1, 3, 4, 0, 0)).tolist() == [
        True,
        False,
        True,
        False,
        True,
        False,
    ]
    assert recent.of(codes(0, 3, 2)).tolist() == [[1, 3, 2, 0], [-1] * 4, [4, -1, -1, -1]]


def test_who_bought_lately() -> None:
    recent = RecentPurchases(HISTORY.before(AS_OF))
    assert recent.buyers_since(day_number(on(13))).tolist() == [0, 1]
    assert recent.buyers_since(day_number(on(12))).tolist() == [0, 1, 2]
    assert recent.buyers_since(day_number(on(20))).tolist() == []
