"""Rows on their way into a table: written once beside its data, checked there, then made part of it by one commit.

The files lie below the table's folder, but no commit names them, so no reader sees them. A failed check removes them; a
killed run leaves them for VACUUM.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Schema, convert_to_deltalake
from deltalake.transaction import AddAction, RemoveAction

from expectations.contract import Contract, not_null
from jobs.platform import storage
from jobs.platform.errors import ContractError
from jobs.platform.schemas import arrow_schema, delta_schema

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

#: Staging folders' names begin so.
STAGED = "staged-"

#: Column -> the values of it that a publish replaces. Empty: the whole table.
Slice = Mapping[str, Sequence[date | str]]

#: Commits to the table as it is then: its version, what is recorded with the commit, and constraints (name -> SQL) that
#: these very rows were found to keep. Raises CommitFailedError where another run has committed since.
Write = Callable[[DeltaTable, str, Mapping[str, str]], None]

# Ids that are no key stay dictionary-encoded: a day's purchases name the same customers and articles over and over.
_PARQUET: dict[str, Any] = {"compression": "snappy", "store_schema": False, "dictionary_pagesize_limit": 32 << 20}


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
        that then failed, or ran twice, stays outside.
        """
        filesystem, root = storage.filesystem(self.uri)
        values = [f"{name}={quote(partition[name], safe='')}" for name in self.contract.partition_by]
        path = "/".join([self.folder, *values, f"{uuid.uuid4()}.parquet"])
        filesystem.create_dir(f"{root}/{path.rsplit('/', 1)[0]}")
        held = [name for name in self.contract.column_names if name not in partition]
        with filesystem.open_output_stream(f"{root}/{path}") as stream:
            pq.write_table(rows.select(held), stream, use_dictionary=self._repeating(held), **_PARQUET)
        return path

    def _repeating(self, names: Sequence[str]) -> list[str] | bool:
        """Columns whose values are worth a dictionary: it takes three times as long to write one of a key's."""
        return [name for name in names if name not in self.contract.key] or False

    def write_blocks(self, blocks: pa.RecordBatchReader) -> None:
        """Write a stream of rows, larger than memory maybe, as few files."""
        filesystem, root = storage.filesystem(self.uri)
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
        folder = f"{storage.spark_uri(self.uri)}/{self.folder}"
        rows.write.mode("append").partitionBy(*self.contract.partition_by).parquet(folder)

    def written(self) -> list[str]:
        """Paths below the table's root of all files in the folder."""
        filesystem, root = storage.filesystem(self.uri)
        selector = pafs.FileSelector(f"{root}/{self.folder}", recursive=True, allow_not_found=True)
        found = filesystem.get_file_info(selector)
        files = [info.path for info in found if info.type == pafs.FileType.File and info.path.endswith(".parquet")]
        return [path[len(root) + 1 :] for path in files]

    def read_arrow(self, paths: Sequence[str]) -> pads.Dataset:
        """The rows of the files in memory once they are asked for, in the contract's columns."""
        filesystem, root = storage.filesystem(self.uri)
        schema = pa.schema([field.with_nullable(True) for field in arrow_schema(self.contract)])
        by = pa.schema([schema.field(name) for name in self.contract.partition_by])
        return pads.dataset(
            [f"{root}/{path}" for path in paths],
            schema=schema,
            format="parquet",
            filesystem=filesystem,
            partitioning=pads.partitioning(by, flavor="hive"),
            partition_base_dir=f"{root}/{self.folder}",
        )

    def read_spark(self, spark: SparkSession, paths: Sequence[str]) -> DataFrame:
        """The rows of the files, in the contract's columns."""
        root = storage.spark_uri(self.uri)
        reader = spark.read.schema(self.contract.ddl).option("basePath", f"{root}/{self.folder}")
        return reader.parquet(*(f"{root}/{_escaped(path)}" for path in paths)).select(*self.contract.column_names)

    def writer(self, session: Callable[[], SparkSession], paths: Sequence[str], replace: Slice) -> Write:
        """What puts the files in place of the slice, in one commit.

        It raises ContractError where a row breaks a constraint that the table has by then; nothing is committed.

        Args:
            session: gives the Spark session that evaluates the table's constraints.
            paths: of the files, below the table's root.
            replace: partition column -> values.

        Raises:
            ContractError: a row is outside the slice.
        """
        require_inside(self.contract, {c: [_partition(path)[c] for path in paths] for c in replace}, replace)
        actions = self._actions(paths)
        names = list(self.contract.partition_by)
        filters = [(column, "in", [str(value) for value in values]) for column, values in replace.items()]

        def write(table: DeltaTable, user_metadata: str, verified: Mapping[str, str]) -> None:
            self._require_constraints(session, table, paths, verified)
            # Left to itself a commit moves on to a newer version, where the slice may hold another run's rows.
            properties = CommitProperties({"userMetadata": user_metadata}, max_commit_retries=0)
            table.create_write_transaction(
                actions, "overwrite", table.schema(), names, filters or None, commit_properties=properties
            )

        return write

    def _require_constraints(
        self,
        session: Callable[[], SparkSession],
        table: DeltaTable,
        paths: Sequence[str],
        verified: Mapping[str, str],
    ) -> None:
        """The commit adds files as they are, so what Delta's own writers would refuse is looked for here."""
        prefix = "delta.constraints."
        rules = {
            name.removeprefix(prefix): rule
            for name, rule in table.metadata().configuration.items()
            if name.startswith(prefix)
        }
        rules |= {not_null(f.name): f"`{f.name}` IS NOT NULL" for f in table.schema().fields if not f.nullable}
        rules = {name: rule for name, rule in rules.items() if verified.get(name) != rule}
        if not rules:
            return
        from pyspark.sql import functions as F

        rows = self.read_spark(session(), paths)  # first: an expression needs the session, too
        broken = [
            F.count_if(~F.coalesce(F.expr(f"({rule})"), F.lit(False))).alias(name) for name, rule in rules.items()
        ]
        counts = rows.agg(*broken).first()
        if found := [f"{name} on {count:,} rows" for name, count in zip(rules, counts or (), strict=True) if count]:
            raise ContractError(f"{self.contract.path}: nothing published; breaks the constraint {', '.join(found)}")

    def _actions(self, paths: Sequence[str]) -> list[AddAction | RemoveAction]:
        """The log's entries for these files, with the statistics that Delta takes from their footers."""
        by = Schema([field for field in delta_schema(self.contract).fields if field.name in self.contract.partition_by])
        folder, options = f"{self.uri}/{self.folder}", storage.storage_options(self.uri)
        convert_to_deltalake(folder, partition_by=by, partition_strategy="hive", storage_options=options)
        filesystem, root = storage.filesystem(folder)
        with filesystem.open_input_stream(f"{root}/_delta_log/{0:020}.json") as log:
            entries = [json.loads(line) for line in log.read().splitlines()]
        filesystem.delete_dir(f"{root}/_delta_log")
        # deltalake 1.6 writes the path of a folder with an escaped name wrongly, so values and name match files.
        added = {_identity(a["path"], a["partitionValues"]): a for a in (e["add"] for e in entries if "add" in e)}
        now = int(time.time() * 1000)
        found = [(path, added[_identity(path, _partition(path))]) for path in paths]
        return [AddAction(path, add["size"], add["partitionValues"], now, True, add["stats"]) for path, add in found]


