"""What a customer's history says about an article: bought before, how long ago, and how much of it was alike."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
from scipy import sparse

from jobs.retrieval.purchases import Ints, Purchases, day_number

#: A purchase counts half as much for a customer's taste after this many days.
HALF_LIFE_DAYS = 90


@dataclass(frozen=True)
class LastBought:
    """Units and last day of each (customer, thing) pair that was ever bought, looked up by pair.

    Attributes:
        keys: customer * size + thing, ascending, (pairs,) int64.
        units, last_day: of each pair.
        size: number of things.
    """

    keys: npt.NDArray[np.int64]
    units: Ints
    last_day: Ints
    size: int

    @classmethod
    def of(cls, customer: Ints, thing: Ints, day: Ints, size: int) -> LastBought:
        """From one element per unit bought."""
        keys, group, units = np.unique(
            customer.astype(np.int64) * size + thing, return_inverse=True, return_counts=True
        )
        last_day = np.zeros(len(keys), dtype=np.int32)
        np.maximum.at(last_day, group, day)
        return cls(keys, units.astype(np.int32), last_day, size)

    def look_up(self, customer: Ints, thing: Ints) -> tuple[Ints, Ints]:
        """Units and last day of pairs of any (equal) shape; 0 and 0 for a pair never bought."""
        wanted = customer.astype(np.int64) * self.size + thing
        if not len(self.keys):
            return np.zeros(wanted.shape, np.int32), np.zeros(wanted.shape, np.int32)
        position = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        found = self.keys[position] == wanted
        return np.where(found, self.units[position], 0), np.where(found, self.last_day[position], 0)


def affinity_weights(history: Purchases, as_of_date: date) -> sparse.csr_matrix:
    """Customer x article weights: each unit halves every HALF_LIFE_DAYS; a row sums to one, or is empty."""
    age = day_number(as_of_date) - history.day
    weight = np.exp2(-age / HALF_LIFE_DAYS)
    shape = (len(history.customer_ids), len(history.article_ids))
    total = np.bincount(history.customer, weights=weight, minlength=shape[0])
    share = (weight / total[history.customer]).astype(np.float32)
    return sparse.csr_matrix((share, (history.customer, history.article)), shape=shape)
