"""The least and the greatest value of each column, and whether it has a null: what proves most rules on all rows.

A range holds on every row if it holds on these two; nothing is null if no null was counted. The files that wait for
their commit say so themselves, in their footers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from expectations.contract import Contract, Expectation

_PROVABLE = ("expect_column_values_to_not_be_null", "expect_column_values_to_be_between")


@dataclass(frozen=True)
class Extremes:
    """Of some rows.

    Attributes:
        rows: their number.
        bounds: column -> least and greatest value; a column is absent where nobody says.
        nulls: column -> number of nulls; likewise.
    """

    rows: int
    bounds: Mapping[str, tuple[Any, Any]]
    nulls: Mapping[str, int]

    @classmethod
    def of_table(cls, rows: pa.Table) -> Extremes:
        bounds = {}
        for name, column in zip(rows.column_names, rows.columns, strict=True):
            if not pa.types.is_nested(column.type):
                found = pc.min_max(column)
                bounds[name] = found["min"].as_py(), found["max"].as_py()
        return cls(rows.num_rows, bounds, {name: rows[name].null_count for name in rows.column_names})

    @classmethod
    def of_file(cls, footer: pq.FileMetaData, partition: Mapping[str, Any]) -> Extremes:
        """`partition` has the values of the columns that the file's rows share."""
        bounds: dict[str, tuple[Any, Any]] = {name: (value, value) for name, value in partition.items()}
        nulls = {name: 0 if value is not None else footer.num_rows for name, value in partition.items()}
        for n in range(footer.num_columns):
            name = footer.schema.column(n).path
            found = [footer.row_group(g).column(n).statistics for g in range(footer.num_row_groups)]
            if all(group is not None and group.has_null_count for group in found):
                nulls[name] = sum(group.null_count for group in found)
            limited = [group for group in found if group is not None and group.has_min_max]
            empty = [group for group in found if group is not None and group.num_values == 0]
            if found and len(limited) + len(empty) == len(found):
                bounds[name] = _widest((group.min, group.max) for group in limited)
        return cls(footer.num_rows, bounds, nulls)

    @classmethod
    def joined(cls, parts: Iterable[Extremes]) -> Extremes:
        """Of all rows of the parts: what every part says."""
        parts = list(parts)
        names = set.intersection(*(set(part.bounds) for part in parts))
        counted = set.intersection(*(set(part.nulls) for part in parts))
        return cls(
            sum(part.rows for part in parts),
            {name: _widest(part.bounds[name] for part in parts) for name in names},
            {name: sum(part.nulls[name] for part in parts) for name in counted},
        )

    def speaks_of(self, rule: Expectation) -> bool:
        """True if `frame` shows whether all rows keep the rule."""
        column = rule.kwargs.get("column")
        if rule.type not in _PROVABLE or column not in self.nulls:
            return False
        return column in self.bounds or rule.type == "expect_column_values_to_not_be_null"

    def frame(self, contract: Contract) -> pd.DataFrame:
        """Three rows: the least values, the greatest, and a null for each column that has one."""
        columns = {}
        for column in contract.columns:
            low, high = self.bounds.get(column.name, ("", ""))  # nobody says: nothing is asked of it but its nulls
            filler = high if high is not None else low
            columns[column.name] = pd.Series([low, high, None if self.nulls.get(column.name) else filler], dtype=object)
        return pd.DataFrame(columns)


def _widest(bounds: Iterable[tuple[Any, Any]]) -> tuple[Any, Any]:
    found = [pair for pair in bounds if pair[0] is not None]
    return (min(low for low, _ in found), max(high for _, high in found)) if found else (None, None)


def partition_value(text: str, type_: str) -> Any:
    """The value of a partition column from its text in a path."""
    return date.fromisoformat(text) if type_ == "date" else int(text) if type_ in ("int", "bigint") else text
