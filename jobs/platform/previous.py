"""The previous slice: what a publish is compared with, read from the table itself.

Counts come from the table's log, values from a sample of the columns that may drift. Nothing is recorded elsewhere:
that could disagree with the table after a rollback, or a kill between two commits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from expectations.contract import Contract
from jobs.platform import measures
from jobs.platform.data_files import DataFile, data_files
from jobs.platform.staging import Slice


@dataclass(frozen=True)
class ReferenceSlice:
    """What one slice is compared with.

    Attributes:
        label: its date; ALL where the table is not partitioned by one.
        name: in words.
        rows: how many it has.
        is_stored: in the table; otherwise published together with the slice.
        is_whole: says how many rows are to be expected.
    """

    label: str
    name: str
    rows: int
    is_stored: bool = True
    is_whole: bool = True


class PreviousSlices:
    """The rows of a table before a publish.

    Args:
        contract: the table.
        table: the table at its present version.
        replace: the slice that is about to be replaced.
    """

    def __init__(self, contract: Contract, table: DeltaTable, replace: Slice) -> None:
        self._contract, self._table, self._replace = contract, table, replace
        files = pa.table(table.get_add_actions(flatten=True)).to_pylist()
        wanted = {f"partition.{column}": {str(value) for value in values} for column, values in replace.items()}
        gone = [file for file in files if all(str(file[column]) in values for column, values in wanted.items())]
        self._replaced, self._total = (sum(file["num_records"] for file in part) for part in (gone, files))
        self._kept: dict[str, int] = {}
        for file in files:
            if contract.slice_date and file not in gone:
                label = str(file[f"partition.{contract.slice_date}"])
                self._kept[label] = self._kept.get(label, 0) + file["num_records"]

    def before(self, new: Mapping[str, int]) -> dict[str, ReferenceSlice]:
        """New slice -> what it is compared with; slices with nothing before them are left out.

        A slice is compared with the newest one before it, never with a later one; rows of an undated table with those
        that they replace, or their values, where they replace none, with the whole table's.
        """
        if self._contract.slice_date:
            known = {label: n for label, n in (self._kept | dict(new)).items() if n}
            found = {}
            for label in new:
                if past := [day for day in known if day < label]:
                    day = max(past)
                    is_whole = not (
                        self._contract.row_change and self._contract.row_change.first_is_partial and len(past) == 1
                    )
                    found[label] = ReferenceSlice(
                        day, f"{self._contract.slice_date} {day}", known[day], day not in new, is_whole
                    )
            return found
        if self._replaced:
            return dict.fromkeys(new, ReferenceSlice(measures.ALL, "the rows it replaces", self._replaced))
        if self._total:
            return dict.fromkeys(new, ReferenceSlice(measures.ALL, "all rows before", self._total, is_whole=False))
        return {}

    def replaced_with(self, flag: str) -> int:
        """Number of the rows that are replaced that have the flag; none in a file from before there was one."""
        found = (file.read([flag]) for file in data_files(self._table, self._replace))
        return sum(pc.sum(rows[flag]).as_py() or 0 for rows in found if flag in rows.column_names)

    def days(self, column: str, since: date) -> dict[str, int]:
        """Rows of each day from `since` on, by the date in `column`, of those that stay."""
        found: dict[str, int] = {}
        for file in self._staying():
            if file.is_since(column, since):
                for day, count in measures.days_of(file.read([column])[column]).items():
                    found[day] = found.get(day, 0) + count
        return found

    def reaches_before(self, column: str, day: date) -> bool:
        """True if a row that stays may have an earlier date in `column`."""
        return any(file.is_before(column, day) for file in self._staying())

    def _staying(self) -> list[DataFile]:
        """Files outside the slice that is replaced."""
        wanted = {column: {str(value) for value in values} for column, values in self._replace.items()}
        return [
            file
            for file in data_files(self._table)
            if not all(str(file.partition[column]) in values for column, values in wanted.items())
        ]

    def sample(self, earlier: ReferenceSlice) -> pa.Table:
        """A sample of a stored slice, file by file: its label and the columns that may drift."""
        where: Slice = self._replace if earlier.is_whole else {}
        if self._contract.slice_date:
            where = {self._contract.slice_date: [date.fromisoformat(earlier.label)]}
        shares = measures.shares_of({earlier.label: earlier.rows})
        parts = []
        for file in data_files(self._table, where):
            rows = file.read([drift.column for drift in self._contract.drifts])
            if self._contract.slice_date:
                day = pa.repeat(date.fromisoformat(earlier.label), rows.num_rows)
                rows = rows.append_column(self._contract.slice_date, day)
            parts.append(measures.sample_arrow(self._contract, rows, shares))
        return pa.concat_tables(parts)
