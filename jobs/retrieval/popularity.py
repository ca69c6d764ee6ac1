"""Candidate source: the articles that sold most in the days before the as-of date."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np

from jobs.retrieval.purchases import Ints, Purchases

SOURCE = "popularity"
DAYS = 7


def popular_articles(purchases: Purchases, as_of_date: date, count: int, days: int = DAYS) -> Ints:
    """Codes of the `count` best sellers (units) of the last `days` days, best first; the smaller code on a tie.

    Where fewer articles sold in those days, the longer past fills up, so that `count` are returned unless fewer
    were ever sold.
    """
    size = len(purchases.article_ids)
    recent = purchases.between(as_of_date - timedelta(days=days), as_of_date)
    sales = np.bincount(recent.article, minlength=size)
    sales_ever = np.bincount(purchases.before(as_of_date).article, minlength=size)
    order = np.lexsort((np.arange(size), -sales_ever, -sales))[:count]
    return order[sales_ever[order] > 0].astype(np.int32)
