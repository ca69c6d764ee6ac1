"""System: nearest neighbours of articles, by who bought them.

Deshpande and Karypis, Item-Based Top-N Recommendation Algorithms, TOIS 22(1), 2004: the similarity of two articles is
the cosine of their columns in the matrix of recency-weighted units, where each customer's row has length 1, so that
frequent buyers weigh no more than others. Of each article the NEIGHBOURS most similar others are kept. The score of an
article is the sum of its similarities with what the customer bought, each times its weight.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
from scipy import sparse

from jobs.platform.codes import NO_ARTICLE, Ints
from jobs.recommenders.neighbours import as_matrix, largest, unit_rows
from jobs.recommenders.recommender import State, TrainingContext, rows_and_codes
from jobs.recommenders.weights import bought, weights
from jobs.retrieval.purchases import Purchases
from jobs.retrieval.source import TopK

NEIGHBOURS = 50


@dataclass(frozen=True)
class SimilarToBought:
    """Picks of articles similar to what a customer bought up to the as-of date.

    Attributes:
        weight: of what each customer bought, (customers, articles that have neighbours).
        similar: similarities of the neighbours of each of these articles, (articles, articles).
        codes: of these articles, ascending.
        count: picks of a customer.
    """

    weight: sparse.csr_matrix
    similar: sparse.csr_matrix
    codes: Ints
    count: int

    def of(self, customers: Ints) -> TopK:
        found = largest(self.weight[customers], self.similar, self.count)
        return found._replace(articles=np.append(self.codes, np.int32(NO_ARTICLE))[found.articles])


@dataclass(frozen=True)
class ItemNeighbours:
    """The neighbours of each article that was sold before the fit.

    Attributes:
        articles: their ids, ascending.
        similar: similarities as of the fit, (articles, articles).
    """

    articles: pa.StringArray
    similar: sparse.csr_matrix

    def at(self, history: Purchases, as_of_date: date, count: int) -> SimilarToBought:
        rows, codes = rows_and_codes(self.articles, history)
        on_sale = sparse.diags_array(history.articles_on_sale()[codes].astype(np.float32))
        similar = (self.similar[rows][:, rows] @ on_sale).tocsr()
        return SimilarToBought(weights(history, as_of_date)[:, codes], similar, codes, count)

    def state(self) -> State:
        parts = ("data", "indices", "indptr")
        return State(self.articles, {part: getattr(self.similar, part) for part in parts})


def restored(state: State) -> ItemNeighbours:
    """The fitted system that was saved."""
    size = len(state.articles)
    parts = tuple(state.arrays[part] for part in ("data", "indices", "indptr"))
    return ItemNeighbours(state.articles, sparse.csr_matrix(parts, shape=(size, size)))


def fit(known: TrainingContext) -> ItemNeighbours:
    """Articles that sell only after the fit have no neighbours."""
    pairs = bought(weights(known.history, known.as_of_date))
    by_article = unit_rows(unit_rows(pairs.matrix).T.tocsr())
    articles = len(pairs.articles)
    found = largest(by_article, by_article.T.tocsr(), NEIGHBOURS, without=np.arange(articles, dtype=np.int32))
    return ItemNeighbours(known.history.article_ids.take(pa.array(pairs.articles)), as_matrix(found, articles))
