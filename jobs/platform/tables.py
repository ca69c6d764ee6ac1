"""The warehouse's tables as they are read: where they lie, at which version, and what was done to them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa
from deltalake import DeltaTable
from pyarrow.parquet import filters_to_expression

from expectations.contract import Contract
from jobs.platform import storage
from jobs.platform.data_files import DataFile, data_files, dataset, naming_damage
from jobs.platform.errors import JobError, TableChangedError
from jobs.platform.schemas import arrow_type

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from jobs.platform.staging import Slice

#: Ids that fit the memory of every task as hashes, at some 60 bytes each.
BROADCAST_ROWS = 4_000_000

#: Operations in a table's history that change no row: what was noted of the rows before still holds.
MAINTENANCE = frozenset(
    {
        "OPTIMIZE", "VACUUM START", "VACUUM END", "SET TBLPROPERTIES", "UNSET TBLPROPERTIES", "ADD CONSTRAINT",
        "DROP CONSTRAINT", "CHANGE COLUMN", "UPGRADE PROTOCOL", "ADD FEATURE", "UPDATE TABLE METADATA", "CREATE TABLE",
        "ADD COLUMN", "ADD COLUMNS", "UPDATE FIELD METADATA",
    }
)  # fmt: skip


class Tables:
    """All tables below one root.

    Args:
        root: a folder, or an object-store URI.
        stamp: run facts (run id, as-of date, job) recorded with every commit.
        accept_drift: publish row counts and distributions outside their limits; they are logged and recorded.
    """

    def __init__(self, root: str, stamp: Mapping[str, str], *, accept_drift: bool = False) -> None:
        self.root = storage.normalized(root)
        storage.require_table_path(self.root)
        self.stamp = dict(stamp)
        self.accept_drift = accept_drift
        self.versions_read: dict[str, int] = {}

    def uri(self, contract: Contract) -> str:
        return f"{self.root}/{contract.path}"

    def exists(self, contract: Contract) -> bool:
        return DeltaTable.is_deltatable(self.uri(contract), storage_options=storage.storage_options(self.root))

    def newest(self, contract: Contract, version: int | None = None) -> DeltaTable:
        """The table, which exists, at its newest version or the given one."""
        options = storage.storage_options(self.root)
        with naming_damage(self.uri(contract)):
            return DeltaTable(self.uri(contract), version=version, storage_options=options)

    # ---- rows

    def read_spark(self, spark: SparkSession, contract: Contract) -> DataFrame:
        """The table as a Spark DataFrame, pinned to its current version, which is noted as read."""
        version = self._pin(contract).version()
        reader = spark.read.format("delta").option("versionAsOf", version)
        return reader.load(storage.spark_uri(self.uri(contract)))

    def ids_spark(self, spark: SparkSession, contract: Contract, columns: Sequence[str]) -> DataFrame:
        """Columns of the version that this run read; every task gets them where there are at most BROADCAST_ROWS.

        Spark would go by the size of the files, in which ids weigh far more than the hashes that are compared.
        """
        table = self._as_read(contract)
        reader = spark.read.format("delta").option("versionAsOf", table.version())
        rows = reader.load(storage.spark_uri(self.uri(contract))).select(*columns)
        return rows.hint("broadcast") if table.count() <= BROADCAST_ROWS else rows

    def read_arrow(
        self,
        contract: Contract,
        columns: Sequence[str] | None = None,
        where: Slice | None = None,
        before: Mapping[str, date | int] | None = None,
    ) -> pa.Table:
        """Rows of the table as Arrow: `columns` of those with column values in `where` and others below `before`.

        Without `columns` all of them; one that the contract has gained since the last publish is null.
        """
        table, filters = self._asked(contract, columns, where, before)
        wanted = filters_to_expression(filters) if filters else None
        with naming_damage(self.uri(contract)):
            rows = dataset(table).to_table(columns=list(columns) if columns else None, filter=wanted)
        for column in (c for c in contract.columns if not columns and c.name not in rows.column_names):
            rows = rows.append_column(column.name, pa.nulls(len(rows), arrow_type(column)))
        return rows

    def read_batches(
        self,
        contract: Contract,
        columns: Sequence[str],
        where: Slice | None = None,
        before: Mapping[str, date | int] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """As read_arrow, a batch at a time: of a table that is larger than memory maybe."""
        table, filters = self._asked(contract, columns, where, before)
        wanted = filters_to_expression(filters) if filters else None
        with naming_damage(self.uri(contract)):
            yield from dataset(table).to_batches(columns=list(columns), filter=wanted)

    def _asked(
        self,
        contract: Contract,
        columns: Sequence[str] | None,
        where: Slice | None,
        before: Mapping[str, date | int] | None,
    ) -> tuple[DeltaTable, list[tuple[str, str, object]]]:
        """The table, and which rows are asked for; JobError where it has no such columns."""
        table = self._pin(contract)
        there = {field.name for field in table.schema().fields}
        needed = columns or (*contract.key, *contract.partition_by)
        if missing := sorted({*needed, *(where or ()), *(before or ())} - there):
            raise JobError(
                f"{self.uri(contract)}: made by another version of Atelier, has no {', '.join(missing)};"
                f" run the task that writes {contract.name} again, or give another --warehouse"
            )
        filters: list[tuple[str, str, object]] = [(c, "in", list(v)) for c, v in (where or {}).items()]
        return table, filters + [(column, "<", limit) for column, limit in (before or {}).items()]

    def ids(self, contract: Contract, columns: Sequence[str]) -> pa.Table:
        """Columns of the version that this run read."""
        with naming_damage(self.uri(contract)):
            return dataset(self._as_read(contract)).to_table(columns=list(columns)).combine_chunks()

    # ---- versions, files and history

    def _pin(self, contract: Contract) -> DeltaTable:
        table = self._as_read(contract)
        self.versions_read[contract.name] = table.version()
        return table

    def _as_read(self, contract: Contract) -> DeltaTable:
        """The table at the version that this run read, else at its newest; JobError when there is no such table."""
        if not self.exists(contract):
            raise JobError(f"{self.uri(contract)}: no such table; run the task that writes {contract.name} first")
        return self.newest(contract, self.versions_read.get(contract.name))

    def version(self, contract: Contract) -> int:
        """The table's version that is read from here on; raises JobError when there is no such table."""
        return self._pin(contract).version()

    def partitions(self, contract: Contract) -> list[dict[str, str]]:
        """The table's partitions at the version that this run reads, from the log alone; none where there is no table.

        Each is column -> value.
        """
        return self._pin(contract).partitions() if self.exists(contract) else []

    def data_files(self, contract: Contract, where: Slice | None = None) -> list[DataFile]:
        """The table's files at its current version, which is noted as read; those of these partitions."""
        return data_files(self._pin(contract), where)

    def commit_metadata(self, contract: Contract) -> dict[str, str]:
        """What was recorded with the newest publish of the table; nothing where there is none."""
        for commit in self.newest(contract).history() if self.exists(contract) else []:
            if "userMetadata" in commit:
                return json.loads(commit["userMetadata"])
        return {}

    def publishes_since(self, contract: Contract, version: int) -> dict[int, dict[str, str]]:
        """Version -> what was recorded with it, of each publish of the table after this version; -1: of all."""
        if not self.exists(contract):
            return {}
        table = self.newest(contract)
        later = table.history(table.version() - version) if table.version() > version else []
        return {commit["version"]: json.loads(commit["userMetadata"]) for commit in later if "userMetadata" in commit}

    def changes_since(self, contract: Contract, version: int) -> set[int] | None:
        """Versions after this one, up to the newest, that changed a row: by a publish or a restore, not by maintenance.

        None where that is unknown: there is no such table, it is another one, or its history was shortened.
        """
        return changes(self.newest(contract), version) if self.exists(contract) else None

    def changes_as_read(self, contract: Contract, version: int) -> set[int] | None:
        """As changes_since, up to the version that this run reads.

        Raises TableChangedError where this run reads an older version than the one that is asked about.
        """
        if not self.exists(contract):
            return None
        found = self._pin(contract)
        if found.version() < version <= self.newest(contract).version():
            raise TableChangedError(f"{self.uri(contract)}: another run published version {version} while this one ran")
        return changes(found, version)

    def forget(self, contracts: Sequence[Contract]) -> None:
        """Read the newest versions of these tables from here on."""
        for contract in contracts:
            self.versions_read.pop(contract.name, None)


def changes(table: DeltaTable, version: int) -> set[int] | None:
    """Versions of the table after this one that changed a row; None where that is unknown."""
    later = table.version() - version
    if later < 0:
        return None
    commits = table.history(later) if later else []
    if len(commits) < later:
        return None
    return {commit["version"] for commit in commits if commit.get("operation") not in MAINTENANCE}
