"""A system of our own, through the same interface: best sellers of the fit's last 7 days, for whoever bought before.

It remembers what it was shown.
"""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

import numpy as np

from jobs.platform.codes import Ints
from jobs.recommenders.recommender import TrainingContext
from jobs.retrieval.popularity import popular_articles
from jobs.retrieval.purchases import Purchases
from jobs.retrieval.source import TopK, empty_topk


class Shown(NamedTuple):
    """What a fit, or picks, saw."""

    what: str
    last_day: int
    as_of_date: date
    features: int = 0


SHOWN: list[Shown] = []


class Lists:
    """The same list for each customer with a history."""

    def __init__(self, articles: Ints, known: Ints, count: int) -> None:
        self._articles, self._known, self._count = articles[:count], known, count

    def of(self, customers: Ints) -> TopK:
        found = empty_topk(len(customers), self._count)
        row = np.flatnonzero(np.isin(customers, self._known))[:, None]
        place = np.arange(len(self._articles))
        found.articles[row, place], found.scores[row, place] = self._articles, -place
        return found


class Popular:
    """Its list is of the fit; who has a history is asked anew."""

    def __init__(self, articles: Ints) -> None:
        self._articles = articles

    def at(self, history: Purchases, as_of_date: date, count: int) -> Lists:
        SHOWN.append(Shown("at", int(history.day.max()), as_of_date))
        return Lists(self._articles, np.unique(history.customer), count)


def fit(known: TrainingContext, most: int = 1000) -> Popular:
    SHOWN.append(Shown("fit", int(known.history.day.max()), known.as_of_date, known.features.shape[1]))
    assert known.folder.is_dir()
    return Popular(popular_articles(known.history, known.as_of_date, most))
