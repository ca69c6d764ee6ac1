"""Baskets: the distinct articles that a customer bought on one day, or in one visit where the retailer numbers them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from jobs.platform.codes import Ints
from jobs.platform.errors import JobError

#: No item: what an article without a product, say, is at the level of products.
NO_ITEM = -1


@dataclass(frozen=True)
class Baskets:
    """Distinct items by basket, one element each, ordered by (basket, item).

    Attributes:
        basket: number of the basket, (n,); baskets are numbered by customer.
        item: code of the item, (n,).
        customer, day: of each basket, (baskets,); days are counted from any day.
        items: number of item codes, sold or not.
        set_aside: baskets left out because they hold too much.
    """

    basket: Ints
    item: Ints
    customer: Ints
    day: Ints
    items: int
    set_aside: int = 0

    def __len__(self) -> int:
        return len(self.customer)

    @property
    def sizes(self) -> Ints:
        """Distinct items of each basket, (baskets,)."""
        return np.bincount(self.basket, minlength=len(self)).astype(np.int32)

    def of(self, item_of: Ints, items: int) -> Baskets:
        """The same baskets of other items, of products instead of articles, say; each once in a basket.

        Args:
            item_of: the other item of each item, NO_ITEM for none, (self.items,).
            items: number of the others' codes.
        """
        other = item_of[self.item]
        packed = np.sort((self.basket.astype(np.int64) * items + other)[other != NO_ITEM])
        packed = packed[_is_first(packed)]
        basket, item = (part.astype(np.int32) for part in np.divmod(packed, max(items, 1)))
        return replace(self, basket=basket, item=item, items=items)


def baskets_of(customer: Ints, day: Ints, item: Ints, items: int, max_size: int, visit: Ints | None = None) -> Baskets:
    """The baskets of these lines, which are in any order; several units of an article are one.

    Args:
        customer, day, item: of each line.
        items: number of item codes.
        max_size: baskets with more distinct items are set aside: who buys half the shop says nothing of what goes
            together, and pairs grow with the square of a basket.
        visit: number of each line's visit, -1 where it has none; None: no line has one. A visit has the day it began.

    Raises:
        JobError: customers, days and items are so many that a line does not fit a number of 64 bits.
    """
    first = int(day.min()) if len(day) else 0
    age = day.astype(np.int64) - first
    begun = first + np.arange(int(age.max(initial=-1)) + 1)  # on which day each visit began: first those that are days
    if visit is not None:
        own = np.full(int(visit.max(initial=-1)) + 1, np.iinfo(np.int32).max)
        np.minimum.at(own, visit[visit >= 0], day[visit >= 0])
        age, begun = np.where(visit >= 0, visit + len(begun), age), np.concatenate([begun, own])
    bits = [int(codes.max(initial=0)).bit_length() for codes in (customer, age, item)]
    if sum(bits) > 63:
        raise JobError(
            f"baskets: too many customers, days and articles together (2^{sum(bits)}); give a shorter window"
        )
    packed = (customer.astype(np.int64) << bits[1] | age) << bits[2] | item
    packed.sort()
    packed = packed[_is_first(packed)]
    number, item = packed >> bits[2], (packed & (1 << bits[2]) - 1).astype(np.int32)
    starts = np.flatnonzero(_is_first(number))
    size = np.diff(starts, append=len(number))
    is_kept = size <= max_size
    number, size, item = number[starts][is_kept], size[is_kept], item[np.repeat(is_kept, size)]
    return Baskets(
        basket=np.repeat(np.arange(len(number), dtype=np.int32), size),
        item=item,
        customer=(number >> bits[1]).astype(np.int32),
        day=begun[number & (1 << bits[1]) - 1].astype(np.int32),
        items=items,
        set_aside=int((~is_kept).sum()),
    )


def _is_first(ascending: np.ndarray) -> np.ndarray:
    """Where a value differs from the one before it."""
    is_first = np.ones(len(ascending), dtype=bool)
    is_first[1:] = ascending[1:] != ascending[:-1]
    return is_first
