"""System: alternating least squares on one machine, by `implicit`.

Hu, Koren and Volinsky, Collaborative Filtering for Implicit Feedback Datasets, ICDM 2008: every article counts as
wanted by who bought it and as not wanted by all others, with confidence 1 + ALPHA r; r is the recency-weighted units.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from implicit.cpu.als import AlternatingLeastSquares
from scipy import sparse
from threadpoolctl import threadpool_limits

from jobs.platform.codes import Ints
from jobs.recommenders.factors import FACTORS, ByDotProduct, articles_on_sale
from jobs.recommenders.recommender import State, TrainingContext, rows_and_codes
from jobs.recommenders.weights import bought, weights
from jobs.retrieval.purchases import Purchases
from jobs.retrieval.source import Floats

ITERATIONS = 15
ALPHA, REGULARISATION = 10.0, 10.0


def confidence(weight: sparse.csr_matrix) -> sparse.csr_matrix:
    """1 + ALPHA r where something was bought; elsewhere it is 1, and not stored."""
    return sparse.csr_matrix((1 + ALPHA * weight.data, weight.indices, weight.indptr), shape=weight.shape)


@dataclass(frozen=True)
class FoldedIn:
    """Vectors of articles; those of customers follow from what they bought, whenever they did.

    With the articles' vectors given, the best vector of a customer is the solution of one linear system (equation 4 of
    the paper). So every purchase up to the as-of date counts, also of customers who bought nothing before the fit.

    Attributes:
        articles: ids of the articles that were sold before the fit.
        vectors: of these, (articles, FACTORS).
        regularisation: of a customer's vector.
        per_article: it is multiplied by the number of the customer's articles.
    """

    articles: pa.StringArray
    vectors: Floats
    regularisation: float = REGULARISATION
    per_article: bool = False

    def at(self, history: Purchases, as_of_date: date, count: int) -> ByDotProduct:
        rows, codes = rows_and_codes(self.articles, history)
        known = replace(self, articles=self.articles.take(pa.array(rows)), vectors=self.vectors[rows])
        trusted = confidence(weights(history, as_of_date)[:, codes])

        def vectors(customers: Ints) -> tuple[npt.NDArray[np.bool_], Floats]:
            own = trusted[customers]
            is_known = np.diff(own.indptr) > 0
            return is_known, known.customer_vectors(own[is_known])

        return ByDotProduct(articles_on_sale(known.vectors, codes, history), vectors, count)

    def customer_vectors(self, trusted: sparse.csr_matrix) -> Floats:
        """Vectors of customers, (n, FACTORS), from their confidences in `articles`, (n, articles)."""
        found = np.zeros((trusted.shape[0], self.vectors.shape[1]), dtype=np.float32)
        size = np.diff(trusted.indptr) if self.per_article else np.ones(trusted.shape[0], dtype=np.int32)
        with threadpool_limits(1, "blas"):  # the solver has threads of its own
            solver = AlternatingLeastSquares(self.vectors.shape[1])
            solver.item_factors = self.vectors
            for n in np.unique(size):  # the solver has one regularisation for all
                rows = np.flatnonzero(size == n)
                solver.regularization = self.regularisation * int(n)
                found[rows] = solver.recalculate_user(rows, trusted[rows])
        return found

    def state(self) -> State:
        options = {"regularisation": self.regularisation, "per_article": self.per_article}
        return State(self.articles, {"vectors": self.vectors}, options)


def restored(state: State) -> FoldedIn:
    """The fitted system that was saved."""
    return FoldedIn(state.articles, state.arrays["vectors"], **state.options)


def fit(known: TrainingContext) -> FoldedIn:
    """Deterministic for a seed: each vector is solved for by itself, on whatever core."""
    pairs = bought(weights(known.history, known.as_of_date))
    with threadpool_limits(1, "blas"):
        solver = AlternatingLeastSquares(FACTORS, REGULARISATION, iterations=ITERATIONS, random_state=known.seed)
        solver.fit(confidence(pairs.matrix), show_progress=False)
    return FoldedIn(known.history.article_ids.take(pa.array(pairs.articles)), solver.item_factors)
