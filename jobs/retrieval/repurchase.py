"""Candidate source: what a customer bought before, the most recent first."""

from __future__ import annotations

from datetime import date

from jobs.retrieval.purchases import Ints, Purchases, day_number
from jobs.retrieval.recent import RecentPurchases
from jobs.retrieval.source import Found, nothing

SOURCE = "repurchase"
COUNT = 30


class Repurchase:
    """Each customer's own articles, latest day first, then more units, then the smaller code.

    The score is that order as a number: minus the days since the last purchase, plus units / (1 + units).
    """

    def __init__(self, recent: RecentPurchases, as_of_date: date) -> None:
        self._recent, self._today = recent, day_number(as_of_date)

    def of(self, customers: Ints) -> Found:
        found, recent = nothing(len(customers), COUNT), self._recent
        row, column, position = recent.latest(customers, COUNT)
        units = recent.units[position]
        found.articles[row, column] = recent.article[position]
        found.scores[row, column] = recent.last_day[position] - self._today + units / (1 + units)
        return found


def recent_purchases(history: Purchases, customers: Ints, count: int) -> Ints:
    """The last `count` distinct articles of each customer; see RecentPurchases."""
    return RecentPurchases(history).of(customers, count)
