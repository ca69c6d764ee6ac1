"""Candidate source: other variants (colours, say) of the products a customer bought, the most recent first."""

from __future__ import annotations

from datetime import date

import numpy as np

from jobs.retrieval.popularity import units_sold
from jobs.retrieval.purchases import NO_ARTICLE, Ints, Purchases, day_number
from jobs.retrieval.recent import RecentPurchases
from jobs.retrieval.source import Found, best, best_per_group, nothing

SOURCE = "same_product"
COUNT = 30
#: Articles of a customer whose products are looked at, and best-selling variants of each product.
LATEST, VARIANTS = 20, 8
#: Variants that sold nothing for so long are not found: they are hardly there any more.
DAYS = 28


class SameProduct:
    """Variants that the customer did not buy: latest purchase of the product first, then units of the last DAYS days.

    The score is that order as a number: minus the days since that purchase, plus units / (1 + units).

    Args:
        recent: every customer's articles before the as-of date.
        history: purchases; those on or after `as_of_date` are not looked at.
        product: code of the product each article is a variant of, (articles,).
    """

    def __init__(self, recent: RecentPurchases, history: Purchases, as_of_date: date, product: Ints) -> None:
        self._recent, self._today, self._product = recent, day_number(as_of_date), product
        units = units_sold(history, as_of_date, DAYS)
        sold = np.flatnonzero(units).astype(np.int32)
        size = int(product.max(initial=0)) + 1
        share = (units[sold] / (1 + units[sold])).astype(np.float32)
        self._variants = best_per_group(product[sold], sold, share, size, VARIANTS)

    def of(self, customers: Ints) -> Found:
        place = self._recent.latest(customers, LATEST)
        product = self._product[self._recent.article[place.position]]
        offers = nothing(len(customers), LATEST * VARIANTS)
        at = place.row[:, None], place.column[:, None] * VARIANTS + np.arange(VARIANTS)
        offers.articles[at] = self._variants.articles[product]
        age = self._today - self._recent.last_day[place.position]
        offers.scores[at] = self._variants.scores[product] - age[:, None]
        row, column = np.nonzero(offers.articles != NO_ARTICLE)
        is_bought = self._recent.has_bought(customers, row, offers.articles[row, column])
        offers.articles[row[is_bought], column[is_bought]] = NO_ARTICLE
        return best(offers.articles, offers.scores, COUNT)
