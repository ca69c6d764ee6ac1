"""What the matrix factorisations share: articles whose vectors have the largest dot products with a customer's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

from jobs.platform.codes import Ints
from jobs.recommenders.weights import Bought, bought, weights
from jobs.retrieval.purchases import Purchases
from jobs.retrieval.source import Floats, TopK, empty_topk
from jobs.retrieval.two_tower import NearestArticles

#: Length of the vectors. Of articles that live for weeks few purchases are known: with 128, as the embeddings of the
#: sequence models have, recall falls by a fifth to a quarter.
FACTORS = 32


@dataclass(frozen=True)
class ByDotProduct:
    """Picks by dot product, the best first.

    Attributes:
        nearest: the articles that can be picked.
        vectors: customer codes -> which of them it has a vector for (a mask), and these vectors.
        count: picks of a customer.
    """

    nearest: NearestArticles
    vectors: Callable[[Ints], tuple[npt.NDArray[np.bool_], Floats]]
    count: int

    def of(self, customers: Ints) -> TopK:
        is_known, vectors = self.vectors(customers)
        found = empty_topk(len(customers), self.count)
        found.articles[is_known], found.scores[is_known] = self.nearest.of(vectors, count=self.count)
        return found


def articles_on_sale(vectors: Floats, articles: Ints, history: Purchases) -> NearestArticles:
    """Articles ready to be searched: those that have a vector, (codes `articles`), and are on sale."""
    by_code = np.zeros((len(history.article_ids), vectors.shape[1]), dtype=np.float32)
    by_code[articles] = vectors
    is_known = np.zeros(len(by_code), dtype=bool)
    is_known[articles] = True
    return NearestArticles(by_code, is_known & history.articles_on_sale())


class Refitted:
    """A factorisation that cannot take in purchases after its fit: with new ones it is fitted again, as of their date.

    Args:
        factorise: what was bought -> vectors of its customers and of its articles.
        history: purchases before `as_of_date`.
    """

    def __init__(self, factorise: Callable[[Bought], tuple[Floats, Floats]], history: Purchases, as_of_date: date):
        self._factorise, self._units = factorise, len(history)
        self._bought = bought(weights(history, as_of_date))
        self._customer_vectors, self._article_vectors = factorise(self._bought)

    def at(self, history: Purchases, as_of_date: date, count: int) -> ByDotProduct:
        if len(history) != self._units:
            return Refitted(self._factorise, history, as_of_date).at(history, as_of_date, count)
        nearest = articles_on_sale(self._article_vectors, self._bought.articles, history)
        return ByDotProduct(nearest, self._vectors, count)

    def _vectors(self, customers: Ints) -> tuple[npt.NDArray[np.bool_], Floats]:
        known = self._bought.customers
        row = np.minimum(np.searchsorted(known, customers), len(known) - 1)
        is_known = known[row] == customers
        return is_known, self._customer_vectors[row[is_known]]
