"""The baselines beside every model: what anyone could recommend without learning anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date

import numpy as np

from jobs.platform.codes import NO_ARTICLE, Ints
from jobs.retrieval import source
from jobs.retrieval.popularity import popular_articles
from jobs.retrieval.purchases import Purchases
from jobs.retrieval.repurchase import recent_purchases
from jobs.retrieval.source import articles_at

#: A baseline: (purchases, customer codes (n,), as-of date, width) -> article codes (n, width), padded with NO_ARTICLE.
Baseline = Callable[[Purchases, Ints, date, int], Ints]


def popularity_7d(purchases: Purchases, customers: Ints, as_of_date: date, width: int) -> Ints:
    """The best sellers of the last 7 days, the same for everyone."""
    ranked = np.full((len(customers), width), NO_ARTICLE, dtype=np.int32)
    popular = popular_articles(purchases, as_of_date, width)
    ranked[:, : len(popular)] = popular
    return ranked


def own_recent_purchases(purchases: Purchases, customers: Ints, as_of_date: date, width: int) -> Ints:
    """What each customer bought before, the most recent first; an empty list without history."""
    history, is_asked = purchases.before(as_of_date), np.zeros(len(purchases.customer_ids), dtype=bool)
    is_asked[customers] = True
    own = is_asked[history.customer]  # a week's buyers are few, and sorting everybody's purchases is what takes time
    return recent_purchases(history.where(own), customers, width)


def own_recent_then_popularity(purchases: Purchases, customers: Ints, as_of_date: date, width: int) -> Ints:
    """Own recent purchases, then the best sellers of the last 7 days."""
    own = own_recent_purchases(purchases, customers, as_of_date, width)
    return first_distinct(np.hstack([own, popularity_7d(purchases, customers, as_of_date, width)]), width)


BASELINES: Mapping[str, Baseline] = {
    baseline.__name__: baseline for baseline in (popularity_7d, own_recent_purchases, own_recent_then_popularity)
}


def first_distinct(lists: Ints, width: int) -> Ints:
    """The first `width` distinct articles of each row, in order; rows that hold fewer are padded with NO_ARTICLE."""
    return articles_at(lists, source.first_distinct(lists, width))
