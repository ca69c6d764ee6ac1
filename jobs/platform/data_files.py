"""The files of a table at one version, to be read by column wherever there is a free core."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from deltalake import DeltaTable


@dataclass(frozen=True)
class DataFile:
    """One Parquet file of a table. A file is never changed: rows that change come in a new file.

    Attributes:
        uri: where it is.
        rows: number of rows.
        low, high: least and greatest value of the columns that have statistics.
    """

    uri: str
    rows: int
    low: dict[str, Any]
    high: dict[str, Any]

    @property
    def name(self) -> str:
        """Its name without folder, which no other file has."""
        return self.uri.rsplit("/", 1)[1]

    def is_before(self, column: str, day: date) -> bool:
        """True unless all its values of `column` are `day` or later."""
        return self.low.get(column) is None or self.low[column] < day

    def is_since(self, column: str, day: date) -> bool:
        """True unless all its values of `column` are before `day`."""
        return self.high.get(column) is None or self.high[column] >= day

    def read(self, columns: Sequence[str]) -> pa.Table:
        """These columns of its rows; partition columns are not in it."""
        filesystem, path = filesystem_of(self.uri)
        return pq.ParquetFile(filesystem.open_input_file(path)).read(list(columns))


def data_files(table: DeltaTable, where: Mapping[str, Sequence[date | str]] | None = None) -> list[DataFile]:
    """The table's files with these values of partition columns, from its log alone."""
    root = table.table_uri.rstrip("/")
    if root.startswith("file://"):
        root = unquote(root.removeprefix("file://"))
    found = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    for column, values in (where or {}).items():
        found = [add for add in found if add[f"partition.{column}"] in values]
    return [
        DataFile(
            f"{root}/{unquote(add['path'])}",
            add["num_records"],
            {name.removeprefix("min."): value for name, value in add.items() if name.startswith("min.")},
            {name.removeprefix("max."): value for name, value in add.items() if name.startswith("max.")},
        )
        for add in found
    ]


def filesystem_of(uri: str) -> tuple[pafs.FileSystem, str]:
    """The file system of a path or object-store URI, and the path in it."""
    return pafs.FileSystem.from_uri(uri) if "://" in uri else (pafs.LocalFileSystem(), uri)
