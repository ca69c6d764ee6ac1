"""Where tables live and how they are read and written. No other module opens or commits a table.

A publish is write, audit, publish: the rows are computed, checked against the contract, then committed in one atomic
Delta commit that replaces exactly the run's slice. A failed check or a killed run leaves the table as it was; a rerun
replaces what the first run wrote.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from expectations.contract import Contract
from jobs.platform.data_files import DataFile, data_files
from jobs.platform.errors import JobError
from jobs.platform.lookup import Lookup
from jobs.platform.schemas import arrow_schema, delta_schema
from jobs.platform.staging import Slice, Staged, staging

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.sql import DataFrame, SparkSession

CREATION_ATTEMPTS = 5


class Warehouse:
    """All tables below one root.

    Args:
        root: a folder, or an object-store URI that Spark and deltalake both reach.
        stamp: run facts (run id, as-of date, job) recorded with every commit.
        accept_drift: row counts and distributions outside their limits are told and recorded, and published.
    """

    def __init__(self, root: str, stamp: Mapping[str, str], *, accept_drift: bool = False) -> None:
        self.root = root.rstrip("/") if "://" in root else str(Path(root).resolve())
        self.stamp = dict(stamp)
        self.accept_drift = accept_drift
        self.versions_read: dict[str, int] = {}

    def uri(self, contract: Contract) -> str:
        return f"{self.root}/{contract.path}"

    def exists(self, contract: Contract) -> bool:
        return DeltaTable.is_deltatable(self.uri(contract))

    # ---- reading

    def read_spark(self, spark: SparkSession, contract: Contract) -> DataFrame:
        """The table as a Spark DataFrame, pinned to its current version, which is noted as read."""
        version = self._pin(contract).version()
        return spark.read.format("delta").option("versionAsOf", version).load(self.uri(contract))

    def read_arrow(
        self,
        contract: Contract,
        columns: Sequence[str] | None = None,
        where: Slice | None = None,
        before: Mapping[str, date] | None = None,
    ) -> pa.Table:
        """Rows of the table as Arrow: `columns` of those with column values in `where` and dates below `before`."""
        table = self._pin(contract)
        there = {field.name for field in table.schema().fields}
        if missing := sorted({*(columns or contract.column_names), *(where or ()), *(before or ())} - there):
            raise JobError(
                f"{self.uri(contract)}: made by another version of Atelier, has no {', '.join(missing)};"
                " give another --warehouse"
            )
        filters: list[tuple[str, str, object]] = [(c, "in", list(v)) for c, v in (where or {}).items()]
        filters += [(column, "<", day) for column, day in (before or {}).items()]
        return table.to_pyarrow_table(columns=list(columns) if columns else None, filters=filters or None)

    def _pin(self, contract: Contract) -> DeltaTable:
        table = self.as_read(contract)
        self.versions_read[contract.name] = table.version()
        return table

    def as_read(self, contract: Contract) -> DeltaTable:
        """The table at the version that this run read, else at its newest; JobError when there is no such table."""
        if not self.exists(contract):
            raise JobError(f"{self.uri(contract)}: no such table; run the task that writes {contract.name} first")
        return DeltaTable(self.uri(contract), version=self.versions_read.get(contract.name))

    def version(self, contract: Contract) -> int:
        """The table's version that is read from here on; raises JobError when there is no such table."""
        return self._pin(contract).version()

    def partitions(self, contract: Contract) -> list[dict[str, str]]:
        """The table's partitions, column -> value, from the log alone; none where there is no table."""
        return DeltaTable(self.uri(contract)).partitions() if self.exists(contract) else []

    def facts(self, contract: Contract, **having: str) -> dict[str, str]:
        """What was recorded with the newest publish of the table (having these facts); nothing where there is none."""
        for commit in DeltaTable(self.uri(contract)).history() if self.exists(contract) else []:
            facts = json.loads(commit["userMetadata"]) if "userMetadata" in commit else {}
            if facts and having.items() <= facts.items():
                return facts
        return {}

    def data_files(self, contract: Contract, where: Slice | None = None) -> list[DataFile]:
        """The table's files at its current version, which is noted as read; those of these partitions."""
        return data_files(self._pin(contract), where)

    def lookup(self, contract: Contract) -> Lookup:
        """The table's ids and surrogate keys, at its current version, to be used in any process."""
        return Lookup.of(self._pin(contract), contract.key[0])

    # ---- writing

    @contextmanager
    def staging(self, contract: Contract) -> Iterator[Staged]:
        """A folder for rows of the table that no reader sees until `publish_staged`; it goes when the block fails."""
        self._ensure_table(contract)
        with staging(contract, self.uri(contract)) as files:
            yield files

    def publish_spark(
        self, contract: Contract, rows: DataFrame, replace: Slice, facts: Mapping[str, str] | None = None
    ) -> int:
        """Check `rows` and commit them in place of the slice; returns their number. See Job.publish."""
        with self.staging(contract) as files:
            files.write_spark(rows)
            return self.publish_staged(rows.sparkSession.sparkContext, files, files.written(), replace, facts)

    def publish_staged(
        self,
        context: SparkContext,
        files: Staged,
        paths: Sequence[str],
        replace: Slice,
        facts: Mapping[str, str] | None = None,
    ) -> int:
        """Check the staged files at these paths and commit them in place of the slice; returns their number of rows."""
        from jobs.platform.gates import Audit

        if not paths:
            return self.publish_arrow(files.contract, arrow_schema(files.contract).empty_table(), replace, facts)
        audit = Audit(self, files.contract, replace)
        audit.take_files(context, files, paths)
        accepted = audit.close()
        return files.commit(paths, replace, self._user_metadata(facts, accepted))

    def publish_arrow(
        self,
        contract: Contract,
        blocks: pa.Table | Iterable[pa.Table],
        replace: Slice,
        facts: Mapping[str, str] | None = None,
    ) -> int:
        """Check each block and commit all of them in place of the slice; returns the number of rows.

        Blocks stream through, so a result larger than memory can be published; key uniqueness is checked within a
        block, so a block must hold all rows of its keys.
        """
        from jobs.platform.gates import Audit

        schema = arrow_schema(contract)

        def audited() -> Iterator[pa.RecordBatch]:
            for block in [blocks] if isinstance(blocks, pa.Table) else blocks:
                audit.take(block)
                yield from block.cast(schema).to_batches()

        with self.staging(contract) as files:
            audit = Audit(self, contract, replace)
            files.write_blocks(pa.RecordBatchReader.from_batches(schema, audited()))
            accepted = audit.close()
            return files.commit(files.written(), replace, self._user_metadata(facts, accepted))

    def _user_metadata(self, facts: Mapping[str, str] | None, accepted: Mapping[str, str]) -> str:
        return json.dumps(self.stamp | dict(facts or {}) | dict(accepted))

    def _ensure_table(self, contract: Contract) -> None:
        """Create the table with its comments, and any CHECK constraint it lacks (a killed creation leaves some)."""
        for attempt in range(1, CREATION_ATTEMPTS + 1):
            try:
                table = DeltaTable.create(
                    self.uri(contract),
                    delta_schema(contract),
                    mode="ignore",
                    name=contract.name,
                    description=contract.description,
                    partition_by=list(contract.partition_by) or None,
                )
                self._require_columns(contract, table)
                present = {key.removeprefix("delta.constraints.") for key in table.metadata().configuration}
                missing = {name: rule for name, rule in contract.constraints().items() if name not in present}
                if missing:
                    table.alter.add_constraint(missing)
                return
            except DeltaError:  # another run is creating the same table: look again at what is left to do
                if attempt == CREATION_ATTEMPTS:
                    raise
                time.sleep(0.2 * attempt)

    def _require_columns(self, contract: Contract, table: DeltaTable) -> None:
        """Raise JobError unless the table there has the contract's columns: a commit would hide the others."""
        there = {field.name: str(field.type) for field in table.schema().fields}
        wanted = {field.name: str(field.type) for field in delta_schema(contract).fields}
        if there != wanted:
            differing = sorted(name for name in there.keys() | wanted.keys() if there.get(name) != wanted.get(name))
            raise JobError(
                f"{self.uri(contract)}: made by another version of Atelier, differs in {', '.join(differing)};"
                " nothing published, give another --warehouse"
            )
