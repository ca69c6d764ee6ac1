"""Candidate source: what a customer bought before, the most recent first."""

from __future__ import annotations

import numpy as np

from jobs.retrieval.purchases import Ints, Purchases, first_per_group

SOURCE = "repurchase"


def recent_purchases(history: Purchases, customers: Ints, count: int) -> Ints:
    """Each customer's last `count` distinct articles: latest day first, then more units, then the smaller code.

    Args:
        history: purchases before the as-of date, all of them visible.
        customers: customer codes, shape (n,).

    Returns:
        Article codes, shape (n, count), padded with NO_ARTICLE.
    """
    own = np.isin(history.customer, customers)
    customer, article, day = history.customer[own], history.article[own], history.day[own]
    order = np.lexsort((-day, article, customer))
    customer, article, day = customer[order], article[order], day[order]
    is_first = np.ones(len(order), dtype=bool)
    is_first[1:] = (customer[1:] != customer[:-1]) | (article[1:] != article[:-1])
    units = np.diff(np.append(np.flatnonzero(is_first), len(order)))
    customer, article, day = customer[is_first], article[is_first], day[is_first]
    preference = np.lexsort((article, -units, -day, customer))
    return first_per_group(customer[preference], article[preference], customers, count)
