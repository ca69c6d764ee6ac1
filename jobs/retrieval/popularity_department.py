"""Candidate source: what sold most in the departments that the customer bought from, before the as-of date."""

from __future__ import annotations

from datetime import date

import numpy as np

from jobs.platform.codes import NO_ARTICLE, Ints
from jobs.retrieval.context import SourceContext
from jobs.retrieval.popularity import DAYS, units_sold
from jobs.retrieval.purchases import Purchases, day_number
from jobs.retrieval.recent import RecentPurchases
from jobs.retrieval.source import Floats, Source, TopK, best, best_per_group

SOURCE = "popularity_department"
COUNT = 40
#: To a customer of whom no more is known.
REASON = "Popular right now in a department you buy from"
#: Articles of a customer that say where they buy, and a purchase's days to count half as much.
LATEST, HALF_LIFE_DAYS = 30, 60
#: Groups of a customer that are looked into.
GROUPS = 8


class PopularityByGroup:
    """The best articles of the groups that a customer buys from; the score is the article's worth x the group's share.

    A group's share is that of the customer's latest articles, each weighing half as much every HALF_LIFE_DAYS.

    Args:
        recent: every customer's articles before the as-of date.
        group: code of each article's group, (articles,).
        worth: of each article, 0 of what is not to be found, (articles,).
    """

    def __init__(self, recent: RecentPurchases, as_of_date: date, group: Ints, worth: Floats) -> None:
        self._recent, self._today, self._group = recent, day_number(as_of_date), group
        self._size = int(group.max(initial=0)) + 1
        found = np.flatnonzero(worth).astype(np.int32)
        self._lists = best_per_group(group[found], found, worth[found], self._size, COUNT)

    def of(self, customers: Ints) -> TopK:
        shares = self._shares(customers)
        codes = np.broadcast_to(np.arange(self._size, dtype=np.int32), shares.shape)
        own = best(np.where(shares > 0, codes, NO_ARTICLE), shares, min(GROUPS, self._size))
        is_own = (own.articles != NO_ARTICLE)[:, :, None]
        articles = np.where(is_own, self._lists.articles[own.articles], NO_ARTICLE)
        scores = self._lists.scores[own.articles] * own.scores[:, :, None]
        rows = (len(customers), own.articles.shape[1] * COUNT)
        return best(articles.reshape(rows), scores.reshape(rows), COUNT)

    def _shares(self, customers: Ints) -> np.ndarray:
        """Share of each group, (n, groups) float32; zeros without history."""
        own = self._recent.latest(customers, LATEST)
        weight = np.exp2((own.last_day - self._today) / HALF_LIFE_DAYS)
        key = own.row * self._size + self._group[own.article]
        weights = np.bincount(key, weights=weight, minlength=len(customers) * self._size)
        weights = weights.reshape(len(customers), self._size)
        return (weights / np.maximum(weights.sum(axis=1, keepdims=True), np.finfo(float).tiny)).astype(np.float32)


class PopularityByDepartment(PopularityByGroup):
    """By the units of some days in a customer's departments.

    Args:
        recent: every customer's articles before the as-of date.
        history: purchases; those on or after `as_of_date` are not looked at.
        department: code of each article's department, (articles,).
        days: before the as-of date whose units count.
    """

    def __init__(
        self, recent: RecentPurchases, history: Purchases, as_of_date: date, department: Ints, days: int = DAYS
    ) -> None:
        units = units_sold(history, as_of_date, days).astype(np.float32)
        super().__init__(recent, as_of_date, department, units)


def build(context: SourceContext) -> Source:
    """The source as of the context's date."""
    days = context.windows.popular
    return PopularityByDepartment(context.recent, context.past, context.as_of_date, context.department, days)
