"""Figures of ranked lists against what was bought: one value per buyer, computed on whole matrices.

Shapes: n buyers, lists of K places, p pairs of truth. Lists are matrices of article codes (n, K), best first, without
repetition, padded with NO_ARTICLE: an unfilled place counts as a miss. Truth is the set of distinct (buyer, article)
pairs of the label week. `hits` is a mask of places (n, K), `sizes` the distinct articles bought (n,), at least 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jobs.retrieval.purchases import NO_ARTICLE, Ints, Purchases

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

RESAMPLES = 1_000
#: Resamples drawn at once: bounds the memory of the bootstrap at this many floats per buyer.
_BLOCK = 50


@dataclass(frozen=True)
class Truth:
    """What each buyer bought.

    Attributes:
        customers: customer codes of the buyers, ascending, shape (n,).
        buyer: row of `customers` of each pair, ascending, shape (p,).
        article: article code of each pair, ascending within a buyer, shape (p,).
    """

    customers: Ints
    buyer: Ints
    article: Ints

    @classmethod
    def of(cls, labels: Purchases) -> Truth:
        """The distinct (buyer, article) pairs among `labels`; several units of one article are one pair."""
        pairs = np.unique(pair_keys(labels.customer, labels.article))
        customers, buyer = np.unique((pairs >> 32).astype(np.int32), return_inverse=True)
        return cls(customers, buyer.astype(np.int32), (pairs & 0xFFFFFFFF).astype(np.int32))


def pair_keys(row: Ints, article: Ints) -> npt.NDArray[np.int64]:
    """One sortable number per (row, article) pair; both at least 0."""
    return (row.astype(np.int64) << 32) | article.astype(np.int64)


def matches(ranked: Ints, truth: Truth) -> npt.NDArray[np.int64]:
    """Which pair of the truth each place hits, shape (n, K): its index, or -1 for a miss."""
    if len(ranked) != len(truth.customers):
        raise ValueError(f"{len(ranked)} lists for {len(truth.customers)} buyers")
    bought = pair_keys(truth.buyer, truth.article)
    listed = pair_keys(np.arange(len(ranked), dtype=np.int32)[:, None], np.maximum(ranked, 0))
    pair = np.minimum(np.searchsorted(bought, listed), len(bought) - 1)
    return np.where((bought[pair] == listed) & (ranked != NO_ARTICLE), pair, -1)


def average_precision(hits: Mask, sizes: Ints, k: int) -> Floats:
    """AP@k of each buyer: sum over hits i <= k of precision at i, over min(sizes, k). Its mean is MAP@k."""
    top = hits[:, :k]
    precision_at = np.cumsum(top, axis=1) / np.arange(1, top.shape[1] + 1)
    return (precision_at * top).sum(axis=1) / np.minimum(sizes, k)


def recall(hits: Mask, sizes: Ints, k: int) -> Floats:
    """Share of each buyer's articles found among the first k."""
    return hits[:, :k].sum(axis=1) / sizes


def precision(hits: Mask, k: int) -> Floats:
    """Share of the first k places that are hits."""
    return hits[:, :k].sum(axis=1) / k


def ndcg(hits: Mask, sizes: Ints, k: int) -> Floats:
    """Discounted gain of the hits among the first k, over that of min(sizes, k) hits in front."""
    discount = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(discount)[np.minimum(sizes, k) - 1]
    return hits[:, :k] @ discount[: hits.shape[1]] / ideal


def coverage(ranked: Ints, pickable: Mask, k: int) -> float:
    """Share of the pickable articles that stand among the first k places of at least one list."""
    top = ranked[:, :k]
    return len(np.unique(top[top != NO_ARTICLE])) / int(pickable.sum())


def popular_overlap(ranked: Ints, popular: Ints, k: int) -> Floats:
    """Share of each list's first k places that hold one of the `popular` articles."""
    return np.isin(ranked[:, :k], popular).sum(axis=1) / k


def novelty(ranked: Ints, reach: Floats, k: int) -> Floats:
    """Mean self-information, in bits, of each list's first k articles; NaN for an empty list.

    Zhou et al. (2010), "Solving the apparent diversity-accuracy dilemma of recommender systems": an article bought
    by a share r of the customers carries -log2(r) bits, so 0 means "everybody has it".

    Args:
        reach: share of customers with history who bought the article before, by article code.
    """
    top = ranked[:, :k]
    filled = top != NO_ARTICLE
    bits = np.where(filled, -np.log2(reach[np.maximum(top, 0)], where=filled, out=np.zeros(top.shape)), 0.0)
    count = filled.sum(axis=1)
    return np.divide(bits.sum(axis=1), count, where=count > 0, out=np.full(len(top), np.nan))


def bootstrap_means(values: Floats, seed: int, resamples: int = RESAMPLES) -> Floats:
    """Means of each column over customers drawn with replacement: the customer bootstrap.

    All columns share the draws, so the difference of two columns is a paired bootstrap.

    Args:
        values: one row per customer, one column per figure, shape (n, m).

    Returns:
        Shape (resamples, m).
    """
    generator = np.random.default_rng(seed)
    size = len(values)
    means = []
    for start in range(0, resamples, _BLOCK):
        block = min(_BLOCK, resamples - start)
        draws = generator.integers(size, size=(block, size)) + size * np.arange(block)[:, None]
        counts = np.bincount(draws.ravel(), minlength=block * size).reshape(block, size)
        means.append(counts.astype(np.float64) @ values / size)
    return np.concatenate(means)


def interval(means: Floats) -> Floats:
    """95 % percentile interval of bootstrap means (resamples, m): shape (2, m), low then high."""
    return np.percentile(means, [2.5, 97.5], axis=0)
