"""A table at one version as files to be read: by column wherever there is a free core, or all together."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError

from jobs.platform import storage
from jobs.platform.errors import JobError

if TYPE_CHECKING:
    import pyarrow.dataset as pads  # brings Pandas

#: What Arrow and deltalake say of a file that is not what was written, or of a log that has lost a part.
_DAMAGE = re.compile(
    r"Failed to open|Could not open|Parquet|thrift|[Cc]orrupt|decompress|Unexpected end|Json error|contiguous"
)


@contextmanager
def naming_damage(place: str) -> Iterator[None]:
    """Raises JobError with the place where a table's file or log, read in the block, is missing or damaged."""
    try:
        yield
    except (DeltaError, pa.ArrowInvalid, OSError) as error:
        if isinstance(error, CommitFailedError) or not _DAMAGE.search(str(error)):
            raise
        reason = str(error).splitlines()[0][:300]
        raise JobError(
            f"{place}: missing or damaged ({reason}); bring the table's folder back from a backup, or remove it and"
            " run the tasks that write it again"
        ) from error


@dataclass(frozen=True)
class DataFile:
    """One Parquet file of a table. A file is never changed: rows that change come in a new file.

    Attributes:
        uri: where it is.
        partition: partition column -> value, as text.
        rows: number of rows.
        low, high: least and greatest value of the columns that have statistics.
    """

    uri: str
    partition: dict[str, str]
    rows: int
    low: dict[str, Any]
    high: dict[str, Any]

    def is_before(self, column: str, day: date) -> bool:
        """True unless all its values of `column` are `day` or later."""
        return self.low.get(column) is None or self.low[column] < day

    def is_since(self, column: str, day: date) -> bool:
        """True unless all its values of `column` are before `day`."""
        return self.high.get(column) is None or self.high[column] >= day

    def read(self, columns: Sequence[str]) -> pa.Table:
        """These columns of its rows; partition columns are not in it."""
        filesystem, path = storage.filesystem(self.uri)
        with naming_damage(self.uri):
            return pq.ParquetFile(filesystem.open_input_file(path)).read(list(columns))


def dataset(table: DeltaTable) -> pads.Dataset:
    """The table's rows, read through Arrow's own file system.

    The one that deltalake gives by default is written in Python, and the last of Arrow's threads may let go of it after
    the rows were returned: a process that ends just then is aborted ("terminate called without an active exception").
    """
    filesystem, root = storage.filesystem(storage.normalized(table.table_uri))
    return table.to_pyarrow_dataset(filesystem=pafs.SubTreeFileSystem(root, filesystem))


def data_files(table: DeltaTable, where: Mapping[str, Sequence[date | str]] | None = None) -> list[DataFile]:
    """The table's files with these values of partition columns, from its log alone.

    Raises JobError where a file is not all of what is to be read: rows were deleted from it by a vector beside it.
    """
    root = storage.normalized(table.table_uri)
    if "deletionVectors" in (table.protocol().reader_features or ()):
        raise JobError(
            f"{root}: has deletion vectors; run REORG TABLE delta.`{root}` APPLY (PURGE), and drop the feature"
        )
    found = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    for column, values in (where or {}).items():
        found = [add for add in found if add[f"partition.{column}"] in values]
    return [
        DataFile(
            f"{root}/{unquote(add['path'])}",
            _of(add, "partition."),
            add["num_records"],
            _of(add, "min."),
            _of(add, "max."),
        )
        for add in found
    ]


def _of(add: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in add.items() if name.startswith(prefix)}
