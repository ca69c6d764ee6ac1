"""Each customer's distinct articles, the most recent first: what the personal sources start from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from jobs.retrieval.purchases import NO_ARTICLE, Ints, Purchases


class Places(NamedTuple):
    """Articles of some customers, as parallel vectors.

    Attributes:
        row: index of the customer among those asked for.
        column: 0 for the customer's latest article, 1 for the one before.
        position: in the vectors of RecentPurchases.
    """

    row: npt.NDArray[np.int64]
    column: npt.NDArray[np.int64]
    position: npt.NDArray[np.int64]


class RecentPurchases:
    """Every customer's distinct articles: latest day first, then more units, then the smaller code.

    Args:
        history: purchases before the as-of date, all of them visible.

    Attributes:
        start: where each customer's articles start in the other attributes, (customers + 1,).
        articles: number of articles there are.
        article, last_day, units: of each (customer, article) pair, customer by customer.
    """

    def __init__(self, history: Purchases) -> None:
        size = len(history.article_ids)
        first, days = (int(history.day[0]), int(np.ptp(history.day)) + 1) if len(history) else (0, 1)
        # One number per line: sorting those is many times faster than sorting positions.
        packed = np.sort((history.customer.astype(np.int64) * size + history.article) * days + (history.day - first))
        pair = packed // days
        is_last = np.diff(pair, append=-1) != 0
        units = np.diff(np.flatnonzero(is_last), prepend=-1)
        pair, age = pair[is_last], days - 1 - packed[is_last] % days
        most = int(units.max(initial=0))
        packed = np.sort(((pair // size * days + age) * (most + 1) + (most - units)) * size + pair % size)
        self.article = (packed % size).astype(np.int32)
        packed //= size
        self.units = (most - packed % (most + 1)).astype(np.int32)
        packed //= most + 1
        self.last_day = (first + days - 1 - packed % days).astype(np.int32)
        self.articles = size
        self.start = np.searchsorted(packed // days, np.arange(len(history.customer_ids) + 1))

    def latest(self, customers: Ints, width: int) -> Places:
        """Where the first `width` articles of each customer are."""
        row, column = np.nonzero(np.arange(width) < np.diff(self.start)[customers][:, None])
        return Places(row, column, self.start[customers][row] + column)

    def of(self, customers: Ints, count: int) -> Ints:
        """The first `count` articles of each customer: (n, count) codes, padded with NO_ARTICLE."""
        articles = np.full((len(customers), count), NO_ARTICLE, dtype=np.int32)
        row, column, position = self.latest(customers, count)
        articles[row, column] = self.article[position]
        return articles

    def has_bought(self, customers: Ints, row: npt.NDArray[np.int64], article: Ints) -> npt.NDArray[np.bool_]:
        """Whether customer `customers[row]` ever bought the article; `row` and `article` have the same shape."""
        count = np.diff(self.start)[customers]
        owner = np.repeat(np.arange(len(customers)), count)
        within = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
        bought = owner * self.articles + self.article[np.repeat(self.start[customers], count) + within]
        return np.isin(row.astype(np.int64) * self.articles + article, bought)
