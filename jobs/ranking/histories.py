"""Features of an article in a customer's history: bought before, how often, how long ago, share of similar ones."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
from scipy import sparse

from jobs.platform.codes import Ints
from jobs.retrieval.purchases import Purchases, day_number

#: A purchase counts half as much for a customer's taste after this many days.
HALF_LIFE_DAYS = 90


@dataclass(frozen=True)
class Bought:
    """Each (customer, thing) pair that was ever bought, looked up by pair.

    Attributes:
        keys: customer * size + thing, ascending, (pairs,) int64.
        units, visits: units bought, and different days they were bought on, of each pair.
        first_day, last_day: of each pair.
        size: number of things.
    """

    keys: npt.NDArray[np.int64]
    units: Ints
    visits: Ints
    first_day: Ints
    last_day: Ints
    size: int

    @classmethod
    def of(cls, customer: Ints, thing: Ints, day: Ints, size: int) -> Bought:
        """From one element per unit bought, in any order."""
        first, span = (int(day.min()), int(np.ptp(day)) + 1) if len(day) else (0, 1)
        # One number per line: sorting those is many times faster than sorting positions.
        packed = np.sort((customer.astype(np.int64) * size + thing) * span + (day - first))
        key, day = packed // span, (packed % span + first).astype(np.int32)
        is_first = np.diff(key, prepend=-1) != 0
        is_new_day = is_first | (np.diff(day, prepend=-1) != 0)
        start = np.flatnonzero(is_first)
        units = np.diff(start, append=len(key))
        visits = np.add.reduceat(is_new_day, start, dtype=np.int32) if len(start) else start.astype(np.int32)
        return cls(key[start], units.astype(np.int32), visits, day[start], day[start + units - 1], size)

    def position(self, customer: Ints, thing: Ints) -> npt.NDArray[np.int64]:
        """Position of pairs of any (equal) shape in the arrays; -1 for a pair never bought."""
        wanted = customer.astype(np.int64) * self.size + thing
        if not wanted.size or not len(self.keys):
            return np.full(wanted.shape, -1)
        # Customers of a block lie near each other: searching among their keys alone stays in the processor's cache.
        first, end = np.searchsorted(self.keys, [wanted.min(), wanted.max() + 1])
        keys = self.keys[first:end]
        if not len(keys):
            return np.full(wanted.shape, -1)
        position = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.where(keys[position] == wanted, first + position, -1)

    def units_of(self, customer: Ints, thing: Ints) -> Ints:
        """Units of pairs of any (equal) shape; 0 for a pair never bought."""
        position = self.position(customer, thing)
        return np.where(position >= 0, self.units[position], 0) if len(self.units) else np.zeros_like(position)

    @property
    def customer(self) -> npt.NDArray[np.int64]:
        return self.keys // self.size

    @property
    def thing(self) -> npt.NDArray[np.int64]:
        return self.keys % self.size


def affinity_weights(
    history: Purchases, as_of_date: date, events: sparse.csr_matrix | None = None
) -> sparse.csr_matrix:
    """Customer x article weights: each unit halves every HALF_LIFE_DAYS; a row sums to one, or is empty.

    Args:
        events: weights of what the customers met beside what they bought, by code.
    """
    age = day_number(as_of_date) - history.day
    weight = np.exp2(-age / HALF_LIFE_DAYS)
    shape = (len(history.customer_ids), len(history.article_ids))
    total = np.bincount(history.customer, weights=weight, minlength=shape[0])
    if events is not None:
        total += np.asarray(events.sum(axis=1)).ravel()
    share = (weight / total[history.customer]).astype(np.float32)
    bought = sparse.csr_matrix((share, (history.customer, history.article)), shape=shape)
    if events is None:
        return bought
    shares = events.multiply(1 / np.where(total > 0, total, 1)[:, None])
    return (bought + shares).astype(np.float32).tocsr()
