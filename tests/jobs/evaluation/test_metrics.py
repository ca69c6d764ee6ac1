"""Metrics: hand-computed values, laws that any list obeys, and an independent implementation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score
from torchmetrics.functional.retrieval import retrieval_average_precision

from jobs.evaluation.metrics import (
    Truth,
    average_precision,
    bootstrap_means,
    coverage,
    interval,
    matches,
    ndcg,
    novelty,
    popular_overlap,
    precision,
    recall,
)
from tests.jobs.retrieval.small import purchases


def mask(*rows: str) -> np.ndarray:
    return np.array([[place == "x" for place in row] for row in rows])


def test_average_precision_by_hand() -> None:
    hits = mask("x.x.", "..x.", "....", "xxxx")
    sizes = np.array([2, 3, 1, 4])
    # (1/1 + 2/3) / 2; (1/3) / 3; none; all.
    assert average_precision(hits, sizes, 12) == pytest.approx([5 / 6, 1 / 9, 0, 1])
    # With two places, the ideal list of the second buyer has two hits, not three.
    assert average_precision(mask(".x"), np.array([3]), 2) == pytest.approx([0.25])
    # 20 articles bought, 12 places, all hit: the denominator is 12.
    assert average_precision(mask("x" * 12), np.array([20]), 12) == pytest.approx([1])


def test_recall_precision_and_ndcg_by_hand() -> None:
    hits, sizes = mask("x.x.", "...."), np.array([4, 1])
    assert recall(hits, sizes, 3).tolist() == [0.5, 0]
    assert recall(hits, sizes, 2).tolist() == [0.25, 0]
    assert precision(hits, 4).tolist() == [0.5, 0]
    # Gains 1/log2(2) + 1/log2(4) = 1.5; ideal of four hits in three places: 1 + 1/log2(3) + 0.5.
    assert ndcg(hits, sizes, 3) == pytest.approx([1.5 / (1.5 + 1 / np.log2(3)), 0])


def test_matches_point_at_the_pair_and_padding_never_hits() -> None:
    truth = Truth.of(purchases([(0, 2, 0), (0, 2, 0), (1, 2, 3), (0, 5, 1)], customers=6, articles=4))
    assert truth.customers.tolist() == [2, 5]
    assert list(zip(truth.buyer.tolist(), truth.article.tolist(), strict=True)) == [(0, 0), (0, 3), (1, 1)]
    assert matches(np.array([[3, 1, 0], [-1, 0, 1]], dtype=np.int32), truth).tolist() == [[1, -1, 0], [-1, -1, 2]]
    with pytest.raises(ValueError, match="1 lists for 2 buyers"):
        matches(np.zeros((1, 3), dtype=np.int32), truth)


def test_figures_of_the_lists_by_hand() -> None:
    ranked = np.array([[0, 1, 2], [0, -1, -1], [-1, -1, -1]], dtype=np.int32)
    pickable = np.array([True, True, True, True, False])
    assert coverage(ranked, pickable, 2) == 2 / 4
    assert popular_overlap(ranked, np.array([0, 2]), 3) == pytest.approx([2 / 3, 1 / 3, 0])
    bits = novelty(ranked, np.array([1.0, 0.5, 0.25, 0.0, 0.0]), 3)
    assert bits[:2].tolist() == [1.0, 0.0] and np.isnan(bits[2])


hit_rows = st.lists(st.booleans(), min_size=1, max_size=30)


@given(hit_rows, st.integers(0, 5), st.integers(1, 30))
def test_laws_of_one_list(row: list[bool], missed: int, k: int) -> None:
    hits, size = np.array([row]), np.array([max(sum(row) + missed, 1)])
    for value in (average_precision(hits, size, k), ndcg(hits, size, k), recall(hits, size, k)):
        assert 0 <= value[0] <= 1 + 1e-12
        assert value[0] > 0 or not any(row[:k])
    assert recall(hits, size, k)[0] <= recall(hits, size, k + 1)[0]
    front = -np.sort(-hits.astype(int), axis=1) == 1  # hits moved to the front never hurt
    assert average_precision(front, size, k)[0] >= average_precision(hits, size, k)[0] - 1e-12
    assert ndcg(front, size, k)[0] >= ndcg(hits, size, k)[0] - 1e-12


@given(hit_rows, st.integers(0, 5))
def test_places_below_the_last_hit_do_not_matter(row: list[bool], extra: int) -> None:
    size = np.array([max(sum(row), 1)])
    short, long = np.array([row]), np.array([row + [False] * extra])
    assert average_precision(short, size, 12) == pytest.approx(average_precision(long, size, 12))


@given(st.integers(1, 40))
def test_a_perfect_list_scores_one(size: int) -> None:
    hits, sizes = np.arange(30)[None, :] < size, np.array([size])
    assert average_precision(hits, sizes, 12) == pytest.approx([1])
    assert ndcg(hits, sizes, 20) == pytest.approx([1])


def test_agreement_with_independent_implementations() -> None:
    generator = np.random.default_rng(0)
    for _ in range(200):
        hits = generator.random((1, 12)) < generator.random()
        if not hits.any():
            continue
        sizes = hits.sum(axis=1)  # their definitions know only what is in the list
        scores = np.arange(12, 0, -1.0)
        theirs = retrieval_average_precision(torch.tensor(scores), torch.tensor(hits[0]))
        assert average_precision(hits, sizes, 12)[0] == pytest.approx(float(theirs), rel=1e-5)
        theirs = ndcg_score(hits.astype(int), scores[None], k=10)
        assert ndcg(hits, sizes, 10)[0] == pytest.approx(theirs)


def test_bootstrap_is_seeded_and_covers_the_standard_error() -> None:
    values = np.random.default_rng(1).normal(0.3, 1.0, (4_000, 1)) * np.array([1.0, 2.0])
    means = bootstrap_means(values, seed=7)
    assert means.shape == (1_000, 2)
    assert np.array_equal(means, bootstrap_means(values, seed=7))
    assert not np.array_equal(means, bootstrap_means(values, seed=8))
    assert means[:, 1] == pytest.approx(2 * means[:, 0])  # the same draws for all columns: differences are paired
    low, high = interval(means)
    error = values.std(axis=0) / np.sqrt(len(values))
    assert low == pytest.approx(values.mean(axis=0) - 1.96 * error, abs=0.15 * error.max())
    assert high == pytest.approx(values.mean(axis=0) + 1.96 * error, abs=0.15 * error.max())


@settings(max_examples=20)
@given(st.integers(1, 20))
def test_the_bootstrap_of_a_constant_is_the_constant(size: int) -> None:
    assert bootstrap_means(np.full((size, 1), 0.25), seed=1, resamples=60) == pytest.approx(0.25)
