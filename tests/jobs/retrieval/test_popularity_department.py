"""Best sellers of a customer's departments, on a dozen purchases."""

from __future__ import annotations

import pytest

from jobs.retrieval.popularity_department import PopularityByDepartment
from jobs.retrieval.recent import RecentPurchases
from tests.jobs.retrieval.small import codes, found_by, on, purchases

# Day, customer, article. The as-of day is 130: customer 0 bought 0 sixty days before it, and 2 a hundred and twenty.
ROWS = [
    (10, 0, 2), (70, 0, 0), (90, 1, 4), (125, 2, 0), (125, 2, 1), (126, 2, 1), (127, 2, 1), (128, 2, 3), (128, 2, 3),
    (129, 2, 3), (129, 2, 3), (122, 2, 2), (130, 2, 2),
]  # fmt: skip
DEPARTMENT = codes(0, 0, 1, 1, 2)
AS_OF = on(130)
HISTORY = purchases(ROWS, customers=4, articles=5)
SOURCE = PopularityByDepartment(RecentPurchases(HISTORY.before(AS_OF)), HISTORY, AS_OF, DEPARTMENT)


def test_units_times_the_share_of_the_department() -> None:
    # After one and two half lives the departments weigh 1/2 and 1/4: shares of 2/3 and 1/3. In the last 7 days 0 sold
    # 1 unit and 1 sold 3; 3 sold 4, and 2 sold its last one 8 days ago.
    (found,) = found_by(SOURCE, 0)
    assert list(found) == [1, 3, 0]
    assert found == pytest.approx({1: 3 * 2 / 3, 3: 4 / 3, 0: 2 / 3})


def test_nothing_without_history_nor_from_departments_that_sold_nothing() -> None:
    assert found_by(SOURCE, 3, 1) == [{}, {}]


def test_a_share_is_the_same_however_long_ago_it_all_was() -> None:
    rows = [(0, 0, 0), (0, 0, 2), (1500, 1, 1), (1500, 1, 1), (1500, 1, 3)]
    history = purchases(rows, customers=2, articles=5)
    source = PopularityByDepartment(RecentPurchases(history), history, on(1501), DEPARTMENT)
    assert found_by(source, 0) == [pytest.approx({1: 1.0, 3: 0.5})]
