"""Purchase histories in numpy: the lines of many entities, side by side, and what can be said of each entity's lines.

An entity is a customer or an article. Lines are kept in one fixed order, so that a sum of doubles, which depends on the
order of its terms, is equal to the last bit on any cluster and whatever else shares the partition.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Histories:
    """Purchase lines as parallel arrays, sorted by (entity, day, price).

    Attributes:
        entity: surrogate key of the customer or article, int32.
        day: days since 1970-01-01, int32.
        price: double.
        other: surrogate key of the other side, the article or customer, int32.
        channel: sales channel, int32.
        is_new: the entity's first line with that other, bool.
        is_late: came later than lines of its day usually do: what was computed before may not know it; bool.
    """

    entity: Array
    day: Array
    price: Doubles
    other: Array
    channel: Array
    is_new: Array
    is_late: Array

    @classmethod
    def of(
        cls, entity: Array, day: Array, price: Doubles, other: Array, channel: Array, is_late: Array | None = None
    ) -> Histories:
        """Lines in any order, integers of any size."""
        entity, day, other, channel = (keys.astype(np.int32, copy=False) for keys in (entity, day, other, channel))
        is_late = np.zeros(len(entity), bool) if is_late is None else is_late
        order = _order(entity, day, price)
        entity, other = entity[order], other[order]
        is_new = _is_first(entity, other)
        return cls(entity, day[order], price[order], other, channel[order], is_new, is_late[order])

    def __len__(self) -> int:
        return len(self.entity)

    def where(self, mask: Array) -> Histories:
        """The lines at which `mask` is true; `is_new` stays what it was in all lines."""
        if mask.all():
            return self
        return Histories(*(getattr(self, field.name)[mask] for field in fields(self)))

    def since(self, day: int) -> Histories:
        """The lines dated `day` or later; `is_new` then tells of these lines alone."""
        return self.where(self.day >= day).anew()

    def anew(self) -> Histories:
        """The same lines, `is_new` telling of these alone."""
        return replace(self, is_new=_is_first(self.entity, self.other))

    def all_lines_of(self, mask: Array) -> Array:
        """Marks every line of the entities that have a line at which `mask` is true."""
        if not len(self):
            return mask
        return np.repeat(np.logical_or.reduceat(mask, self.starts), self.count)

    # ---- one value per entity, in the order of `entities`; there are only entities with a line

    @cached_property
    def starts(self) -> Ints:
        """Position of each entity's first line."""
        changes = np.flatnonzero(self.entity[1:] != self.entity[:-1]) + 1
        return np.concatenate([np.zeros(min(len(self), 1), dtype=np.int64), changes])

    @cached_property
    def entities(self) -> Array:
        """Their keys, ascending."""
        return self.entity[self.starts]

    @cached_property
    def count(self) -> Ints:
        """Number of lines."""
        return np.diff(self.starts, append=len(self))

    @property
    def first_day(self) -> Array:
        return self.day[self.starts]

    @property
    def last_day(self) -> Array:
        return self.day[self.starts + self.count - 1]

    @property
    def distinct_others(self) -> Ints:
        """Number of different others."""
        return np.add.reduceat(self.is_new, self.starts, dtype=np.int64)

    @cached_property
    def price_sum(self) -> Doubles:
        return np.add.reduceat(self.price, self.starts)

    @property
    def price_mean(self) -> Doubles:
        return self.price_sum / self.count

    @property
    def price_min(self) -> Doubles:
        return np.minimum.reduceat(self.price, self.starts)

    @property
    def price_max(self) -> Doubles:
        return np.maximum.reduceat(self.price, self.starts)

    @property
    def price_stddev(self) -> Doubles:
        """Sample standard deviation (n - 1), in two passes; NaN for a single line."""
        deviation = self.price - np.repeat(self.price_mean, self.count)
        squares = np.add.reduceat(deviation * deviation, self.starts)
        with np.errstate(invalid="ignore"):
            return np.sqrt(squares / (self.count - 1))

    @property
    def price_median(self) -> Doubles:
        """Exact median: the mean of the two middle values when their number is even."""
        ranked = self.price[_order(self.entity, self.price)]
        low, high = self.starts + (self.count - 1) // 2, self.starts + self.count // 2
        return (ranked[low] + ranked[high]) / 2

    @property
    def favourite_channel(self) -> Array:
        """The most frequent channel, the smallest of them on a tie."""
        channels = np.unique(self.channel)
        votes = [np.add.reduceat(self.channel == channel, self.starts, dtype=np.int64) for channel in channels]
        return channels[np.argmax(votes, axis=0)]

    def spread(self, values: Array, entities: Array) -> Array:
        """`values` (of these entities) for a superset of them, 0 for the others; shape (len(entities),)."""
        spread = np.zeros(len(entities), dtype=values.dtype)
        spread[np.searchsorted(entities, self.entities)] = values
        return spread


def _order(*keys: Array) -> Array:
    """Positions that sort the lines by these keys, the first one first.

    Keys and position are packed into one integer where their ranges allow: sorting such integers by Polars takes a
    sixth of the time of asking numpy for the positions.
    """
    if not len(keys[0]):
        return np.empty(0, dtype=np.int64)
    ranks = [key - np.int64(key.min()) if key.dtype.kind == "i" else _ranks(key) for key in keys]
    ranks.append(np.arange(len(keys[0])))
    bits = [int(rank.max()).bit_length() for rank in ranks]
    if sum(bits) > 63:
        return np.lexsort(keys[::-1])
    packed = np.zeros(len(keys[0]), dtype=np.int64)
    for rank, width in zip(ranks, bits, strict=True):
        packed <<= width
        packed |= rank
    return pl.Series(packed).sort().to_numpy() & ((1 << bits[-1]) - 1)


def _ranks(values: Array) -> Ints:
    """The rank of each value among the different ones."""
    encoded = pa.array(values).dictionary_encode()
    rank = np.empty(len(encoded.dictionary), dtype=np.int64)
    rank[np.argsort(encoded.dictionary.to_numpy())] = np.arange(len(rank))
    return rank[encoded.indices.to_numpy()]


def _is_first(entity: Array, other: Array) -> Array:
    """Marks the first of the lines with the same entity and other."""
    order = _order(entity, other)
    entity, other = entity[order], other[order]
    is_first = np.ones(len(order), dtype=bool)
    is_first[order[1:]] = (entity[1:] != entity[:-1]) | (other[1:] != other[:-1])
    return is_first
