"""Candidate source: products that customers of the same taste bought, where few units tell articles apart.

Where an article sells once a month, best sellers and neighbours of articles are mostly chance. Its product, all
variants together, sells more often, and factors learn from every purchase of everybody.
"""

from __future__ import annotations

from datetime import date

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy import sparse
from threadpoolctl import threadpool_limits

from jobs.platform.codes import NO_ARTICLE, Ints
from jobs.retrieval.context import SourceContext
from jobs.retrieval.exact import ExactSearch
from jobs.retrieval.popularity_section import decayed_units
from jobs.retrieval.purchases import Purchases, day_number
from jobs.retrieval.source import Floats, Nothing, Source, TopK, best, best_per_group, empty_topk

SOURCE = "product_factors"
COUNT = 80
#: To a customer of whom no more is known.
REASON = "Bought by people who shop like you"
#: Products found for a customer, and variants of each.
PRODUCTS, VARIANTS = 100, 2
#: Length of a vector; as with jobs.recommenders.als, which says why, are the others.
FACTORS, ITERATIONS, ALPHA, REGULARISATION = 32, 15, 10.0, 10.0
#: A purchase counts half as much every so many days.
HALF_LIFE_DAYS = 60


class ProductFactors:
    """Products by alternating least squares, then the variants of each that sell.

    Hu, Koren and Volinsky, Collaborative Filtering for Implicit Feedback Datasets, ICDM 2008: confidence in a purchase
    is 1 + ALPHA r, where r is the recency-weighted units of the product. Fitted on the history alone, anew for each
    date, so that no article is too new for it. The score is the dot product times the root of the variant's share of
    its product's fading units.

    Args:
        past: purchases before the as-of date.
        product: code of the product each article is a variant of, (articles,).
        half_life: days after which a variant's unit counts half as much.
    """

    def __init__(self, past: Purchases, as_of_date: date, product: Ints, half_life: int) -> None:
        # Random numbers are drawn for whoever and whatever was bought: they stay the same however much else is listed.
        customers, row = np.unique(past.customer, return_inverse=True)
        product = _by_first_bought(past, product)
        products, column = np.unique(product[past.article], return_inverse=True)
        self._customers, self._products = customers, products
        if not len(past):
            return
        weight = np.exp2((past.day - day_number(as_of_date)) / HALF_LIFE_DAYS).astype(np.float32)
        trusted = sparse.csr_matrix((weight, (row, column)), shape=(len(customers), len(products)))
        trusted.data = 1 + ALPHA * trusted.data
        with threadpool_limits(1, "blas"):  # the solver has threads of its own
            solver = AlternatingLeastSquares(FACTORS, REGULARISATION, iterations=ITERATIONS, random_state=0)
            solver.fit(trusted, show_progress=False)
        self._vectors, self._search = solver.user_factors, ExactSearch(solver.item_factors)
        units = decayed_units(past, as_of_date, half_life)
        sold = np.flatnonzero(units).astype(np.int32)
        group = np.searchsorted(products, product[sold]).astype(np.int32)
        self._variants = best_per_group(group, sold, _root_of_share(units[sold], group), len(products), VARIANTS)

    def of(self, customers: Ints) -> TopK:
        found = empty_topk(len(customers), COUNT)
        if not len(self._customers):
            return found
        position = np.minimum(np.searchsorted(self._customers, customers), len(self._customers) - 1)
        known = np.flatnonzero(self._customers[position] == customers)
        near = self._search.nearest(self._vectors[position[known]], PRODUCTS)
        articles = self._variants.articles[near.articles]
        scores = (near.scores[:, :, None] * self._variants.scores[near.articles]).astype(np.float32)
        scores[articles == NO_ARTICLE] = 0
        shape = len(known), near.articles.shape[1] * VARIANTS
        found.articles[known], found.scores[known] = best(articles.reshape(shape), scores.reshape(shape), COUNT)
        return found


def _by_first_bought(past: Purchases, product: Ints) -> Ints:
    """Each article's product as the first of its articles that was bought: an order that no listing changes."""
    bought = np.flatnonzero(past.articles_sold())[::-1].astype(np.int32)
    first = np.full(int(product.max(initial=0)) + 1, len(product), dtype=np.int32)
    first[product[bought]] = bought  # the smallest is written last
    return first[product]


def _root_of_share(units: Floats, group: Ints) -> Floats:
    """Root of each article's share of the units of its group."""
    return np.sqrt(units / np.bincount(group, weights=units)[group]).astype(np.float32)


def build(context: SourceContext) -> Source:
    """The source as of the context's date; of no use where a week says enough of an article."""
    windows = context.windows
    if not windows.is_sparse:
        return Nothing(COUNT)
    return ProductFactors(context.past, context.as_of_date, context.product, windows.baskets)
