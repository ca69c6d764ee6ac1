"""Values that can be read but not believed: a purchase of the year 1 or 2099, a price of 1e308, an age of 300.

A mapping sets limits (first_date, max_price, min_age, max_age). Beyond those a purchase is judged by what is usual,
which is free of any scale:

- its day lies within max_silent_days of the bulk of its file, or of the days that other files tell of;
- its price is at most price_factor times lower or higher than those of the middle 90 % of the purchases of the
  HISTORY_DAYS before its file begins, by other files; where these are few, those of its own file count as well. Prices
  that nothing leads to from the middle one, in steps of price_factor, do not count: many lines may have one forged.

Nothing later than a file moves its limits of prices, and a rerun finds the same. What is usual is taken from counts by
day and price, which tasks return of each block of a file; only blocks with something unusual are judged a second time.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jobs.ingest.typed import Mask, TypedRows, mask

if TYPE_CHECKING:
    from jobs.ingest.mapping import CustomersMapping, TransactionsMapping
    from jobs.platform.data_files import DataFile

#: Days before a file's first whose prices say what is usual, and so many purchases are enough to.
HISTORY_DAYS, ENOUGH = 91, 1_000
#: Of fewer nothing is said.
FEWEST = 20
#: Prices are counted by this part of a doubling.
BINS_PER_DOUBLING = 8
#: Share of the purchases below and above the usual prices.
TAIL = 0.05

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Counts:
    """Number of units of each day (days since 1970) and price bin that occurs."""

    day: Ints
    bin: Ints
    units: Ints

    @classmethod
    def of(cls, purchases: pa.Table) -> Counts:
        """Of purchases, one row per unit, with t_dat and price (above 0)."""
        day = purchases["t_dat"].cast(pa.int32()).to_numpy().astype(np.int64)
        bins = np.floor(np.log2(purchases["price"].to_numpy()) * BINS_PER_DOUBLING).astype(np.int64)
        counts = pc.value_counts(
            pa.array(day * _SPAN + (bins + _SPAN // 2))
        )  # sorting them would take ten times as long
        found, units = (counts.field(n).to_numpy() for n in (0, 1))
        return cls(found // _SPAN, found % _SPAN - _SPAN // 2, units)

    @classmethod
    def of_lists(cls, *columns: Sequence[int]) -> Counts:
        """From what a task returned."""
        return cls(*(np.array(column, dtype=np.int64) for column in columns))

    @classmethod
    def joined(cls, parts: Iterable[Counts]) -> Counts:
        """Those of several; a day and bin may then occur more than once."""
        parts = list(parts)
        columns = ([getattr(part, name) for part in parts] for name in ("day", "bin", "units"))
        return cls(*(np.concatenate([np.empty(0, np.int64), *column]) for column in columns))

    def to_lists(self) -> list[pa.Array]:
        """As a task returns them: a row of three lists, see `of_lists`."""
        return [pa.array([values], pa.list_(pa.int64())) for values in (self.day, self.bin, self.units)]

    @property
    def days(self) -> Days:
        """The first and the last day; there is one at least."""
        return Days(_date(self.day.min()), _date(self.day.max()))

    def where(self, kept: Mask) -> Counts:
        return Counts(self.day[kept], self.bin[kept], self.units[kept])

    def between(self, first: date, last: date) -> Counts:
        """Those of the days from `first` to `last`."""
        return self.where((self.day >= _number(first)) & (self.day <= _number(last)))


#: Above the number of bins that finite doubles have: 2,100 doublings.
_SPAN = 1 << 16


@dataclass(frozen=True)
class Days:
    """The days from `first` to `last`, both included."""

    first: date
    last: date

    def hull(self, others: Iterable[Days]) -> Days:
        """From the first to the last day of all."""
        every = [self, *others]
        return Days(min(days.first for days in every), max(days.last for days in every))


@dataclass(frozen=True)
class Usual:
    """What is usual in a file: its days, and its prices (None: too few to say)."""

    days: Days
    prices: tuple[float, float] | None

    def has_doubts(self, counts: Counts, mapping: TransactionsMapping) -> bool:
        """True where some of these purchases are not usual."""
        is_near = counts.between(*_reach(self.days, mapping.max_silent_days))
        if len(is_near.day) < len(counts.day):
            return True
        low, high = self.limits(mapping)
        # The whole bin is doubtful that a limit lies in.
        edges = np.exp2(np.array([counts.bin, counts.bin + 1]) / BINS_PER_DOUBLING)
        return bool(((edges[0] < low) | (edges[1] > high)).any())

    def limits(self, mapping: TransactionsMapping) -> tuple[float, float]:
        """The least and the greatest price that can be believed."""
        if self.prices is None:
            return 0.0, math.inf
        return self.prices[0] / mapping.price_factor, self.prices[1] * mapping.price_factor


#: What `count_purchases` tells of a file.
COUNTS = "day array<bigint>, bin array<bigint>, units array<bigint>"


def count_purchases(
    files: Sequence[DataFile], first: date, last: date, tasks: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Counts of the purchases from `first` to `last` in each of the table's files whose positions are given."""
    for position in (row for batch in tasks for row in batch["id"].to_pylist()):
        rows = files[position].read(["t_dat", "price"])
        wanted = (pc.field("t_dat") >= first) & (pc.field("t_dat") <= last) & (pc.field("price") > 0)
        yield pa.RecordBatch.from_arrays(Counts.of(rows.filter(wanted)).to_lists(), ["day", "bin", "units"])


