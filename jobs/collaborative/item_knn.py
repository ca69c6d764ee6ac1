"""System: nearest neighbours of articles, by who bought them.

Deshpande and Karypis, Item-Based Top-N Recommendation Algorithms, TOIS 22(1), 2004: the similarity of two articles is
the cosine of their columns in the matrix of recency-weighted units, where each customer's row has length 1, so that who
buys much says no more than others. Of each article the NEIGHBOURS most similar are kept, and itself never. The score of
an article is the sum of its similarities with what the customer bought, each times its weight.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
from scipy import sparse

from jobs.collaborative.neighbours import as_matrix, largest, unit_rows
from jobs.collaborative.weights import weights
from jobs.retrieval.purchases import Ints, Purchases
from jobs.retrieval.source import Found
from jobs.systems.system import Known

NEIGHBOURS = 50


@dataclass(frozen=True)
class SimilarToBought:
    """Picks of articles similar to what a customer bought up to the date asked for.

    Attributes:
        weight: of what each customer bought, (customers, articles).
        similar: similarities of the neighbours of each article, (articles, articles).
        count: picks of a customer.
    """

    weight: sparse.csr_matrix
    similar: sparse.csr_matrix
    count: int

    def of(self, customers: Ints) -> Found:
        return largest(self.weight[customers], self.similar, self.count)


@dataclass(frozen=True)
class ItemNeighbours:
    """The neighbours of each article, (articles, articles) by code: similarities as of the fit."""

    similar: sparse.csr_matrix

    def at(self, history: Purchases, as_of_date: date, count: int) -> SimilarToBought:
        return SimilarToBought(weights(history, as_of_date), self.similar, count)


def fit(known: Known) -> ItemNeighbours:
    """Articles that sell only after the fit have no neighbours."""
    weight = weights(known.history, known.as_of_date)
    by_article = unit_rows(unit_rows(weight).T.tocsr())
    articles = weight.shape[1]
    found = largest(by_article, by_article.T.tocsr(), NEIGHBOURS, without=np.arange(articles, dtype=np.int32))
    return ItemNeighbours(as_matrix(found, articles))
