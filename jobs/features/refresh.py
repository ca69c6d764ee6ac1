"""Which deliveries each slice of a feature table was computed from, and so what there is left to compute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from jobs.features.spec import DAY
from jobs.platform.data_files import DataFile

#: Checksum of each delivered file -> version of the transactions that its rows were committed as.
Deliveries = Mapping[str, int]


@dataclass(frozen=True)
class RefreshPlan:
    """What is left to compute.

    Attributes:
        dates: as-of dates, ascending.
        base: the as-of date whose slice is carried on; None: compute everything anew.
        known: checksums of the deliveries that the base was computed from.
    """

    dates: list[date]
    base: date | None
    known: frozenset[str]


def plan(
    slices: Mapping[date, Deliveries], deliveries: Deliveries, files: Sequence[DataFile], dates: Sequence[date]
) -> RefreshPlan:
    """The dates of `dates` whose slice is missing or was computed without a file with earlier lines; where to start.

    A slice made from a delivery that is gone or was ingested again is of no use to anybody.

    Args:
        slices: as-of date -> what its slice was computed from, as recorded.
        deliveries: those that the transactions are made from now.
        files: the transactions' files now.
        dates: as-of dates that are asked for.
    """
    valid = {day: known for day, known in slices.items() if known.items() <= deliveries.items()}

    def is_complete(day: date) -> bool:
        return not any(file.is_before(DAY, day) for file in files if checksum(file) not in valid[day])

    to_do = sorted(day for day in dates if day not in valid or not is_complete(day))
    base = max((day for day in valid if to_do and day <= to_do[0]), default=None)
    return RefreshPlan(to_do, base, frozenset(valid[base]) if base else frozenset())


def checksum(file: DataFile) -> str:
    """Of the delivery that the transactions' file holds rows of."""
    return file.partition["source_checksum"]
