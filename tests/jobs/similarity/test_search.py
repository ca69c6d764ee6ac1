"""Nearest neighbours beside brute force in double precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.neighbors import NearestNeighbors

from jobs.similarity import search
from jobs.similarity.search import NO_NEIGHBOUR, Metric, nearest

SMALL_INTEGERS = st.integers(-3, 3).map(float)  # many ties, and vectors of zeros


def brute_force(
    queries: np.ndarray, vectors: np.ndarray, k: int, metric: Metric, exclude: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Every pair's score in double precision, rounded once, and a stable sort."""
    queries, vectors = queries.astype(np.float64), vectors.astype(np.float64)
    if metric == "euclidean":
        scores = np.sqrt(((queries[:, None] - vectors) ** 2).sum(axis=2)).astype(np.float32)
        keys = scores
    else:
        lengths = [np.sqrt((rows**2).sum(axis=1)) for rows in (queries, vectors)]
        outer = np.outer(*(np.where(length == 0, 1, length) for length in lengths))
        scores = np.clip((queries[:, None] * vectors).sum(axis=2) / outer, -1, 1).astype(np.float32)
        keys = -scores
    indices, found = np.full((len(queries), k), NO_NEIGHBOUR), np.full((len(queries), k), np.nan, np.float32)
    for row, key in enumerate(keys):
        order = [i for i in np.argsort(key, kind="stable") if exclude is None or i != exclude[row]][:k]
        indices[row, : len(order)], found[row, : len(order)] = order, scores[row, order]
    return indices, found


def assert_same(found: tuple[np.ndarray, np.ndarray], expected: tuple[np.ndarray, np.ndarray]) -> None:
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])
    assert (found[0].dtype, found[1].dtype) == (np.int64, np.float32)


@settings(max_examples=150)
@example(np.float32([[0, 0, 0], [0, 0, -2], *[[0, 0, 0]] * 8, [0, 0, -1]]), 1, "euclidean", 1)  # zeros have no length
@given(
    vectors=hnp.arrays(np.float32, st.tuples(st.integers(1, 40), st.just(3)), elements=SMALL_INTEGERS),
    k=st.integers(1, 12),
    metric=st.sampled_from(["cosine", "euclidean"]),
    tile=st.sampled_from([1, 4, 64]),
)
def test_ties_go_to_the_smaller_index(vectors: np.ndarray, k: int, metric: Metric, tile: int) -> None:
    own = np.arange(len(vectors))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "_TILE", tile)
        found = nearest(vectors, vectors, k, metric, exclude=own)
    assert_same(found, brute_force(vectors, vectors, k, metric, own))


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_scikit_learn_finds_the_same(metric: Metric) -> None:
    generator = np.random.default_rng(1)
    vectors = generator.standard_normal((3_000, 16)).astype(np.float32)
    queries = generator.standard_normal((200, 16)).astype(np.float32)
    distances, indices = (
        NearestNeighbors(n_neighbors=10, metric=metric, algorithm="brute").fit(vectors).kneighbors(queries)
    )
    found, scores = nearest(queries, vectors, 10, metric)
    np.testing.assert_array_equal(found, indices)
    np.testing.assert_allclose(scores, 1 - distances if metric == "cosine" else distances, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_what_single_precision_cannot_tell_apart_is_told_apart(metric: Metric) -> None:
    """Vectors far from the origin that differ by little: their products round to the same numbers."""
    generator = np.random.default_rng(2)
    vectors = (1_000 + generator.standard_normal((400, 32))).astype(np.float32)
    vectors[100:103] = vectors[50]
    own = np.arange(len(vectors))
    assert_same(nearest(vectors, vectors, 5, metric, exclude=own), brute_force(vectors, vectors, 5, metric, own))


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.random.default_rng(3).standard_normal((500, 8)).astype(np.float32)
    whole = nearest(vectors, vectors, 7, "cosine")
    monkeypatch.setattr(search, "_CPU_BYTES", 30_000)
    monkeypatch.setattr(search, "_PAIRS", 11)
    assert_same(nearest(vectors, vectors, 7, "cosine"), whole)
    assert (whole[0][:, 0] == np.arange(500)).all()


def test_products_are_of_full_precision_whatever_was_chosen_elsewhere() -> None:
    vectors, chosen = np.eye(2, dtype=np.float32), torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        seen: list[str] = []
        nearest(vectors, vectors, 1, "cosine", progress=lambda _: seen.append(torch.get_float32_matmul_precision()))
        assert (seen, torch.get_float32_matmul_precision()) == (["highest"], "medium")
    finally:
        torch.set_float32_matmul_precision(chosen)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_a_gpu_finds_what_the_processor_finds(metric: Metric) -> None:
    vectors = np.random.default_rng(4).standard_normal((5_000, 64)).astype(np.float32)
    vectors[1_000:1_100] = vectors[:100]
    own = np.arange(len(vectors))
    on_gpu = nearest(vectors, vectors, 10, metric, exclude=own)
    assert_same(on_gpu, nearest(vectors, vectors, 10, metric, exclude=own, device="cpu"))


def test_fewer_vectors_than_asked_for_leave_places_empty() -> None:
    vectors = np.eye(2, dtype=np.float32)
    indices, scores = nearest(vectors, vectors, 3, "euclidean", exclude=np.array([0, NO_NEIGHBOUR]))
    assert indices.tolist() == [[1, -1, -1], [1, 0, -1]]
    np.testing.assert_allclose(scores, [[2**0.5, np.nan, np.nan], [0, 2**0.5, np.nan]])
    assert nearest(vectors, vectors[:0], 2, "cosine")[0].tolist() == [[-1, -1], [-1, -1]]
    assert nearest(vectors[:0], vectors, 2, "cosine")[0].shape == (0, 2)


def test_what_does_not_fit_is_refused() -> None:
    vectors = np.eye(2, dtype=np.float32)
    with pytest.raises(ValueError, match="do not fit"):
        nearest(vectors, vectors[:, :1], 1, "cosine")
    with pytest.raises(ValueError, match="not finite"):
        nearest(vectors, np.full((3, 2), np.nan, np.float32), 1, "cosine")
