"""Each customer's distinct articles, the most recent first: what the personal sources start from."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from jobs.retrieval.purchases import NO_ARTICLE, Ints, Purchases


class RecentPurchases:
    """Every customer's distinct articles: latest day first, then more units, then the smaller code.

    Args:
        history: purchases before the as-of date, all of them visible.

    Attributes:
        start: where each customer's articles start in the other attributes, (customers + 1,).
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
        self.start = np.searchsorted(packed // days, np.arange(len(history.customer_ids) + 1))

    def positions(self, customers: Ints, width: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Where the first `width` articles of each customer are, (n, width), and which of these places are filled."""
        position = self.start[customers][:, None] + np.arange(width)
        is_filled = position < self.start[customers + 1][:, None]
        return np.where(is_filled, position, 0), is_filled

    def of(self, customers: Ints, count: int) -> Ints:
        """The first `count` articles of each customer: (n, count) codes, padded with NO_ARTICLE."""
        position, is_filled = self.positions(customers, count)
        if not len(self.article):
            return np.full(position.shape, NO_ARTICLE, dtype=np.int32)
        return np.where(is_filled, self.article[position], NO_ARTICLE).astype(np.int32)
