"""Candidate source: other variants (colours, say) of the products a customer bought, the most recent first."""

from __future__ import annotations

from datetime import date

import numpy as np
import numpy.typing as npt

from jobs.platform.codes import NO_ARTICLE, Ints
from jobs.retrieval.context import SourceContext
from jobs.retrieval.popularity import units_sold
from jobs.retrieval.purchases import Purchases, day_number
from jobs.retrieval.recent import RecentPurchases
from jobs.retrieval.source import Source, TopK, best, best_per_group, dedupe

SOURCE = "same_product"
COUNT = 20
#: To a customer of whom no more is known.
REASON = "You bought this in another version"
#: Articles of a customer whose products are looked at, and best-selling variants of each product.
LATEST, VARIANTS = 20, 8
DAYS = 28


class SameProduct:
    """Variants that the customer did not buy: latest purchase of the product first, then units of the last `days` days.

    The score is that order as a number: minus the days since that purchase, plus units / (1 + units).

    Args:
        recent: every customer's articles before the as-of date.
        history: purchases; those on or after `as_of_date` are not looked at.
        product: code of the product each article is a variant of, (articles,).
        days: variants that sold nothing for so long are not found: they are hardly there any more.
    """

    def __init__(
        self, recent: RecentPurchases, history: Purchases, as_of_date: date, product: Ints, days: int = DAYS
    ) -> None:
        self._recent, self._today, self._product = recent, day_number(as_of_date), product
        units = units_sold(history, as_of_date, days)
        sold = np.flatnonzero(units).astype(np.int32)
        size = int(product.max(initial=0)) + 1
        share = (units[sold] / (1 + units[sold])).astype(np.float32)
        self._variants = best_per_group(product[sold], sold, share, size, VARIANTS)

    def of(self, customers: Ints) -> TopK:
        own = self._recent.latest(customers, LATEST)
        variants, product = self._variants, self._product[own.article]
        age = (self._today - own.last_day).astype(np.float32)
        lists = TopK(variants.articles[product], variants.scores[product] - age[:, None])
        articles, scores = dedupe(*own.side_by_side(lists), np.maximum)
        row, column = np.nonzero(articles != NO_ARTICLE)
        is_bought = self._recent.has_bought(customers, row, articles[row, column])
        articles[row[is_bought], column[is_bought]] = NO_ARTICLE
        return best(articles, scores, COUNT)


def variants_bought(
    recent: RecentPurchases, product: Ints, customers: Ints, row: npt.NDArray[np.int64], articles: Ints
) -> Ints:
    """What the source found each article by: the customer's latest purchase of the same product.

    Args:
        recent, product: as for SameProduct.
        customers: customer codes, (n,).
        row, articles: parallel vectors: whose each article is, by row of `customers`, and its code.

    Returns:
        An article code for each; NO_ARTICLE where the customer's latest purchases hold none of the product.
    """
    own, size = recent.latest(customers, LATEST), int(product.max(initial=0)) + 1
    products, first = np.unique(own.row * size + product[own.article], return_index=True)  # the first is the latest
    bought = np.append(own.article[first], NO_ARTICLE).astype(np.int32)
    wanted = row * size + product[articles]
    position = np.searchsorted(products, wanted)
    return np.where(np.append(products, -1)[position] == wanted, bought[position], NO_ARTICLE)


def build(context: SourceContext) -> Source:
    """The source as of the context's date."""
    return SameProduct(context.recent, context.past, context.as_of_date, context.product, context.windows.selling)
