"""What shoppers met, and the picks that follow, by hand."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import sparse

from jobs.platform.codes import NO_ARTICLE
from jobs.recommenders.embedding_filtering import SHELF_DAYS, NearTaste, near_taste, shelf
from jobs.recommenders.interactions import Shoppers, shoppers
from jobs.recommenders.user_based import met_by_neighbours
from jobs.recommenders.user_knn import UserNeighbours
from tests.jobs.recommenders.shops import two_tastes
from tests.jobs.retrieval.small import codes, found_by, on, purchases

SHOP = purchases([(0, 0, 0), (25, 1, 1), (29, 0, 2)], customers=3, articles=4)
TODAY = on(30)


def event(day: int, article: str, kind: str = "view", weight: float = 1, **who: str) -> dict[str, Any]:
    return {"event_date": on(day), "event_type": kind, "weight": weight, "article_id": article, **who}


def log(*events: dict[str, Any]) -> pa.Table:
    columns = {"customer_id": pa.string(), "visitor_id": pa.string(), "article_id": pa.string()}
    types = {"event_date": pa.date32(), "event_type": pa.string(), "weight": pa.float64()} | columns
    return pa.Table.from_pylist(list(events), pa.schema(list(types.items())))


def met(*events: dict[str, Any], today: date = TODAY) -> Shoppers:
    return shoppers(SHOP, log(*events), today)


def test_purchases_and_events_weigh_by_type_and_age() -> None:
    """A purchase of 30 days ago half of two of 60; a cart of a week ago half of three fifths of one of today."""
    found = met(
        event(23, "a03", "cart", 3, customer_id="c2", visitor_id="x"), event(29, "a00", customer_id="c0"),
        event(28, "a01", "impression", 0, customer_id="c2"), event(29, "gone", customer_id="c2"),
    )  # fmt: skip
    day = 2 ** (-1 / 60)
    expected = [[2**-0.5 + 0.2 * 2 ** (-1 / 7), 0, day, 0], [0, 2 ** (-5 / 60), 0, 0], [0, 0, 0, 0.3]]
    np.testing.assert_allclose(found.weight.toarray(), expected, rtol=1e-6)
    assert found.has_events.tolist() == [True, False, True] and not len(found.others)
    assert [int(day - found.last_day[0]) for day in found.last_day] == [0, -4, -6]


def test_the_log_does_not_count_a_customers_purchase_again() -> None:
    """It is among the purchases already; of a visitor whom nobody knows it is not."""
    twice = met(event(29, "a02", "purchase", 5, customer_id="c0"), event(29, "a02", "purchase", 5, visitor_id="x"))
    assert (twice.weight[:3] != met().weight).nnz == 0
    assert twice.others.to_pylist() == ["v:x"] and twice.weight[3, 2] == pytest.approx(2 ** (-1 / 7))


def test_who_is_no_customer_counts_from_the_first_view() -> None:
    found = met(event(29, "a01", visitor_id="x"), event(29, "a01", visitor_id="y", customer_id="new"))
    assert found.others.to_pylist() == ["c:new", "v:x"] and found.weight.shape == (5, 4)
    picked = found_by(met_by_neighbours(found, SHOP, TODAY, 2), 3, 4)
    assert all(1 in own for own in picked)  # each other's, and customer 1's, who bought it


def test_nothing_from_the_date_on_counts() -> None:
    """Whatever is done that day or later, by the log's own date."""
    later = (event(30, "a03", "cart", 3, customer_id="c1"), event(44, "a00", visitor_id="x"))
    before = met(event(29, "a00", customer_id="c1"))
    after = met(event(29, "a00", customer_id="c1"), *later)
    assert (before.weight != after.weight).nnz == 0 and before.weight.shape == after.weight.shape
    np.testing.assert_array_equal(before.last_day, after.last_day)


def test_without_events_it_is_user_knn() -> None:
    shop, today = two_tastes(), on(40)
    found = shoppers(shop, log(), today)
    own = met_by_neighbours(found, shop, today, 5).of(np.arange(24, dtype=np.int32))
    other = UserNeighbours().at(shop, today, 5).of(np.arange(24, dtype=np.int32))
    np.testing.assert_array_equal(own.articles, other.articles)


def test_a_taste_is_the_weighted_mean_of_vectors() -> None:
    """Three parts north and one east: nearest is what lies north; nothing that cannot be picked, or is unknown."""
    vectors = np.array([[0, 1], [1, 0], [0.6, 0.8], [0, 0], [0, 1]], dtype=np.float32)
    weight = sparse.csr_matrix(np.array([[3, 1, 0, 0, 0], [0, 0, 0, 5, 0], [0, 2, 0, 0, 0]], dtype=np.float32))
    source = NearTaste(weight, vectors, np.array([True, True, True, True, False]), 4)
    mixed, nobody, east = found_by(source, 0, 1, 2)
    taste = np.array([1, 3]) / 10**0.5
    assert mixed == pytest.approx({0: taste[1], 2: taste @ [0.6, 0.8], 1: taste[0]})
    assert list(mixed) == [0, 2, 1] and nobody == {} and list(east) == [1, 2, 0]
    assert source.of(codes(0)).articles[0, 3] == NO_ARTICLE  # one place more than there are articles


def test_what_sold_nothing_lately_is_not_picked() -> None:
    shop = purchases([(0, 0, 0), (SHELF_DAYS, 1, 1)], customers=2, articles=2)
    assert shelf(shop, on(SHELF_DAYS + 1)).tolist() == [False, True]
    assert shelf(shop, on(3 * SHELF_DAYS)).tolist() == [True, True]
    vectors = np.eye(2, dtype=np.float32)
    found = shoppers(shop, log(), on(SHELF_DAYS + 1))
    assert list(found_by(near_taste(found, vectors, shop, on(SHELF_DAYS + 1), 2), 0)[0]) == [1]
