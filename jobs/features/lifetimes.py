"""What is known of each entity's whole history as of a date, carried on from date to date.

A week changes the histories of those who bought in it, one customer in twenty. So only theirs are computed again, from
all their lines and in the same way, and everybody else's values are carried on: the result has the same bits as if all
had been computed anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from expectations.contract import Contract
from jobs.features.histories import Array, Histories

Values = Mapping[str, Array]

#: Longest window of days before the as-of date that a feature looks at by itself.
WINDOW_DAYS = 30


@dataclass(frozen=True)
class Formulas:
    """How the columns of a feature table are computed.

    Attributes:
        contract: the table; the second column of its key is the entity's id.
        key, other: surrogate keys in the transactions: of the entities, and of what they buy or who buys them.
        lifetime: columns that depend on the entity's lines alone, from a history.
        as_of: all others, from the lines of the last WINDOW_DAYS, the lifetimes of all entities, and the day.
    """

    contract: Contract
    key: str
    other: str
    lifetime: Callable[[Histories], Values]
    as_of: Callable[[Histories, Lifetimes, int], Values]

    @property
    def lifetime_columns(self) -> list[str]:
        """Their names."""
        zero = np.zeros(1, dtype=np.int32)
        return list(self.lifetime(Histories.of(zero, zero, np.zeros(1), zero, zero)))


@dataclass(frozen=True)
class Lifetimes:
    """Lifetime columns of entities.

    Attributes:
        entities: their surrogate keys, ascending, (n,).
        values: column -> values, each (n,).
    """

    entities: Array
    values: Values

    @classmethod
    def of(cls, history: Histories, formulas: Formulas) -> Lifetimes:
        return cls(history.entities, formulas.lifetime(history))

    def updated(self, newer: Lifetimes) -> Lifetimes:
        """Those of both, the newer ones where both have an entity."""
        entities = np.union1d(self.entities, newer.entities)
        mine, theirs = np.searchsorted(entities, self.entities), np.searchsorted(entities, newer.entities)
        values = {}
        for name, new in newer.values.items():
            values[name] = np.empty(len(entities), dtype=new.dtype)
            values[name][mine] = self.values[name]
            values[name][theirs] = new
        return Lifetimes(entities, values)


class Base(NamedTuple):
    """Lifetimes as of an earlier day, which know all lines before it but the late ones."""

    lifetimes: Lifetimes
    day: int


def slices(
    history: Histories, days: Sequence[int], formulas: Formulas, base: Base | None = None
) -> Iterator[tuple[int, Array, Values]]:
    """The feature table of each day: (day, entities, column -> values).

    Args:
        history: all lines of the entities that have a new line, and the last WINDOW_DAYS' lines of all entities.
        days: as-of days (since 1970-01-01).
        formulas: the table's.
        base: where the lifetimes start from; None: there is nothing yet, and the history is everybody's.
    """
    known: Lifetimes | None = None
    is_new = np.ones(len(history), dtype=bool)
    if base:
        known, is_new = base.lifetimes, history.is_late | (history.day >= base.day)
    for day in sorted(days):
        is_past = history.day < day
        touched = history.all_lines_of(is_new & is_past) & is_past
        if touched.any():
            newer = Lifetimes.of(history.where(touched), formulas)
            known = known.updated(newer) if known else newer
        if known:
            recent = history.where(is_past & (history.day >= day - WINDOW_DAYS)).anew()
            yield day, known.entities, {**known.values, **formulas.as_of(recent, known, day)}
        is_new = history.day >= day
