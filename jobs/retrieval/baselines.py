"""The baselines beside every model: what anyone could recommend without learning anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta

import numpy as np

from jobs.platform.codes import NO_ARTICLE, Ints
from jobs.retrieval import source
from jobs.retrieval.popularity import popular_articles
from jobs.retrieval.purchases import Purchases, day_number
from jobs.retrieval.recent import RecentPurchases
from jobs.retrieval.repurchase import own_articles
from jobs.retrieval.same_product import SameProduct
from jobs.retrieval.source import articles_at

#: Windows of `rules` in days, and its places for best sellers ahead of a customer's older articles.
OWN_DAYS, PRODUCT_DAYS, VARIANT_DAYS, POPULAR = 30, 400, 90, 12

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
    return own_articles(_purchases_of(purchases, customers, as_of_date)).of(customers, width)


def own_recent_then_popularity(purchases: Purchases, customers: Ints, as_of_date: date, width: int) -> Ints:
    """Own recent purchases, then the best sellers of the last 7 days."""
    own = own_recent_purchases(purchases, customers, as_of_date, width)
    return first_distinct(np.hstack([own, popularity_7d(purchases, customers, as_of_date, width)]), width)


def rules(purchases: Purchases, customers: Ints, as_of_date: date, width: int) -> Ints:
    """What rules find that a merchandiser would write down, one after the other.

    Own articles of the last OWN_DAYS, the latest first; other variants of products bought in the last PRODUCT_DAYS
    that sold in the last VARIANT_DAYS; the POPULAR best sellers of the last 7 days; other own articles; more best
    sellers. The windows are fixed: none was chosen on weeks that are judged.
    """
    history = _purchases_of(purchases, customers, as_of_date)
    own = own_articles(history)
    latest = own.latest(customers, width)
    is_recent = latest.last_day >= day_number(as_of_date) - OWN_DAYS
    recent = np.full((len(customers), width), NO_ARTICLE, dtype=np.int32)
    recent[latest.row[is_recent], latest.column[is_recent]] = latest.article[is_recent]
    lately = RecentPurchases(history.between(as_of_date - timedelta(days=PRODUCT_DAYS), as_of_date))
    variants = SameProduct(lately, purchases.before(as_of_date), as_of_date, purchases.products(), VARIANT_DAYS)
    popular = popularity_7d(purchases, customers, as_of_date, max(width, POPULAR))
    parts = [recent, variants.of(customers).articles, popular[:, :POPULAR], own.of(customers, width), popular]
    return first_distinct(np.hstack(parts), width)


BASELINES: Mapping[str, Baseline] = {
    baseline.__name__: baseline for baseline in (popularity_7d, own_recent_purchases, own_recent_then_popularity, rules)
}


def _purchases_of(purchases: Purchases, customers: Ints, as_of_date: date) -> Purchases:
    """The history of these customers: a week's buyers are few, and sorting everybody's purchases is what takes time."""
    history, is_asked = purchases.before(as_of_date), np.zeros(len(purchases.customer_ids), dtype=bool)
    is_asked[customers] = True
    return history.where(is_asked[history.customer])


def first_distinct(lists: Ints, width: int) -> Ints:
    """The first `width` distinct articles of each row, in order; rows that hold fewer are padded with NO_ARTICLE."""
    return articles_at(lists, source.first_distinct(lists, width))
