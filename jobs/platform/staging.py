"""Rows on their way into a table: written once beside its data, checked there, then made part of it by one commit.

The files lie below the table's folder, but no commit names them, so no reader sees them. A failed check removes them; a
killed run leaves them for VACUUM.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable
from deltalake.exceptions import DeltaError
from deltalake.transaction import AddAction, RemoveAction

from expectations.contract import Contract
from jobs.platform.errors import ContractError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: Column -> the values of it that a publish replaces. Empty: the whole table.
Slice = Mapping[str, Sequence[date | str]]

COMMIT_ATTEMPTS = 10

#: Statistics keep so many characters of a text; what was cut off a greatest value is above all characters but this.
LONGEST_BOUND, LAST_CHARACTER = 32, "\U0010ffff"


@dataclass(frozen=True)
class Staged:
    """Files written for a table and not yet part of it.

    Attributes:
        contract: the table.
        uri: the table's root.
        folder: name of the staging folder below it.
    """

    contract: Contract
    uri: str
    folder: str

    def commit(self, replace: Slice, user_metadata: str, only: Mapping[str, str] | None = None) -> int:
        """Put the files in place of the slice, in one commit; returns their number of rows.

        Args:
            replace: partition column -> values.
            user_metadata: recorded with the commit.
            only: column that the rows were split by -> value: leave the other files out.
        """
        files = [file for file in self._files() if (only or {}).items() <= file.values.items()]
        names = self.contract.partition_by
        for column, values in replace.items():
            if outside := {file.values[column] for file in files} - {str(value) for value in values}:
                raise ContractError(
                    f"{self.contract.path}: nothing published; rows with {column} {', '.join(sorted(outside))}"
                    f" are outside the slice that this run replaces"
                )
        actions: list[AddAction | RemoveAction] = [
            file.action({name: file.values[name] for name in names}, self.contract) for file in files
        ]
        filters = [(column, "in", [str(value) for value in values]) for column, values in replace.items()]
        for attempt in range(1, COMMIT_ATTEMPTS + 1):
            table = DeltaTable(self.uri)
            try:
                table.create_write_transaction(
                    actions,
                    "overwrite",
                    table.schema(),
                    list(names),
                    filters or None,
                    # Left to itself a commit moves on to a newer version, where the slice may hold another run's rows.
                    commit_properties=CommitProperties({"userMetadata": user_metadata}, max_commit_retries=0),
                )
                return sum(file.metadata.num_rows for file in files)
            except DeltaError:  # another run committed meanwhile: replace what is there now
                if attempt == COMMIT_ATTEMPTS:
                    raise
                time.sleep(0.1 * attempt)
        raise AssertionError("unreachable")

    def _files(self) -> list[_File]:
        filesystem, root = _filesystem(self.uri)
        found = filesystem.get_file_info(
            pafs.FileSelector(f"{root}/{self.folder}", recursive=True, allow_not_found=True)
        )
        paths = [info for info in found if info.type == pafs.FileType.File and info.path.endswith(".parquet")]
        return [
            _File(info.path[len(root) + 1 :], info.size, pq.read_metadata(info.path, filesystem=filesystem))
            for info in paths
        ]


@dataclass(frozen=True)
class StagedRows(Staged):
    """Files that Spark wrote; `rows` is everything in them, read back."""

    rows: DataFrame


@dataclass(frozen=True)
class _File:
    """A staged Parquet file: path below the table's root, bytes, footer."""

    path: str
    size: int
    metadata: pq.FileMetaData

    @property
    def values(self) -> dict[str, str]:
        """Values of the columns that the rows were split by, from the folders' names."""
        pairs = (part.split("=", 1) for part in self.path.split("/")[:-1] if "=" in part)
        return {name: unquote(value) for name, value in pairs}

    def action(self, partition: dict[str, str], contract: Contract) -> AddAction:
        """The commit's entry for this file, with the statistics by which readers skip files."""
        lowest, highest, nulls = {}, {}, {}
        for n in range(self.metadata.num_columns):
            name = self.metadata.schema.column(n).path
            groups = [self.metadata.row_group(g).column(n).statistics for g in range(self.metadata.num_row_groups)]
            if name not in contract.column_names or not all(groups):
                continue
            nulls[name] = sum(group.null_count for group in groups)
            if bounds := [group for group in groups if group.has_min_max]:
                lowest[name] = _bound(min(group.min for group in bounds), "")
                highest[name] = _bound(max(group.max for group in bounds), LAST_CHARACTER)
        statistics = {
            "numRecords": self.metadata.num_rows,
            "minValues": lowest,
            "maxValues": highest,
            "nullCount": nulls,
        }
        return AddAction(self.path, self.size, partition, int(time.time() * 1000), True, json.dumps(statistics))


def _bound(value: Any, cut: str) -> Any:
    """A least or greatest value as Delta's statistics have it; of a long text its beginning, then `cut`."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str) and len(value) > LONGEST_BOUND:
        return value[:LONGEST_BOUND] + cut
    return value


def _filesystem(uri: str) -> tuple[pafs.FileSystem, str]:
    filesystem, root = pafs.FileSystem.from_uri(uri) if "://" in uri else (pafs.LocalFileSystem(), uri)
    return filesystem, root


@contextmanager
def staged_blocks(contract: Contract, uri: str, blocks: pa.RecordBatchReader) -> Iterator[Staged]:
    """Write a stream of checked blocks as files of the table that no commit names yet; see `staged`."""
    by = [field for field in blocks.schema if field.name in contract.partition_by]
    with _removed_on_failure(uri) as folder:
        filesystem, root = _filesystem(uri)
        pads.write_dataset(
            blocks,
            f"{root}/{folder}",
            format="parquet",
            filesystem=filesystem,
            partitioning=pads.partitioning(pa.schema(by), flavor="hive"),
            file_options=pads.ParquetFileFormat().make_write_options(compression="snappy"),
        )
        yield Staged(contract, uri, folder)


@contextmanager
def staged(contract: Contract, uri: str, rows: DataFrame, split_by: Sequence[str] = ()) -> Iterator[StagedRows]:
    """Write `rows` as files of the table that no commit names yet; they are removed unless the block ends well.

    Args:
        contract: the table.
        uri: its root.
        rows: its columns, and any more.
        split_by: further columns whose values come to lie in files of their own, so that a commit can choose.
    """
    with _removed_on_failure(uri) as folder:
        rows.write.partitionBy(*split_by, *contract.partition_by).parquet(f"{uri}/{folder}")
        yield StagedRows(contract, uri, folder, rows.sparkSession.read.schema(rows.schema).parquet(f"{uri}/{folder}"))


@contextmanager
def _removed_on_failure(uri: str) -> Iterator[str]:
    """Name of a new staging folder below the table's root, which goes when the block fails."""
    folder = f"staged-{uuid.uuid4()}"
    try:
        yield folder
    except BaseException:
        filesystem, root = _filesystem(uri)
        if filesystem.get_file_info(f"{root}/{folder}").type == pafs.FileType.Directory:
            filesystem.delete_dir(f"{root}/{folder}")
        raise
