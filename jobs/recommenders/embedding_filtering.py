"""System: articles like what a shopper met lately, by their embeddings.

A shopper is the mean of the vectors of what they met, weighted as jobs.recommenders.interactions weighs it: a cart of
today before a view, a view of today before a purchase of last year. The score of an article is its cosine with that
mean, in one space: of pictures, of texts, or of both. What sold nothing lately is hardly there any more and is not
picked. One view is enough, so that newcomers have picks from then on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy import sparse

from jobs.embeddings.text_encoders import unit
from jobs.platform.codes import NO_ARTICLE, Ints
from jobs.platform.job import Job
from jobs.recommenders.article_vectors import Space, article_vectors
from jobs.recommenders.interactions import Shoppers, events_before, shoppers
from jobs.recommenders.recommender import TrainingContext, rows_and_codes
from jobs.retrieval.exact import ExactSearch
from jobs.retrieval.purchases import Purchases
from jobs.retrieval.source import Floats, TopK, empty_topk

#: Articles sold in the last so many days can be picked.
SHELF_DAYS = 28


def shelf(history: Purchases, as_of_date: date) -> npt.NDArray[np.bool_]:
    """Mask over article codes: sold in the last SHELF_DAYS and still listed; where that is nothing, whatever sold."""
    lately = history.between(as_of_date - timedelta(days=SHELF_DAYS), as_of_date).articles_on_sale()
    return lately if lately.any() else history.articles_on_sale()


class NearTaste:
    """Picks nearest to each shopper's mean.

    Args:
        weight: of what each shopper met, (shoppers, articles).
        vectors: of the articles, of length 1 or zero, (articles, d).
        is_available: mask over article codes.
        count: picks of a shopper.
    """

    def __init__(
        self, weight: sparse.csr_matrix, vectors: Floats, is_available: npt.NDArray[np.bool_], count: int
    ) -> None:
        self._weight, self._vectors, self._count = weight, vectors, count
        self._shelf = np.flatnonzero(is_available & vectors.any(axis=1)).astype(np.int32)
        self._search = ExactSearch(vectors[self._shelf])

    def of(self, shoppers: Ints) -> TopK:
        taste = unit(self._weight[shoppers] @ self._vectors)
        has_taste = taste.any(axis=1)
        near = self._search.nearest(taste[has_taste], self._count)
        found, places = empty_topk(len(shoppers), self._count), slice(near.articles.shape[1])
        found.articles[has_taste, places] = np.append(self._shelf, np.int32(NO_ARTICLE))[near.articles]
        found.scores[has_taste, places] = near.scores
        return found


def near_taste(met: Shoppers, vectors: Floats, history: Purchases, as_of_date: date, count: int) -> NearTaste:
    """Ready to pick for any shopper, by code."""
    return NearTaste(met.weight, vectors, shelf(history, as_of_date), count)


@dataclass(frozen=True)
class EmbeddingFiltering:
    """The vectors that are compared.

    Attributes:
        job: through which the events before each date are read; None: purchases alone count.
        articles: ids of the vectors' rows, ascending.
        vectors: (articles, d).
    """

    job: Job | None
    articles: pa.StringArray
    vectors: Floats

    def at(self, history: Purchases, as_of_date: date, count: int) -> NearTaste:
        rows, codes = rows_and_codes(self.articles, history)
        vectors = np.zeros((len(history.article_ids), self.vectors.shape[1]), dtype=np.float32)
        vectors[codes] = self.vectors[rows]
        met = shoppers(history, events_before(self.job, as_of_date), as_of_date)
        return near_taste(met, vectors, history, as_of_date, count)


def fit(known: TrainingContext, space: Space, job: Job) -> EmbeddingFiltering:
    """Nothing is learned here; raises JobError where no article has a vector in the space."""
    articles = known.history.article_ids
    return EmbeddingFiltering(job, articles, article_vectors(job, articles, space).values)
