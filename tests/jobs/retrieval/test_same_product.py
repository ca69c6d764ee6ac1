"""Variants of bought products, on a dozen purchases."""

from __future__ import annotations

import pytest

from jobs.retrieval.recent import RecentPurchases
from jobs.retrieval.same_product import SameProduct
from tests.jobs.retrieval.small import codes, found_by, on, purchases

# Day, customer, article. The as-of day is 60, so variants must have sold on days 32..59.
ROWS = [
    (10, 0, 0), (30, 1, 0), (40, 0, 4), (50, 1, 1), (50, 3, 1), (51, 3, 1), (52, 3, 2), (55, 3, 5), (56, 3, 5),
    (57, 3, 5), (58, 4, 4), (20, 3, 3), (60, 3, 6),
]  # fmt: skip
#: 0, 1, 2, 3 are variants of one product, 4, 5, 6 of another.
PRODUCT = codes(0, 0, 0, 0, 1, 1, 1)
AS_OF = on(60)
HISTORY = purchases(ROWS, customers=6, articles=7)
SOURCE = SameProduct(RecentPurchases(HISTORY.before(AS_OF)), HISTORY, AS_OF, PRODUCT)


def test_variants_by_the_latest_purchase_of_the_product_then_by_sales() -> None:
    # Customer 0 bought product 1 twenty days ago (5 sold 3 units since day 32) and product 0 fifty days ago (1 sold 3
    # units, 2 sold one, 3 none since day 20, and 0 is bought already).
    (found,) = found_by(SOURCE, 0)
    assert list(found) == [5, 1, 2]
    assert found == pytest.approx({5: -20 + 3 / 4, 1: -50 + 3 / 4, 2: -50 + 1 / 2})


def test_a_product_bought_twice_counts_from_its_last_purchase_and_bought_variants_are_not_found() -> None:
    # Customer 1 bought variants 0 and 1 of product 0, the last time ten days ago.
    assert found_by(SOURCE, 1) == [pytest.approx({2: -10 + 1 / 2})]


def test_nothing_without_history_nor_without_other_variants() -> None:
    assert found_by(SOURCE, 5, 2) == [{}, {}]
    assert found_by(SOURCE, 3) == [pytest.approx({4: -3 + 2 / 3})], "6 sells on the as-of day only"
