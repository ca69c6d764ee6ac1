"""Candidate source: the articles that sold most in the days before the as-of date."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

from jobs.platform.codes import Ints
from jobs.retrieval.context import SourceContext
from jobs.retrieval.purchases import Purchases
from jobs.retrieval.source import Source, TopK, empty_topk, take_rows

SOURCE = "popularity"
COUNT = 50
#: To a customer of whom no more is known.
REASON = "Popular right now"
DAYS = 7


def units_sold(purchases: Purchases, as_of_date: date, days: int = DAYS) -> npt.NDArray[np.int64]:
    """Units of each article in the last `days` days before the as-of date, (articles,); 0 of those delisted since."""
    recent = purchases.between(as_of_date - timedelta(days=days), as_of_date)
    return np.bincount(recent.article, minlength=len(purchases.article_ids)) * recent.articles_listed()


def popular_articles(purchases: Purchases, as_of_date: date, count: int, days: int = DAYS) -> Ints:
    """Codes of the `count` best sellers (units) of the last `days` days, best first; the smaller code on a tie.

    Where fewer articles sold in those days, the longer past fills up, so that `count` are returned unless fewer
    are on sale.
    """
    sales = units_sold(purchases, as_of_date, days)
    history = purchases.before(as_of_date)
    sales_ever = np.bincount(history.article, minlength=len(sales)) * history.articles_listed()
    order = np.lexsort((np.arange(len(sales)), -sales_ever, -sales))[:count]
    return order[sales_ever[order] > 0].astype(np.int32)


class Popularity:
    """The best sellers of the last `days` days, the same for everyone; the score is the units sold in them.

    Args:
        history: purchases; those on or after `as_of_date` are not looked at.
    """

    def __init__(self, history: Purchases, as_of_date: date, days: int = DAYS) -> None:
        articles = popular_articles(history, as_of_date, COUNT, days)
        self._list = empty_topk(1, COUNT)
        self._list.articles[0, : len(articles)] = articles
        self._list.scores[0, : len(articles)] = units_sold(history, as_of_date, days)[articles]

    def of(self, customers: Ints) -> TopK:
        return take_rows(self._list, np.zeros_like(customers))


def build(context: SourceContext) -> Source:
    """The source as of the context's date."""
    return Popularity(context.past, context.as_of_date, context.windows.popular)