def require_inside(contract: Contract, found: Mapping[str, Iterable[Any]], replace: Slice) -> None:
    """Raise ContractError if new rows have values (column -> values) that are not among those that are replaced."""
    for column, values in replace.items():
        if outside := {str(value) for value in found[column]} - {str(value) for value in values}:
            raise ContractError(
                f"{contract.path}: nothing published; rows with {column} {', '.join(sorted(outside))}"
                f" are outside the slice that this run replaces"
            )


def _identity(path: str, partition: Mapping[str, str]) -> tuple[str, frozenset[tuple[str, str]]]:
    return path.rsplit("/", 1)[-1], frozenset(partition.items())


def _partition(path: str) -> dict[str, str]:
    """Partition column -> value, as text, from the folders' names in a path."""
    pairs = (part.split("=", 1) for part in path.split("/")[:-1] if "=" in part)
    return {name: unquote(value) for name, value in pairs}


@contextmanager
def staging(contract: Contract, uri: str) -> Iterator[Staged]:
    """A new staging folder below the table's root, which goes when the block fails before its commit."""
    staged = Staged(contract, uri, f"{STAGED}{uuid.uuid4()}")
    try:
        yield staged
    except BaseException:
        filesystem, root = storage.filesystem(uri)
        is_there = filesystem.get_file_info(f"{root}/{staged.folder}").type == pafs.FileType.Directory
        table = DeltaTable(uri, storage_options=storage.storage_options(uri))
        if is_there and not any(f"/{staged.folder}/" in file for file in table.file_uris()):
            filesystem.delete_dir(f"{root}/{staged.folder}")
        raise


def _escaped(path: str) -> str:
    """The path with what Spark takes for wildcards in a file's name escaped."""
    return re.sub(r"([{}\[\]*?\\])", r"\\\1", path)
