"""Which files of transactions each slice of a feature table was made from, and so what there is left to do.

It is recorded with the table's commits. Files are never changed, only added and removed: a late delivery is a further
file, a replaced one another file.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from jobs.platform.data_files import DataFile

#: The date column of the files.
DAY = "t_dat"


@dataclass(frozen=True)
class Ledger:
    """What the slices of a table know.

    Attributes:
        code: digest of the formulas they were computed with.
        files: names of the files, in the order in which they came.
        slices: as-of date -> how many of `files`, from the first, that slice knows.
    """

    code: str
    files: tuple[str, ...]
    slices: Mapping[date, int]

    @classmethod
    def of(cls, facts: Mapping[str, str], code: str) -> Ledger:
        """As recorded; empty where the formulas were others."""
        if facts.get("code") != code:
            return cls(code, (), {})
        known = {date.fromisoformat(day): count for day, count in json.loads(facts["slices"]).items()}
        return cls(code, tuple(json.loads(facts["files"])), known)

    def facts(self) -> dict[str, str]:
        """To be recorded."""
        known = {day.isoformat(): count for day, count in sorted(self.slices.items())}
        return {"code": self.code, "files": json.dumps(self.files), "slices": json.dumps(known)}


@dataclass(frozen=True)
class Work:
    """What is left to do.

    Attributes:
        dates: as-of dates to compute.
        base: the as-of date whose slice the lifetimes are carried on from; None: compute all anew.
        known: names of the files that the base knows.
        ledger: what is true once that is done.
    """

    dates: list[date]
    base: date | None
    known: frozenset[str]
    ledger: Ledger


def plan(ledger: Ledger, files: Sequence[DataFile], dates: Sequence[date], present: Collection[date]) -> Work:
    """The dates of `dates` whose slice is missing or does not know a file with earlier lines, and where to start.

    A slice made from a file that is gone is of no use to anybody.

    Args:
        ledger: as recorded with the table.
        files: the transactions' files now.
        dates: as-of dates that are asked for.
        present: as-of dates that the table has.
    """
    names = {file.name for file in files}
    valid = {
        day: count for day, count in ledger.slices.items() if day in present and names.issuperset(ledger.files[:count])
    }

    def is_complete(day: date) -> bool:
        known = set(ledger.files[: valid[day]])
        return not any(file.is_before(DAY, day) for file in files if file.name not in known)

    to_do = sorted(day for day in dates if day not in valid or not is_complete(day))
    base = max((day for day in valid if to_do and day <= to_do[0]), default=None)
    order = [name for name in ledger.files if name in names]
    order += sorted(names.difference(order))
    after = valid | dict.fromkeys(to_do, len(order))
    known = frozenset(ledger.files[: valid[base]]) if base else frozenset[str]()
    return Work(to_do, base, known, Ledger(ledger.code, tuple(order), after))
