"""Each customer's distinct articles, the most recent first: what the personal sources start from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jobs.platform.codes import Ints
from jobs.retrieval.purchases import Purchases
from jobs.retrieval.source import TopK, empty_topk


@dataclass(frozen=True)
class Latest:
    """The latest articles of some customers, as parallel vectors.

    Attributes:
        customers, width: how many were asked for, and at most how many articles of each.
        row: index of the customer among those asked for.
        column: 0 for the customer's latest article, 1 for the one before, and so on.
        article, last_day, units: of each (customer, article) pair.
    """

    customers: int
    width: int
    row: npt.NDArray[np.int64]
    column: npt.NDArray[np.int64]
    article: Ints
    last_day: Ints
    units: Ints

    def side_by_side(self, lists: TopK) -> TopK:
        """One row per customer, (customers, width x k), from one list per element, (elements, k)."""
        size = lists.articles.shape[1]
        found = empty_topk(self.customers, self.width * size)
        for whole, part in zip(found, lists, strict=True):
            whole.reshape(self.customers, self.width, size)[self.row, self.column] = part
        return found


class RecentPurchases:
    """Every customer's distinct articles: latest day first, then more units, then the smaller code.

    Args:
        history: purchases before the as-of date, all of them visible.

    Attributes:
        articles: number of article codes.
        is_listed: by article code; what is not may lead to picks, but is none.
    """

    def __init__(self, history: Purchases) -> None:
        first, days = (int(history.day.min()), int(np.ptp(history.day)) + 1) if len(history) else (0, 1)
        self.articles = len(history.article_ids)
        self.is_listed = history.articles_listed()
        day_bits, article_bits = days.bit_length(), self.articles.bit_length()
        # One number per line: sorting those is many times faster than sorting positions.
        packed = np.left_shift(history.customer, article_bits, dtype=np.int64)
        packed |= history.article
        packed <<= day_bits
        packed |= history.day - first
        packed.sort()
        pair = packed >> day_bits
        is_last = np.append(pair[1:] != pair[:-1], np.ones(min(len(pair), 1), dtype=bool))
        pair, age = pair[is_last], days - 1 - (packed[is_last] & (1 << day_bits) - 1)
        del packed
        # Units that the number has no room for count as the most that it has room for.
        unit_bits = 62 - day_bits - article_bits - len(history.customer_ids).bit_length()
        most = (1 << min(unit_bits, 31)) - 1
        units = np.minimum(np.diff(np.flatnonzero(is_last), prepend=-1), most)
        article = pair & (1 << article_bits) - 1
        pair >>= article_bits
        self._start = np.searchsorted(pair, np.arange(len(history.customer_ids) + 1))
        pair = ((pair << day_bits | age) << unit_bits | most - units) << article_bits | article
        pair.sort()
        self._article = (pair & (1 << article_bits) - 1).astype(np.int32)
        pair >>= article_bits
        self._units = (most - (pair & (1 << unit_bits) - 1)).astype(np.int32)
        pair >>= unit_bits
        self._last_day = (first + days - 1 - (pair & (1 << day_bits) - 1)).astype(np.int32)

    def latest(self, customers: Ints, width: int) -> Latest:
        """The first `width` articles of each customer."""
        start = self._start[customers]
        row, column = np.nonzero(np.arange(width) < (self._start[customers + 1] - start)[:, None])
        position = start[row] + column
        pair = self._article[position], self._last_day[position], self._units[position]
        return Latest(len(customers), width, row, column, *pair)

    def of(self, customers: Ints, count: int | None = None) -> Ints:
        """The first `count` articles of each customer, None: all of them: (n, count) codes, padded with NO_ARTICLE."""
        if count is None:
            count = int((self._start[customers + 1] - self._start[customers]).max(initial=0))
        latest = self.latest(customers, count)
        articles = empty_topk(len(customers), count).articles
        articles[latest.row, latest.column] = latest.article
        return articles

    def has_history(self, customers: Ints) -> npt.NDArray[np.bool_]:
        """Whether each customer bought anything."""
        return self._start[customers + 1] > self._start[customers]

    def buyers_since(self, day: int) -> Ints:
        """Customers who bought something on or after that day, ascending."""
        has_history = self._start[1:] > self._start[:-1]
        customers = np.flatnonzero(has_history)
        return customers[self._last_day[self._start[customers]] >= day].astype(np.int32)

    def has_bought(self, customers: Ints, row: npt.NDArray[np.int64], article: Ints) -> npt.NDArray[np.bool_]:
        """Whether customer `customers[row]` ever bought the article; `row` and `article` are parallel vectors."""
        count = self._start[customers + 1] - self._start[customers]
        owner = np.repeat(np.arange(len(customers)), count)
        within = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
        bought = np.sort(owner * self.articles + self._article[np.repeat(self._start[customers], count) + within])
        wanted = row * self.articles + article
        found = np.append(bought, -1)[np.searchsorted(bought, wanted)]
        return np.asarray(found == wanted)
