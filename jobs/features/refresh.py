"""Which deliveries each slice of a feature table was computed from, and so what there is left to compute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from jobs.features.spec import DAY
from jobs.platform.data_files import DataFile

#: Checksum of each delivered file -> version of the transactions that its rows were committed as.
Deliveries = Mapping[str, int]


def outdated(
    slices: Mapping[date, Deliveries], deliveries: Deliveries, files: Sequence[DataFile], dates: Sequence[date]
) -> list[date]:
    """The dates, ascending, whose slice is missing or was computed without a file that has earlier lines.

    A slice made from a delivery that is gone or was ingested again counts as missing.

    Args:
        slices: as-of date -> what its slice was computed from, as recorded.
        deliveries: those that the transactions are made from now.
        files: the transactions' files now.
        dates: as-of dates that are asked for.
    """

    def is_current(day: date) -> bool:
        known = slices.get(day)
        if known is None or not known.items() <= deliveries.items():
            return False
        return not any(file.is_before(DAY, day) for file in files if checksum(file) not in known)

    return sorted(day for day in dates if not is_current(day))


def checksum(file: DataFile) -> str:
    """Of the delivery that the transactions' file holds rows of."""
    return file.partition["source_checksum"]
