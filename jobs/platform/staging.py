"""Rows on their way into a table: written once beside its data, checked there, then made part of it by one commit.

The files lie below the table's folder, but no commit names them, so no reader sees them. A failed check removes them; a
killed run leaves them for VACUUM.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable
from deltalake.exceptions import DeltaError
from deltalake.transaction import AddAction, RemoveAction

from expectations.contract import Contract
from jobs.platform.data_files import filesystem_of
from jobs.platform.errors import ContractError
from jobs.platform.exchange import Exchange
from jobs.platform.extremes import Extremes, partition_value

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

#: Staging folders' names begin so: housekeeping tells by it what a publish wrote.
STAGED = "staged-"

#: Column -> the values of it that a publish replaces. Empty: the whole table.
Slice = Mapping[str, Sequence[date | str]]

COMMIT_ATTEMPTS = 10

# Ids that are no key stay dictionary-encoded: a day's purchases name the same customers and articles over and over.
_PARQUET: dict[str, Any] = {"compression": "snappy", "store_schema": False, "dictionary_pagesize_limit": 32 << 20}

#: Statistics keep so many characters of a text; what was cut off a greatest value is above all characters but this.
LONGEST_BOUND, LAST_CHARACTER = 32, "\U0010ffff"


@dataclass(frozen=True)
class Staged:
    """A folder for files of a table that are not yet part of it. Small, so that it can be sent to any process.

    Attributes:
        contract: the table.
        uri: the table's root.
        folder: name of the staging folder below it.
    """

    contract: Contract
    uri: str
    folder: str

    def write(self, rows: pa.Table, **partition: str) -> str:
        """Write rows, of which the partition columns have the values `partition`, as one file.

        Returns its path below the table's root. Only paths given to `commit` come into the table: what a task wrote
        that then failed and ran again elsewhere stays outside.
        """
        filesystem, root = filesystem_of(self.uri)
        values = [f"{name}={quote(partition[name], safe='')}" for name in self.contract.partition_by]
        path = "/".join([self.folder, *values, f"{uuid.uuid4()}.parquet"])
        filesystem.create_dir(f"{root}/{path.rsplit('/', 1)[0]}")
        held = [name for name in self.contract.column_names if name not in partition]
        pq.write_table(
            rows.select(held),
            f"{root}/{path}",
            filesystem=filesystem,
            use_dictionary=self._repeating(held),
            **_PARQUET,
        )
        return path

    def _repeating(self, names: Sequence[str]) -> list[str] | bool:
        """Columns whose values are worth a dictionary: it takes three times as long to write one of a key's."""
        return [name for name in names if name not in self.contract.key] or False

    def write_blocks(self, blocks: pa.RecordBatchReader) -> None:
        """Write a stream of rows, larger than memory maybe, as few files."""
        filesystem, root = filesystem_of(self.uri)
        by = [field for field in blocks.schema if field.name in self.contract.partition_by]
        pads.write_dataset(
            blocks,
            f"{root}/{self.folder}",
            format="parquet",
            basename_template=f"{uuid.uuid4()}-{{i}}.parquet",  # no two files of a table share a name
            filesystem=filesystem,
            partitioning=pads.partitioning(pa.schema(by), flavor="hive"),
            file_options=pads.ParquetFileFormat().make_write_options(
                compression="snappy", use_dictionary=self._repeating(blocks.schema.names)
            ),
        )

    def write_spark(self, rows: DataFrame) -> None:
        """Write a Spark DataFrame; raises ContractError unless its columns are the contract's, of the same types."""
        found = dict(rows.dtypes)
        wrong = [
            f"{c.name} is {found.get(c.name, 'missing')}, not {c.type}"
            for c in self.contract.columns
            if found.get(c.name) != c.type
        ]
        if wrong:
            raise ContractError(f"{self.contract.path}: nothing published; {', '.join(wrong)}")
        rows = rows.select(*self.contract.column_names)
        rows.write.mode("append").partitionBy(*self.contract.partition_by).parquet(f"{self.uri}/{self.folder}")

    def exchange(self, buckets: int) -> Exchange:
        """A place for what tasks exchange while they make the rows."""
        return Exchange(f"{self.uri}/{self.folder}/exchange", buckets)

    def written(self) -> list[str]:
        """Paths below the table's root of all files in the folder."""
        filesystem, root = filesystem_of(self.uri)
        selector = pafs.FileSelector(f"{root}/{self.folder}", recursive=True, allow_not_found=True)
        found = filesystem.get_file_info(selector)
        files = [info.path for info in found if info.type == pafs.FileType.File and info.path.endswith(".parquet")]
        return [path[len(root) + 1 :] for path in files]

    def read_spark(self, spark: SparkSession, paths: Sequence[str]) -> DataFrame:
        """The rows of the files, in the contract's columns."""
        reader = spark.read.schema(self.contract.ddl).option("basePath", f"{self.uri}/{self.folder}")
        rows = reader.parquet(*(f"{self.uri}/{_escaped(path)}" for path in paths))
        return rows.select(*self.contract.column_names)

    def read(self, path: str, columns: Sequence[str]) -> pa.Table:
        """These columns of one file's rows."""
        filesystem, root = filesystem_of(self.uri)
        shared = self._shared(path)
        file = pq.ParquetFile(filesystem.open_input_file(f"{root}/{path}"))
        rows = file.read([name for name in columns if name not in shared])
        for name, value in shared.items():
            rows = rows.append_column(name, pa.repeat(pa.scalar(value), file.metadata.num_rows))
        return rows.select(list(columns))

    def extremes(self, paths: Sequence[str]) -> list[Extremes]:
        """Of each file's rows, from its footer."""
        return [Extremes.of_file(file.metadata, self._shared(file.path)) for file in self._files(paths)]

    def commit(self, paths: Sequence[str], replace: Slice, user_metadata: str) -> int:
        """Put the files in place of the slice, in one commit; returns their number of rows.

        Args:
            paths: of the files, below the table's root.
            replace: partition column -> values.
            user_metadata: recorded with the commit.
        """
        files = self._files(paths)
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

    def _shared(self, path: str) -> dict[str, Any]:
        """Values of the table's partition columns that all rows of the file have."""
        types = {column.name: column.type for column in self.contract.columns}
        return {name: partition_value(value, types[name]) for name, value in _partition(path).items()}

    def _files(self, paths: Sequence[str]) -> list[_File]:
        filesystem, root = filesystem_of(self.uri)
        found = filesystem.get_file_info([f"{root}/{path}" for path in paths])
        footers = (pq.read_metadata(info.path, filesystem=filesystem) for info in found)
        return [_File(*file) for file in zip(paths, (info.size for info in found), footers, strict=True)]


