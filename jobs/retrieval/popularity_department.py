"""Candidate source: what sold most in the departments that the customer bought from, before the as-of date."""

from __future__ import annotations

from datetime import date

import numpy as np

from jobs.platform.codes import NO_ARTICLE, Ints
from jobs.retrieval.context import SourceContext
from jobs.retrieval.popularity import units_sold
from jobs.retrieval.purchases import Purchases, day_number
from jobs.retrieval.recent import RecentPurchases
from jobs.retrieval.source import Source, TopK, best, best_per_group

SOURCE = "popularity_department"
COUNT = 40
#: To a customer of whom no more is known.
REASON = "Popular this week in a department you buy from"
#: Articles of a customer that say where they buy, and a purchase's days to count half as much.
LATEST, HALF_LIFE_DAYS = 30, 60
#: Departments of a customer that are looked into.
DEPARTMENTS = 8


class PopularityByDepartment:
    """The best sellers of the last 7 days in a customer's departments; the score is units x the department's share.

    A department's share is that of the customer's latest articles, each weighing half as much every HALF_LIFE_DAYS.

    Args:
        recent: every customer's articles before the as-of date.
        history: purchases; those on or after `as_of_date` are not looked at.
        department: code of each article's department, (articles,).
    """

    def __init__(self, recent: RecentPurchases, history: Purchases, as_of_date: date, department: Ints) -> None:
        self._recent, self._today, self._department = recent, day_number(as_of_date), department
        self._size = int(department.max(initial=0)) + 1
        units = units_sold(history, as_of_date)
        sold = np.flatnonzero(units).astype(np.int32)
        self._lists = best_per_group(department[sold], sold, units[sold].astype(np.float32), self._size, COUNT)

    def of(self, customers: Ints) -> TopK:
        shares = self._shares(customers)
        codes = np.broadcast_to(np.arange(self._size, dtype=np.int32), shares.shape)
        own = best(np.where(shares > 0, codes, NO_ARTICLE), shares, min(DEPARTMENTS, self._size))
        is_own = (own.articles != NO_ARTICLE)[:, :, None]
        articles = np.where(is_own, self._lists.articles[own.articles], NO_ARTICLE)
        scores = self._lists.scores[own.articles] * own.scores[:, :, None]
        rows = (len(customers), own.articles.shape[1] * COUNT)
        return best(articles.reshape(rows), scores.reshape(rows), COUNT)

    def _shares(self, customers: Ints) -> np.ndarray:
        """Share of each department, (n, departments) float32; zeros without history."""
        own = self._recent.latest(customers, LATEST)
        weight = np.exp2((own.last_day - self._today) / HALF_LIFE_DAYS)
        key = own.row * self._size + self._department[own.article]
        weights = np.bincount(key, weights=weight, minlength=len(customers) * self._size)
        weights = weights.reshape(len(customers), self._size)
        return (weights / np.maximum(weights.sum(axis=1, keepdims=True), np.finfo(float).tiny)).astype(np.float32)


def build(context: SourceContext) -> Source:
    """The source as of the context's date."""
    return PopularityByDepartment(context.recent, context.past, context.as_of_date, context.department)
