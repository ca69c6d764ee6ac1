"""Exact search of unit vectors: by hand, and against all dot products."""

from __future__ import annotations

import numpy as np
import pytest

from jobs.platform.codes import NO_ARTICLE
from jobs.retrieval.exact import ExactSearch
from jobs.retrieval.source import Floats
from jobs.retrieval.two_tower import COUNT, NearestArticles
from tests.jobs.retrieval.small import codes

ITEMS = np.array([[1, 0], [0.8, 0.6], [0.6, 0.8], [0, 1], [-1, 0]], dtype=np.float32)
ON_SALE = np.array([True, True, False, True, True])
QUERIES = np.array([[1, 0], [0, -1]], dtype=np.float32)


def unit(shape: tuple[int, int], seed: int) -> Floats:
    vectors = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_largest_dot_products_first_and_the_smaller_code_on_a_tie() -> None:
    found = NearestArticles(ITEMS, ON_SALE).of(QUERIES, count=3)
    assert found.articles.tolist() == [[0, 1, 3], [0, 4, 1]]
    assert found.scores == pytest.approx(np.array([[1, 0.8, 0], [0, 0, -0.6]]))


def test_excluded_articles_make_room_for_the_next() -> None:
    nearest = NearestArticles(ITEMS, ON_SALE)
    found = nearest.of(QUERIES, np.stack([codes(0, 1, NO_ARTICLE), codes(2, NO_ARTICLE, NO_ARTICLE)]), count=1)
    assert found.articles.tolist() == [[3], [0]]
    found = nearest.of(QUERIES, np.stack([codes(0, 1, 3), codes(4, 0, 1)]), count=2)
    assert found.articles.tolist() == [[4, NO_ARTICLE], [3, NO_ARTICLE]]
    assert np.isnan(found.scores[:, 1]).all()


@pytest.mark.parametrize("most", [0, 3, 40])
def test_as_all_dot_products_sorted(most: int) -> None:
    queries, items = unit((50, 8), 0), unit((120, 8), 1)
    rng = np.random.default_rng(2)
    on_sale = rng.random(120) < 0.8
    order = np.argsort(-(queries @ items.T), axis=1)
    # The hardest case: what a customer may not get is what is nearest, as many as `most`.
    excluded = np.where(np.arange(most) < rng.integers(0, most + 1, 50)[:, None], order[:, :most], NO_ARTICLE)
    found = NearestArticles(items, on_sale).of(queries, excluded.astype(np.int32), count=10)
    for row, out, articles in zip(order, excluded, found.articles, strict=True):
        assert articles.tolist() == [a for a in row if on_sale[a] and a not in out][:10]


def test_nothing_on_sale_and_nobody_asking() -> None:
    found = NearestArticles(ITEMS, np.zeros(5, dtype=bool)).of(QUERIES)
    assert (found.articles == NO_ARTICLE).all() and np.isnan(found.scores).all()
    assert NearestArticles(ITEMS, ON_SALE).of(QUERIES[:0]).articles.shape == (0, COUNT)


def test_torch_finds_what_faiss_finds() -> None:
    queries, items = unit((30, 8), 0), unit((200, 8), 1)
    for count in (7, 300):
        by_faiss, by_torch = (ExactSearch(items, device).nearest(queries, count) for device in (None, "cpu"))
        assert by_faiss.articles.tolist() == by_torch.articles.tolist()
        assert by_torch.scores == pytest.approx(by_faiss.scores, abs=1e-6)