@dataclass(frozen=True)
class _File:
    """A staged Parquet file: path below the table's root, bytes, footer."""

    path: str
    size: int
    metadata: pq.FileMetaData

    @property
    def values(self) -> dict[str, str]:
        """Values of the columns that the rows were split by, as text."""
        return _partition(self.path)

    def action(self, partition: dict[str, str], contract: Contract) -> AddAction:
        """The commit's entry for this file, with the statistics by which readers skip files."""
        known = Extremes.of_file(self.metadata, {})
        bounds = {name: known.bounds[name] for name in contract.column_names if name in known.bounds}
        bounds = {name: (low, high) for name, (low, high) in bounds.items() if low is not None}
        statistics = {
            "numRecords": known.rows,
            "minValues": {name: _bound(low, "") for name, (low, _) in bounds.items()},
            "maxValues": {name: _bound(high, LAST_CHARACTER) for name, (_, high) in bounds.items()},
            "nullCount": {name: known.nulls[name] for name in contract.column_names if name in known.nulls},
        }
        return AddAction(self.path, self.size, partition, int(time.time() * 1000), True, json.dumps(statistics))


def _partition(path: str) -> dict[str, str]:
    """Partition column -> value, as text, from the folders' names in a path."""
    pairs = (part.split("=", 1) for part in path.split("/")[:-1] if "=" in part)
    return {name: unquote(value) for name, value in pairs}


def _bound(value: Any, cut: str) -> Any:
    """A least or greatest value as Delta's statistics have it; of a long text its beginning, then `cut`."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str) and len(value) > LONGEST_BOUND:
        return value[:LONGEST_BOUND] + cut
    return value


@contextmanager
def staging(contract: Contract, uri: str) -> Iterator[Staged]:
    """A new staging folder below the table's root, which goes when the block fails before its commit."""
    staged = Staged(contract, uri, f"{STAGED}{uuid.uuid4()}")
    try:
        yield staged
    except BaseException:
        filesystem, root = filesystem_of(uri)
        is_there = filesystem.get_file_info(f"{root}/{staged.folder}").type == pafs.FileType.Directory
        if is_there and not any(f"/{staged.folder}/" in file for file in DeltaTable(uri).file_uris()):
            filesystem.delete_dir(f"{root}/{staged.folder}")
        raise


def _escaped(path: str) -> str:
    """The path with what Spark takes for wildcards in a file's name escaped."""
    return re.sub(r"([{}\[\]*?\\])", r"\\\1", path)
