"""Factors of products: two tastes, variants that sell, and shops that need none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from jobs.retrieval import product_factors
from jobs.retrieval.context import SourceContext
from jobs.retrieval.product_factors import ProductFactors
from tests.jobs.retrieval.small import codes, found_by, on, purchases

AS_OF = on(100)
#: Products 0 to 3 are of one taste, 4 to 7 of another; article 2p is a variant of product p, as is 2p + 1.
PRODUCT = codes(*(article // 2 for article in range(16)))
#: Ten customers of each taste bought three of its four products, mostly the even variants.
ROWS = [
    (40 + customer + product, customer, 2 * (taste * 4 + product) + (product == customer % 4))
    for customer in range(20)
    for taste in [customer % 2]
    for product in range(4)
    if product != (customer // 2) % 4
]
NEWCOMER = 20


def source(rows: list[tuple[int, int, int]], half_life: int = 50) -> ProductFactors:
    history = purchases(rows, customers=22, articles=16)
    return ProductFactors(history.before(AS_OF), AS_OF, PRODUCT, half_life)


@pytest.mark.parametrize("taste", [0, 1])
def test_who_bought_one_product_gets_those_of_the_same_taste(taste: int) -> None:
    (found,) = found_by(source([*ROWS, (99, NEWCOMER, taste * 8)]), NEWCOMER)
    assert {int(PRODUCT[article]) // 4 for article in list(found)[:4]} == {taste}
    assert found_by(source(ROWS), NEWCOMER) == [{}]


def test_the_variant_that_sells_comes_first_and_only_some_of_a_product() -> None:
    rows = [*ROWS, (99, NEWCOMER, 0), *((90, customer, 3) for customer in range(0, 20, 2))]
    (found,) = found_by(source(rows), NEWCOMER)
    order = list(found)
    assert order.index(3) < order.index(2), "ten units of late against older ones"
    one = replace(purchases(rows, customers=22, articles=16), product=None)
    alike = ProductFactors(one.before(AS_OF), AS_OF, codes(*[0] * 16), 50)
    assert len(found_by(alike, NEWCOMER)[0]) == product_factors.VARIANTS


def test_a_product_that_came_yesterday_is_found() -> None:
    rows = [row for row in ROWS if PRODUCT[row[2]] != 3] + [(99, customer, 6) for customer in range(0, 20, 4)]
    assert 6 in list(found_by(source([*rows, (99, NEWCOMER, 0)]), NEWCOMER)[0])[:4]


def test_a_variant_that_is_only_listed_changes_nothing() -> None:
    """Of the last product, before all articles: an id that says nothing of the product, of one not sold yet."""
    listed = purchases([(day, customer, article + 1) for day, customer, article in ROWS], customers=22, articles=17)
    product = np.append(codes(0), np.where(PRODUCT == 7, 0, PRODUCT + 1).astype(np.int32))
    found = ProductFactors(listed.before(AS_OF), AS_OF, product, 50)
    moved = [{article - 1: score for article, score in of.items()} for of in found_by(found, *range(20))]
    assert moved == found_by(source(ROWS), *range(20))


def context(rows: list[tuple[int, int, int]]) -> SourceContext:
    group = np.zeros_like(PRODUCT)
    history = purchases(rows, customers=22, articles=16)
    return SourceContext(history, AS_OF, PRODUCT, group, group, codes(*[0] * 22), np.zeros((16, 0), np.float32))


def test_only_where_a_week_has_few_units_of_an_article() -> None:
    busy = [*ROWS, *((99, customer, article) for customer in range(5) for article in range(16))]
    assert found_by(product_factors.build(context(busy)), 0) == [{}]
    assert found_by(product_factors.build(context(ROWS)), 0) != [{}]
