"""Metrics: hand-computed values, laws that any list obeys, and an independent implementation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.retrieval import (
    retrieval_average_precision,
    retrieval_normalized_dcg,
    retrieval_precision,
    retrieval_recall,
)

from jobs.metrics.bootstrap import FEWEST_DIFFERING, bootstrap_means, interval, widened_where_few_differ
from jobs.metrics.ranking_metrics import (
    NOT_RANKED,
    Truth,
    average_precision,
    best_average_precision,
    hit_ranks,
    ndcg,
    novelty,
    popular_overlap,
    precision,
    recall,
)
from tests.jobs.retrieval.small import purchases

NO = NOT_RANKED


def lists(*rows: str, sizes: Sequence[int]) -> tuple[np.ndarray, Truth]:
    """Places and truth of buyers whose lists hit where an x is; `sizes` articles bought, some perhaps not listed."""
    found = [[i for i, place in enumerate(row, start=1) if place == "x"] for row in rows]
    found = [hits + [NO] * (size - len(hits)) for hits, size in zip(found, sizes, strict=True)]
    buyer = np.repeat(np.arange(len(rows)), sizes).astype(np.int32)
    articles = np.concatenate([np.arange(size) for size in sizes]).astype(np.int32)
    return np.concatenate(found).astype(np.int32), Truth(np.arange(len(rows), dtype=np.int32), buyer, articles)


def test_average_precision_by_hand() -> None:
    hits = lists("x.x.", "..x.", "....", "xxxx", sizes=[2, 3, 1, 4])
    # (1/1 + 2/3) / 2; (1/3) / 3; none; all.
    assert average_precision(*hits, 12) == pytest.approx([5 / 6, 1 / 9, 0, 1])
    # With two places, the ideal list of the second buyer has two hits, not three.
    assert average_precision(*lists(".x", sizes=[3]), 2) == pytest.approx([0.25])
    # 20 articles bought, 12 places, all hit: the denominator is 12.
    assert average_precision(*lists("x" * 12, sizes=[20]), 12) == pytest.approx([1])
    # A hit below the cut-off is none.
    assert average_precision(*lists("x..x", sizes=[2]), 3) == pytest.approx([0.5])


def test_the_best_order_of_a_list_by_hand() -> None:
    # Two of three articles listed, wherever: (1 + 1) / 3. All; none; 14 of 20 listed, 12 places.
    hits = lists("...x..........x", "x", "...", "x" * 14, sizes=[3, 1, 2, 20])
    assert best_average_precision(*hits, 12) == pytest.approx([2 / 3, 1, 0, 1])


def test_recall_precision_and_ndcg_by_hand() -> None:
    hits = lists("x.x.", "....", sizes=[4, 1])
    assert recall(*hits, 3).tolist() == [0.5, 0]
    assert recall(*hits, 2).tolist() == [0.25, 0]
    assert precision(*hits, 4).tolist() == [0.5, 0]
    assert ndcg(*hits, 3) == pytest.approx([1.5 / (1.5 + 1 / np.log2(3)), 0])


def test_ranks_are_of_pairs_and_padding_never_hits() -> None:
    truth = Truth.of(purchases([(0, 2, 0), (0, 2, 0), (1, 2, 3), (0, 5, 1)], customers=6, articles=4))
    assert truth.customers.tolist() == [2, 5]
    assert list(zip(truth.buyer.tolist(), truth.article.tolist(), strict=True)) == [(0, 0), (0, 3), (1, 1)]
    assert hit_ranks(np.array([[3, 1, 0], [-1, 0, 1]], dtype=np.int32), truth).tolist() == [3, 1, 3]
    assert hit_ranks(np.array([[-1, -1], [0, 3]], dtype=np.int32), truth).tolist() == [NO, NO, NO]
    with pytest.raises(ValueError, match="1 lists for 2 buyers"):
        hit_ranks(np.zeros((1, 3), dtype=np.int32), truth)


def test_parts_of_a_truth() -> None:
    rows = [(0, 1, 0), (0, 1, 3), (0, 4, 1), (0, 7, 2), (0, 7, 3), (0, 7, 5)]
    truth = Truth.of(purchases(rows, customers=8, articles=6))
    some = truth.only(np.array([False, True, False, True, True, False]))
    assert (some.customers.tolist(), some.buyer.tolist(), some.article.tolist()) == ([1, 7], [0, 1, 1], [3, 2, 3])
    assert some.sizes.tolist() == [1, 2]
    block, pairs = truth.of_buyers(slice(1, 3))
    assert (pairs, block.customers.tolist(), block.buyer.tolist()) == (slice(2, 6), [4, 7], [0, 1, 1, 1])


def test_figures_of_the_lists_by_hand() -> None:
    ranked = np.array([[0, 1, 2], [0, -1, -1], [-1, -1, -1]], dtype=np.int32)
    assert popular_overlap(ranked, np.array([0, 2]), 3) == pytest.approx([2 / 3, 1 / 3, 0])
    bits = novelty(ranked, np.array([1.0, 0.5, 0.25, 0.0, 0.0]), 3)
    assert bits[:2].tolist() == [1.0, 0.0] and np.isnan(bits[2])


hit_rows = st.text("x.", min_size=1, max_size=30)


@given(hit_rows, st.integers(0, 5), st.integers(1, 30))
def test_laws_of_one_list(row: str, missed: int, k: int) -> None:
    sizes = [max(row.count("x") + missed, 1)]
    hits = lists(row, sizes=sizes)
    for value in (average_precision(*hits, k), ndcg(*hits, k), recall(*hits, k)):
        assert 0 <= value[0] <= 1 + 1e-12
        assert value[0] > 0 or "x" not in row[:k]
    assert recall(*hits, k)[0] <= recall(*hits, k + 1)[0]
    front = lists("".join(sorted(row, reverse=True)), sizes=sizes)  # hits moved to the front never hurt
    assert average_precision(*front, k)[0] >= average_precision(*hits, k)[0] - 1e-12
    assert ndcg(*front, k)[0] >= ndcg(*hits, k)[0] - 1e-12
    assert best_average_precision(*hits, k)[0] == pytest.approx(average_precision(*front, k)[0])


@given(hit_rows, st.integers(0, 5))
def test_ranks_below_the_last_hit_do_not_matter(row: str, extra: int) -> None:
    sizes = [max(row.count("x"), 1)]
    long = lists(row + "." * extra, sizes=sizes)
    assert average_precision(*lists(row, sizes=sizes), 12) == pytest.approx(average_precision(*long, 12))


@given(st.integers(1, 40))
def test_a_perfect_list_scores_one(size: int) -> None:
    perfect = lists("x" * min(size, 30), sizes=[size])
    assert average_precision(*perfect, 12) == pytest.approx([1])
    assert ndcg(*perfect, 20) == pytest.approx([1])


def test_agreement_with_torchmetrics() -> None:
    """Recall, precision and NDCG are theirs exactly; theirs divides AP@12 by the hits among the 12 (and is 0 without
    any), ours by min(articles bought, 12), so that hits that are missing count."""
    generator = np.random.default_rng(0)
    articles, k, width = 60, 12, 30
    for _ in range(150):
        ranked = generator.permutation(articles)[None, :width].astype(np.int32)
        # Likelier near the top, so that lists of all qualities occur.
        chance = generator.random() * np.exp(-np.arange(articles) / generator.integers(1, 40))
        order = np.concatenate([ranked[0], np.setdiff1d(np.arange(articles), ranked[0])])
        bought = order[generator.random(articles) < chance]
        bought = bought if len(bought) else order[-1:]
        truth = Truth.of(purchases([(0, 0, int(article)) for article in bought], customers=1, articles=articles))
        found = hit_ranks(ranked, truth)
        scores, target = torch.empty(articles), torch.zeros(articles, dtype=torch.bool)
        scores[torch.from_numpy(order)] = torch.arange(articles, 0, -1.0)
        target[torch.from_numpy(bought)] = True
        assert recall(found, truth, k)[0] == pytest.approx(float(retrieval_recall(scores, target, k)))
        assert precision(found, truth, k)[0] == pytest.approx(float(retrieval_precision(scores, target, k)))
        assert ndcg(found, truth, k)[0] == pytest.approx(float(retrieval_normalized_dcg(scores, target, k)), rel=1e-5)
        theirs = float(retrieval_average_precision(scores, target, k))
        ideal = min(len(bought), k)
        assert average_precision(found, truth, k)[0] == pytest.approx(theirs * (found <= k).sum() / ideal, rel=1e-5)


def test_bootstrap_is_seeded_and_covers_the_standard_error() -> None:
    customers = np.arange(4_000)
    values = np.random.default_rng(1).normal(0.3, 1.0, (4_000, 1)) * np.array([1.0, 2.0])
    means = bootstrap_means(customers, values, seed=7)
    assert means.shape == (1_000, 2)
    assert np.array_equal(means, bootstrap_means(customers, values, seed=7))
    assert not np.array_equal(means, bootstrap_means(customers, values, seed=8))
    assert means[:, 1] == pytest.approx(2 * means[:, 0])  # the same draws for all columns: differences are paired
    low, high = interval(means)
    error = values.std(axis=0) / np.sqrt(len(values))
    assert low == pytest.approx(values.mean(axis=0) - 1.96 * error, abs=0.15 * error.max())
    assert high == pytest.approx(values.mean(axis=0) + 1.96 * error, abs=0.15 * error.max())


def test_a_customer_is_drawn_with_all_their_weeks() -> None:
    # Customer 5 bought in three weeks (1, 1, 1), 2 in one (0). Drawn are both, or one of them twice.
    means = bootstrap_means(np.array([5, 2, 5, 5]), np.array([[1.0], [0.0], [1.0], [1.0]]), seed=1)
    assert set(np.unique(means).tolist()) == {0.0, 0.75, 1.0}
    assert np.mean(means == 0.75) == pytest.approx(0.5, abs=0.06)
    # Four weeks of the same customers, all alike, tell no more than one.
    values = np.random.default_rng(2).normal(size=(500, 1))
    one = interval(bootstrap_means(np.arange(500), values, seed=3))
    four = interval(bootstrap_means(np.tile(np.arange(500), 4), np.tile(values, (4, 1)), seed=3))
    assert four == pytest.approx(one)


@pytest.mark.parametrize("weeks", [1, 4])
def test_a_handful_who_agree_are_no_significant_difference(weeks: int) -> None:
    """Neither a lead nor a loss, in however many weeks, and however many others do not differ."""
    customers = np.tile(np.arange(40), weeks)
    for count in (1, FEWEST_DIFFERING - 1, FEWEST_DIFFERING):
        differences = np.where(customers[:, None] < count, [0.2, -0.2], 0.0)
        differs = customers < count
        limits = interval(bootstrap_means(customers[differs], differences[differs], seed=1))
        assert np.allclose(limits, [[0.2, -0.2], [0.2, -0.2]]), "the bootstrap alone is sure"
        found = widened_where_few_differ(customers, differences, limits)
        assert np.allclose(found, [[0, -0.2], [0.2, 0]] if count < FEWEST_DIFFERING else limits)


@settings(max_examples=20)
@given(st.integers(1, 20))
def test_the_bootstrap_of_a_constant_is_the_constant(size: int) -> None:
    means = bootstrap_means(np.arange(size), np.full((size, 1), 0.25), seed=1, resamples=60)
    assert means == pytest.approx(0.25)
