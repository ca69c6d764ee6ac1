"""Candidate source: what a customer bought before, the most recent first."""

from __future__ import annotations

from datetime import date

import numpy as np

from jobs.platform.codes import Ints
from jobs.retrieval.context import SourceContext
from jobs.retrieval.purchases import Purchases, day_number
from jobs.retrieval.recent import RecentPurchases
from jobs.retrieval.source import Source, TopK, listed_only

SOURCE = "repurchase"
COUNT = 30
#: To a customer of whom no more is known.
REASON = "You bought this before"


class Repurchase:
    """Each customer's own articles that are on sale, latest day first, then more units, then the smaller code.

    The score is that order as a number: minus the days since the last purchase, plus units / (1 + units).

    Args:
        recent: every customer's articles before the as-of date.
    """

    def __init__(self, recent: RecentPurchases, as_of_date: date) -> None:
        self._recent, self._today = recent, day_number(as_of_date)

    def of(self, customers: Ints) -> TopK:
        own = self._recent.latest(customers, COUNT)
        score = (own.last_day - self._today + own.units / (1 + own.units)).astype(np.float32)
        return listed_only(own.side_by_side(TopK(own.article[:, None], score[:, None])), self._recent.is_listed)


def own_articles(history: Purchases) -> RecentPurchases:
    """Each customer's articles that are still listed."""
    return RecentPurchases(history.where(history.articles_listed()[history.article]))


def build(context: SourceContext) -> Source:
    """The source as of the context's date."""
    return Repurchase(context.recent, context.as_of_date)