def refuse_purchases(rows: TypedRows, mapping: TransactionsMapping, usual: Usual | None) -> None:
    """Refuse purchases on days, or at prices of one unit, that the mapping rules out or that are not `usual`."""
    day, price = rows.columns["t_dat"], rows.columns["price"].fill_null(1.0).to_numpy()
    rows.verdicts.refuse(price <= 0, "price is not above 0")
    rows.verdicts.refuse(~(price <= mapping.max_price), f"price is above {mapping.max_price:g} (max_price)")
    rows.verdicts.refuse(_is_below(day, mapping.first_date), f"t_dat is before {mapping.first_date} (first_date)")
    if usual is None:
        return
    days, silent = usual.days, mapping.max_silent_days
    first, last = _reach(days, silent)
    rows.verdicts.refuse(
        _is_below(day, first) | mask(pc.greater(day, pa.scalar(last)).fill_null(False)),
        f"t_dat is more than {silent} days from all others, {days.first} to {days.last} (max_silent_days)",
    )
    if usual.prices:
        low, high = usual.limits(mapping)
        rows.verdicts.refuse(
            (price < low) | (price > high),
            f"price is more than {mapping.price_factor:,g} times lower or higher than is usual,"
            f" {usual.prices[0]:.3g} to {usual.prices[1]:.3g} (price_factor)",
        )


def empty_ages(rows: TypedRows, mapping: CustomersMapping) -> TypedRows:
    """The rows with ages left empty that no customer has."""
    low, high = mapping.min_age, mapping.max_age
    age = rows.columns["age"]
    is_plausible = pc.and_(pc.greater_equal(age, low), pc.less_equal(age, high))
    rows.verdicts.remark(~mask(is_plausible.fill_null(True)), f"age is not {low} to {high}, left empty")
    return rows.with_column("age", pc.if_else(is_plausible, age, pa.scalar(None, age.type)))


def usual_of_files(
    files: Mapping[str, Counts], known: Counts, known_days: Sequence[Days], mapping: TransactionsMapping
) -> dict[str, Usual]:
    """What is usual in each file, by name.

    Args:
        files: purchases of each, at least one.
        known: purchases of further files, of the days before these at least.
        known_days: all days that those tell of.
        mapping: its max_silent_days.
    """
    bulks = {name: bulk(counts, mapping.max_silent_days) for name, counts in files.items()}
    usual = {}
    for name, counts in files.items():
        own = bulks[name]
        others = {
            other: found.between(bulks[other].first, bulks[other].last)
            for other, found in files.items()
            if other != name
        }
        before = own.first - timedelta(days=HISTORY_DAYS), own.first - timedelta(days=1)
        history = Counts.joined([known, *others.values()]).between(*before)
        if history.units.sum() < ENOUGH:
            history = Counts.joined([history, counts])
        days = own.hull([*known_days, *(bulks[other] for other in others)])
        usual[name] = Usual(days, usual_prices(history, mapping.price_factor))
    return usual


def bulk(counts: Counts, max_silent_days: int) -> Days:
    """The days around the middle purchase, none of them more than `max_silent_days` from the next."""
    day, _ = _around_middle(counts.day, counts.units, max_silent_days)
    return Days(_date(day[0]), _date(day[-1]))


def usual_prices(counts: Counts, factor: float) -> tuple[float, float] | None:
    """Between which prices the middle 90 % are; None where there are too few.

    Prices that nothing leads to from the middle one, in steps of `factor`, do not count: not half of all purchases say
    by one forged price what is usual.
    """
    if counts.units.sum() < FEWEST:
        return None
    bins, units = _around_middle(counts.bin, counts.units, math.log2(factor) * BINS_PER_DOUBLING)
    units = np.cumsum(units)
    last = int(units[-1]) - 1
    low, high = math.ceil(TAIL * last), math.floor((1 - TAIL) * last)
    below, above = (bins[np.searchsorted(units, place, side="right")] for place in (low, high))
    return float(np.exp2(below / BINS_PER_DOUBLING)), float(np.exp2((above + 1) / BINS_PER_DOUBLING))


def _around_middle(values: Ints, units: Ints, gap: float) -> tuple[Ints, Ints]:
    """The values around the middle unit's, ascending, none of them more than `gap` from the next; units of each."""
    order = np.argsort(values, kind="stable")
    values, units = values[order], units[order]
    middle = int(np.searchsorted(np.cumsum(units), (units.sum() + 1) // 2))
    bounds = np.concatenate([[0], np.flatnonzero(np.diff(values) > gap) + 1, [len(values)]])
    at = int(np.searchsorted(bounds, middle, side="right"))
    return values[bounds[at - 1] : bounds[at]], units[bounds[at - 1] : bounds[at]]


def _reach(days: Days, silent: int) -> tuple[date, date]:
    """The first and the last day that are near enough."""
    return _date(_number(days.first) - silent), _date(_number(days.last) + silent)


def _is_below(day: pa.Array, first: date) -> Mask:
    return mask(pc.less(day, pa.scalar(first)).fill_null(False))


_EPOCH = date(1970, 1, 1).toordinal()


def _number(day: date) -> int:
    """Days since 1970."""
    return day.toordinal() - _EPOCH


def _date(number: int) -> date:
    """The day, at the end of the calendar where it would lie beyond."""
    return date.fromordinal(int(np.clip(number + _EPOCH, date.min.toordinal(), date.max.toordinal())))
