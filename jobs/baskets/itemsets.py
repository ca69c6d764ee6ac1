"""Frequent itemsets, counted to the last basket.

Apriori (Agrawal and Srikant, Fast Algorithms for Mining Association Rules, VLDB 1994) in its variant AprioriTid, on
whole arrays: an itemset of k + 1 items is two of k that share all but their last item and lie in the same basket, so
every occurrence is written down, sorted and counted. Items, and then itemsets, that are too rare are dropped before
the next size is looked at. From the occurrences follow the distinct customers and the dates as well, of which
FP-Growth's trees know nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from jobs.baskets.baskets import Baskets
from jobs.platform.codes import Ints
from jobs.platform.errors import JobError

Longs = npt.NDArray[np.int64]

#: Occurrences of itemsets of one size that a run writes down at most, and at once.
MAX_OCCURRENCES, BLOCK = 200_000_000, 4_000_000


@dataclass(frozen=True)
class Itemsets:
    """Itemsets of one size, in lexicographic order.

    Attributes:
        items: positions in `Mined.codes`, ascending within an itemset, (m, size).
        key: prefix of size - 1 items as its position among the itemsets of that size, times the number of codes, plus
            the last item; ascending, (m,).
        basket_count: baskets that hold all items, (m,).
        customer_count: customers who have such a basket, (m,).
        first_day, last_day: of those baskets, (m,).
    """

    items: Ints
    key: Longs
    basket_count: Longs
    customer_count: Longs
    first_day: Ints
    last_day: Ints

    def __len__(self) -> int:
        return len(self.key)


@dataclass(frozen=True)
class Mined:
    """The frequent itemsets of some baskets.

    Attributes:
        baskets: number of baskets, whatever they hold.
        sold: number of items that any of them holds, frequent or not.
        codes: of the frequent items, ascending.
        by_size: itemsets of 1 item, of 2, and so on.
    """

    baskets: int
    sold: int
    codes: Ints
    by_size: tuple[Itemsets, ...]

    def place(self, items: Ints) -> Longs:
        """Where frequent itemsets, (n, size) as in Itemsets.items, stand among those of their size, (n,)."""
        place = items[:, 0].astype(np.int64)
        for size in range(1, items.shape[1]):
            place = np.searchsorted(self.by_size[size].key, place * len(self.codes) + items[:, size])
        return place


@dataclass(frozen=True)
class _Occurrences:
    """Where itemsets of one size occur, ordered by (prefix, basket, last item): one element for each."""

    itemset: Longs
    basket: Longs
    last: Longs
    ends: Longs  # of each element, where those of the same prefix and basket end


def frequent_itemsets(baskets: Baskets, min_count: int, max_size: int) -> Mined:
    """Every itemset of up to `max_size` items that at least `min_count` baskets hold.

    Raises JobError where there are more occurrences than a run can hold.
    """
    count = np.bincount(baskets.item, minlength=baskets.items)
    codes = np.flatnonzero(count >= max(min_count, 1)).astype(np.int32)
    position = np.full(baskets.items, -1, dtype=np.int64)
    position[codes] = np.arange(len(codes))
    item = position[baskets.item]
    is_kept = item >= 0
    item, basket = item[is_kept], baskets.basket[is_kept].astype(np.int64)
    order = np.argsort(item, kind="stable")
    single = _counted(item[order], basket[order], baskets)
    found = [Itemsets(codes_column(len(codes)), np.arange(len(codes)), *single)]
    occurrences = _Occurrences(item, basket, item, _ends(basket))
    for size in range(2, max_size + 1):
        itemsets, following = _extended(baskets, found[-1], occurrences, len(codes), min_count, size < max_size)
        found.append(itemsets)
        if following is None or not len(itemsets):
            break
        occurrences = following
    return Mined(len(baskets), int(np.count_nonzero(count)), codes, tuple(found))


def codes_column(size: int) -> Ints:
    """0, 1, ... as the items of itemsets of one item, (size, 1)."""
    return np.arange(size, dtype=np.int32)[:, None]


def min_count_of(min_support: float, baskets: int) -> int:
    """The least number of baskets that is enough: from 1 on `min_support` is that number, below 1 a share of all."""
    if min_support >= 1 or not baskets:
        return max(int(np.ceil(min_support)), 1)
    near = max(int(min_support * baskets) - 1, 1)  # the product is not exact
    return next(count for count in range(near, near + 4) if count / baskets >= min_support)


def pairs_of(ends: Longs, chosen: Longs) -> tuple[Longs, Longs]:
    """Both elements of each pair (i, j) with i among the chosen, ascending ones and i < j < ends[i]."""
    count = ends[chosen] - chosen - 1
    first = np.repeat(chosen, count)
    second = first + 1 + np.arange(len(first)) - np.repeat(np.cumsum(count) - count, count)
    return first, second


def _ends(group: Longs) -> Longs:
    """Of each element of ascending groups, where its group ends."""
    return np.searchsorted(group, group, "right")


def _extended(
    baskets: Baskets, known: Itemsets, occurrences: _Occurrences, items: int, min_count: int, goes_on: bool
) -> tuple[Itemsets, _Occurrences | None]:
    """The frequent itemsets with one item more, and where they occur, if it goes on."""
    size = known.items.shape[1] + 1
    later = occurrences.ends - 1 - np.arange(len(occurrences.ends))  # elements that each one is paired with
    weight = np.bincount(occurrences.itemset, weights=later, minlength=len(known)).astype(np.int64)
    if weight.sum() > MAX_OCCURRENCES:
        raise JobError(
            f"itemsets of {size} items occur {weight.sum():,} times, more than {MAX_OCCURRENCES:,}; give a higher"
            " --min-support, a lower --itemset-size, a lower --max-basket-size or fewer --basket-weeks"
        )
    parts: list[tuple[np.ndarray, ...]] = []
    kept: list[tuple[Longs, Longs]] = []
    for begin, end in _blocks(weight):
        key, basket = _block(occurrences, begin, end, items, len(baskets))
        starts = np.flatnonzero(np.diff(key, prepend=-1))
        is_frequent = np.diff(starts, append=len(key)) >= min_count
        is_kept = np.repeat(is_frequent, np.diff(starts, append=len(key)))
        key, basket = key[is_kept], basket[is_kept]
        parts.append((key[np.flatnonzero(np.diff(key, prepend=-1))], *_counted(key, basket, baskets)))
        if goes_on:
            kept.append((key, basket))
    key, *figures = (np.concatenate(column) for column in zip(*parts, strict=True)) if parts else _nothing()
    prefix, last = np.divmod(key, max(items, 1))
    itemsets = Itemsets(np.column_stack([known.items[prefix], last]).astype(np.int32), key, *figures)
    return itemsets, _following(itemsets, kept, items, len(baskets)) if kept else None


def _nothing() -> Iterator[np.ndarray]:
    yield from (np.zeros(0, dtype=kind) for kind in (np.int64, np.int64, np.int64, np.int32, np.int32))


def _blocks(weight: Longs) -> Iterator[tuple[int, int]]:
    """Ranges of itemsets whose extensions occur about BLOCK times together."""
    block = np.cumsum(weight) // BLOCK
    bounds = [0, *(np.flatnonzero(np.diff(block)) + 1), len(weight)]
    yield from ((int(a), int(b)) for a, b in pairwise(bounds) if weight[a:b].any())


def _block(of: _Occurrences, begin: int, end: int, items: int, baskets: int) -> tuple[Longs, Longs]:
    """Key and basket of every occurrence that extends itemsets begin to end - 1, ordered by both."""
    chosen = np.flatnonzero((of.itemset >= begin) & (of.itemset < end))
    first, second = pairs_of(of.ends, chosen)
    packed = (of.itemset[first] - begin) * items
    packed += of.last[second]
    bits = max(baskets, 1).bit_length()
    if ((end - begin) * items).bit_length() + bits > 63:
        raise JobError("baskets and articles are too many for one run; give fewer --basket-weeks or more --min-support")
    packed <<= bits
    packed |= of.basket[first]
    packed.sort()
    return (packed >> bits) + begin * items, packed & (1 << bits) - 1


def _counted(itemset: Longs, basket: Longs, baskets: Baskets) -> tuple[Longs, Longs, Ints, Ints]:
    """Baskets, distinct customers, first and last day of each run of equal itemsets, whose baskets ascend."""
    if not len(itemset):
        return tuple(_nothing())[1:]  # type: ignore[return-value]
    starts = np.flatnonzero(np.diff(itemset, prepend=-1))
    customer, day = baskets.customer[basket], baskets.day[basket]
    is_new = np.ones(len(itemset), dtype=np.int64)  # baskets are numbered by customer
    is_new[1:] = (customer[1:] != customer[:-1]) | (itemset[1:] != itemset[:-1])
    return (
        np.diff(starts, append=len(itemset)),
        np.add.reduceat(is_new, starts),
        np.minimum.reduceat(day, starts),
        np.maximum.reduceat(day, starts),
    )


def _following(itemsets: Itemsets, kept: list[tuple[Longs, Longs]], items: int, baskets: int) -> _Occurrences:
    """Where the itemsets occur, ready to be extended."""
    key, basket = (np.concatenate(column) for column in zip(*kept, strict=True))
    place = np.repeat(np.arange(len(itemsets)), itemsets.basket_count)
    group = key // items * baskets + basket
    order = np.lexsort((place, group))
    return _Occurrences(place[order], basket[order], (key % items)[order], _ends(group[order]))
