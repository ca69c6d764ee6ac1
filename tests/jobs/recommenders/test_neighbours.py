"""Neighbours of articles and of customers, against plain dense arithmetic over all of them."""

from __future__ import annotations

import numpy as np
import pytest

from jobs.recommenders import item_knn, neighbours, user_knn
from jobs.recommenders.weights import HALF_LIFE_DAYS, bought, weights
from jobs.retrieval.purchases import Purchases
from tests.jobs.recommenders.shops import AS_OF_DAY, known
from tests.jobs.retrieval.small import FIRST_DAY, found_by, on, purchases

#: (days before the as-of date, customer, article); c3 and c4 bought one thing only, nobody buys a04.
LINES = [
    (1, 0, 0), (1, 0, 0), (4, 0, 1),
    (2, 1, 0), (9, 1, 1), (20, 1, 2),
    (3, 2, 1), (5, 2, 2), (5, 2, 3), (6, 2, 3),
    (8, 3, 0), (7, 4, 3),
]  # fmt: skip


def history() -> Purchases:
    return purchases([(AS_OF_DAY - age, customer, article) for age, customer, article in LINES], 6, 5)


def dense_weights() -> np.ndarray:
    expected = np.zeros((6, 5))
    for age, customer, article in LINES:
        expected[customer, article] += 0.5 ** (age / HALF_LIFE_DAYS)
    return expected


def unit(matrix: np.ndarray) -> np.ndarray:
    return matrix / np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-12)


def expected_rows(scores: np.ndarray) -> list[dict[int, float]]:
    """Article -> score of each customer, the best first, without zeros."""
    order = np.argsort(-scores, axis=1, kind="stable")
    return [
        {article: pytest.approx(row[article], rel=1e-5) for article in places if row[article] > 0}
        for row, places in zip(scores, order.tolist(), strict=True)
    ]


def test_a_unit_counts_half_after_each_half_life() -> None:
    one = purchases([(0, 0, 1), (0, 0, 1), (HALF_LIFE_DAYS, 0, 1), (HALF_LIFE_DAYS, 1, 0)], 3, 3)
    expected = [[0, 0.5 + 0.5 + 1, 0], [1, 0, 0], [0, 0, 0]]
    np.testing.assert_allclose(weights(one, on(HALF_LIFE_DAYS)).toarray(), expected)
    np.testing.assert_allclose(weights(history(), on(AS_OF_DAY)).toarray(), dense_weights(), rtol=1e-6)
    part = bought(weights(history(), on(AS_OF_DAY)))
    assert (part.customers.tolist(), part.articles.tolist()) == ([0, 1, 2, 3, 4], [0, 1, 2, 3])
    np.testing.assert_allclose(part.matrix.toarray(), dense_weights()[:5, :4], rtol=1e-6)


def test_item_knn_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neighbours are few enough that each article keeps only its two best."""
    monkeypatch.setattr(item_knn, "NEIGHBOURS", 2)
    monkeypatch.setattr(neighbours, "BLOCK", 2)
    weight = dense_weights()
    columns = unit(unit(weight).T)
    similar = columns @ columns.T
    np.fill_diagonal(similar, 0)
    for row in similar:
        row[np.argsort(-row, kind="stable")[2:]] = 0
    source = item_knn.fit(known(history())).at(history(), on(AS_OF_DAY), 4)
    found = found_by(source, *range(6))
    expected = expected_rows(weight @ similar)
    assert found == expected and [list(row) for row in found] == [list(row) for row in expected]
    assert len(found[2]) == 4 and found[5] == {}


@pytest.mark.parametrize("compared", [1, 6])
def test_user_knn_by_hand(compared: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two neighbours each; c1 is none of anybody's, for it did not buy lately."""
    monkeypatch.setattr(user_knn, "NEIGHBOURS", 2)
    monkeypatch.setattr(user_knn, "BUYERS", compared)
    monkeypatch.setattr(user_knn, "ACTIVE_DAYS", 8)
    monkeypatch.setattr(neighbours, "BLOCK", 4)
    past = purchases([(AS_OF_DAY - age - (20 if c == 1 else 0), c, a) for age, c, a in LINES], 6, 5)
    weight = weights(past, on(AS_OF_DAY)).toarray().astype(float)
    buyers = (weight > 0).sum(axis=0)
    tastes = unit(weight * np.log(5 / np.maximum(buyers, 1)))
    weight_of_active = weight * (np.arange(6) != 1)[:, None]
    is_compared = weight_of_active >= np.sort(weight_of_active, axis=0)[-compared]
    similar = tastes @ (tastes * is_compared).T
    np.fill_diagonal(similar, 0)
    similar[:, 1] = 0
    for row in similar:
        row[np.argsort(-row, kind="stable")[2:]] = 0
    source = user_knn.fit(known(past)).at(past, on(AS_OF_DAY), 4)
    found = found_by(source, *range(6))
    expected = expected_rows(similar @ weight)
    assert found == expected and [list(row) for row in found] == [list(row) for row in expected]
    assert found[5] == {} and 0 in found[1]  # c1 has neighbours all the same
    assert found_by(source, 4, 1) == [found[4], found[1]]


def test_days_are_counted_to_the_date_asked_for() -> None:
    later = on(AS_OF_DAY + HALF_LIFE_DAYS)
    assert (later - FIRST_DAY).days == AS_OF_DAY + HALF_LIFE_DAYS
    np.testing.assert_allclose(weights(history(), later).toarray(), dense_weights() / 2, rtol=1e-6)
