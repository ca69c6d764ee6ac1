"""Candidate source: the articles that sold most in the days before the as-of date."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np

from jobs.retrieval.purchases import Ints, Purchases
from jobs.retrieval.source import Found, nothing, repeated

SOURCE = "popularity"
COUNT = 100
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


class Popularity:
    """The best sellers of the last DAYS days, the same for everyone; the score is the units sold in them.

    Args:
        history: purchases; those on or after `as_of_date` are not looked at.
    """

    def __init__(self, history: Purchases, as_of_date: date) -> None:
        articles = popular_articles(history, as_of_date, COUNT)
        recent = history.between(as_of_date - timedelta(days=DAYS), as_of_date)
        units = np.bincount(recent.article, minlength=len(history.article_ids))
        self._list = nothing(1, COUNT)
        self._list.articles[0, : len(articles)] = articles
        self._list.scores[0, : len(articles)] = units[articles]

    def of(self, customers: Ints) -> Found:
        return repeated(self._list, np.zeros_like(customers))
