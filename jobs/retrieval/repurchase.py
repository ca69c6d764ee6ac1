"""Candidate source: what a customer bought before, the most recent first."""

from __future__ import annotations

import numpy as np

from jobs.retrieval.purchases import Ints, Purchases, first_per_group

SOURCE = "repurchase"


class RecentPurchases:
    """Every customer's distinct articles: latest day first, then more units, then the smaller code.

    Args:
        history: purchases before the as-of date, all of them visible.
    """

    def __init__(self, history: Purchases) -> None:
        order = np.lexsort((-history.day, history.article, history.customer))
        customer, article, day = history.customer[order], history.article[order], history.day[order]
        is_first = np.ones(len(order), dtype=bool)
        is_first[1:] = (customer[1:] != customer[:-1]) | (article[1:] != article[:-1])
        units = np.diff(np.append(np.flatnonzero(is_first), len(order)))
        customer, article, day = customer[is_first], article[is_first], day[is_first]
        preference = np.lexsort((article, -units, -day, customer))
        self._customer, self._article = customer[preference], article[preference]

    def of(self, customers: Ints, count: int) -> Ints:
        """The first `count` articles of each customer: (n, count) codes, padded with NO_ARTICLE."""
        return first_per_group(self._customer, self._article, customers, count)


def recent_purchases(history: Purchases, customers: Ints, count: int) -> Ints:
    """The last `count` distinct articles of each customer; see RecentPurchases."""
    return RecentPurchases(history).of(customers, count)
