"""Figures of ranked lists against what was bought: one value per buyer, computed on whole arrays.

Shapes: n buyers, lists of K places, p pairs of truth. Lists are matrices of article codes (n, K), best first, without
repetition, padded with NO_ARTICLE: an unfilled place counts as a miss. Truth is the set of distinct (buyer, article)
pairs of the label week. All that the figures need to know of a list is at which place it holds each pair: `ranks`
(p,), counted from 1, NOT_RANKED where it does not. That is one number per purchase, however long the lists are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from jobs.platform.codes import NO_ARTICLE, Ints

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

#: The place of a pair that is not in its buyer's list: below every other.
NOT_RANKED = np.iinfo(np.int32).max


class Units(Protocol):
    """Units bought, as parallel arrays of customer codes and article codes."""

    @property
    def customer(self) -> Ints: ...

    @property
    def article(self) -> Ints: ...


@dataclass(frozen=True)
class Truth:
    """What each buyer bought.

    Attributes:
        customers: customer codes of the buyers, ascending, shape (n,).
        buyer: row of `customers` of each pair, ascending, shape (p,); every buyer has at least one.
        article: article code of each pair, ascending within a buyer, shape (p,).
    """

    customers: Ints
    buyer: Ints
    article: Ints

    @classmethod
    def of(cls, labels: Units) -> Truth:
        """The distinct (buyer, article) pairs among `labels`; several units of one article are one pair."""
        pairs = np.unique(pair_keys(labels.customer, labels.article))
        customers, buyer = np.unique((pairs >> 32).astype(np.int32), return_inverse=True)
        return cls(customers, buyer.astype(np.int32), (pairs & 0xFFFFFFFF).astype(np.int32))

    def only(self, pairs: Mask) -> Truth:
        """These pairs (a mask), and the buyers who have any of them."""
        rows, buyer = np.unique(self.buyer[pairs], return_inverse=True)
        return Truth(self.customers[rows], buyer.astype(np.int32), self.article[pairs])

    def of_buyers(self, rows: slice) -> tuple[Truth, slice]:
        """The pairs of a block of buyers (rows of `customers`), and where they stand among all pairs."""
        first, last, _ = rows.indices(len(self.customers))
        start, end = np.searchsorted(self.buyer, [first, last])
        pairs = slice(int(start), int(end))
        return Truth(self.customers[rows], self.buyer[pairs] - np.int32(first), self.article[pairs]), pairs

    @cached_property
    def sizes(self) -> Ints:
        """Distinct articles that each buyer bought, (n,), at least 1."""
        return np.bincount(self.buyer, minlength=len(self.customers)).astype(np.int32)

    def sums(self, values: npt.NDArray) -> Floats:
        """The sum of a value per pair (p,) over each buyer's pairs, (n,)."""
        return np.bincount(self.buyer, weights=values, minlength=len(self.customers)).astype(np.float64, copy=False)


def pair_keys(row: Ints, article: Ints) -> npt.NDArray[np.int64]:
    """One sortable number per (row, article) pair; both at least 0."""
    return (row.astype(np.int64) << 32) | article.astype(np.int64)


def hit_ranks(ranked: Ints, truth: Truth) -> Ints:
    """At which place, from 1, each pair stands in its buyer's list (n, K): shape (p,), NOT_RANKED where it does not."""
    if len(ranked) != len(truth.customers):
        raise ValueError(f"{len(ranked)} lists for {len(truth.customers)} buyers")
    bought = pair_keys(truth.buyer, truth.article)
    listed = pair_keys(np.arange(len(ranked), dtype=np.int32)[:, None], np.maximum(ranked, 0))
    pair = np.minimum(np.searchsorted(bought, listed), len(bought) - 1)
    row, column = np.nonzero((bought[pair] == listed) & (ranked != NO_ARTICLE))
    found = np.full(len(bought), NOT_RANKED, dtype=np.int32)
    found[pair[row, column]] = column + 1
    return found


def average_precision(found: Ints, truth: Truth, k: int) -> Floats:
    """AP@k of each buyer: sum over hits i <= k of precision at i, over min(articles bought, k). Its mean is MAP@k."""
    hit = np.flatnonzero(found <= k)
    hit = hit[np.lexsort((found[hit], truth.buyer[hit]))]
    buyer = truth.buyer[hit]
    hits_up_to = np.arange(1, len(hit) + 1) - np.searchsorted(buyer, buyer)
    total = np.bincount(buyer, weights=hits_up_to / found[hit], minlength=len(truth.customers))
    return total / np.minimum(truth.sizes, k)


def best_average_precision(found: Ints, truth: Truth, k: int) -> Floats:
    """AP@k of each buyer if the list, whatever its order, had all its hits in front: what a ranker could reach."""
    return np.minimum(truth.sums(found != NOT_RANKED), k) / np.minimum(truth.sizes, k)


def recall(found: Ints, truth: Truth, k: int) -> Floats:
    """Share of each buyer's articles found among the first k."""
    return truth.sums(found <= k) / truth.sizes


def precision(found: Ints, truth: Truth, k: int) -> Floats:
    """Share of the first k places that are hits."""
    return truth.sums(found <= k) / k


def ndcg(found: Ints, truth: Truth, k: int) -> Floats:
    """Discounted gain of the hits among the first k, over that of min(articles bought, k) hits in front."""
    gain = np.where(found <= k, 1 / np.log2(1.0 + found), 0.0)
    ideal = np.cumsum(1 / np.log2(np.arange(2, k + 2)))
    return truth.sums(gain) / ideal[np.minimum(truth.sizes, k) - 1]


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
