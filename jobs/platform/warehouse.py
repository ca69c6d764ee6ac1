"""Where tables are written. No other module commits to one.

A publish is write, audit, publish: the rows are computed, checked against the contract, then committed in one atomic
Delta commit that replaces exactly the run's slice. A failed check or a killed run leaves the table as it was; a rerun
replaces what the first run wrote.

A commit is to one version of the table. Where another run gets ahead, nothing that was derived from the version before
goes into the next attempt: the gates compare again, and a publish says with `derived_from` which tables its rows follow
from, so that it ends where one of them has changed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Field, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from expectations.contract import Contract
from jobs.platform import storage
from jobs.platform.errors import JobError, TableChangedError
from jobs.platform.schemas import arrow_schema, delta_schema
from jobs.platform.staging import Slice, Staged, Write, require_inside, staging
from jobs.platform.tables import Tables, changes

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

CREATION_ATTEMPTS = 5
COMMIT_ATTEMPTS = 10

#: So many rows are checked in memory, in less time than Spark takes to plan that; more of them by Spark.
ARROW_ROWS = 500_000


class Warehouse(Tables):
    """All tables below one root, to be read and written.

    Args:
        root, stamp, accept_drift: see Tables.
        session: gives the Spark session where one is needed; None: `spark_session` does.
    """

    def __init__(
        self,
        root: str,
        stamp: Mapping[str, str],
        *,
        accept_drift: bool = False,
        session: Callable[[], SparkSession] | None = None,
    ) -> None:
        super().__init__(root, stamp, accept_drift=accept_drift)
        self._session = session or _default_session
        self.versions_written: dict[str, int] = {}

    @contextmanager
    def staging(self, contract: Contract) -> Iterator[Staged]:
        """A folder for rows of the table that no reader sees until `publish_staged`; it goes when the block fails."""
        self._ensure_table(contract)
        with staging(contract, self.uri(contract)) as files:
            yield files

    def publish_spark(
        self, contract: Contract, rows: DataFrame, replace: Slice, derived_from: Sequence[Contract] = ()
    ) -> int:
        """Check `rows` and commit them in place of the slice; returns their number. See Job.publish."""
        with self.staging(contract) as files:
            files.write_spark(rows)
            return self.publish_staged(files, files.written(), replace, derived_from)

    def publish_blocks(
        self, contract: Contract, blocks: Iterable[pa.Table], replace: Slice, derived_from: Sequence[Contract] = ()
    ) -> int:
        """As publish_spark, of a stream of Arrow tables that together may be larger than memory."""
        schema = arrow_schema(contract)
        batches = (batch for block in blocks for batch in block.cast(schema).to_batches())
        with self.staging(contract) as files:
            files.write_blocks(pa.RecordBatchReader.from_batches(schema, batches))
            return self.publish_staged(files, files.written(), replace, derived_from)

    def publish_staged(
        self, files: Staged, paths: Sequence[str], replace: Slice, derived_from: Sequence[Contract] = ()
    ) -> int:
        """Check the staged files at these paths and commit them in place of the slice; returns their number of rows."""
        contract = files.contract
        if not paths:
            return self.publish_arrow(contract, arrow_schema(contract).empty_table(), replace, derived_from)
        stored = files.read_arrow(paths)
        count = stored.count_rows()
        rows = stored.to_table() if count <= ARROW_ROWS else files.read_spark(self._session(), paths)
        self._commit(contract, rows, replace, files.writer(self._session, paths, replace), derived_from)
        return count

    def publish_arrow(
        self, contract: Contract, rows: pa.Table, replace: Slice, derived_from: Sequence[Contract] = ()
    ) -> int:
        """Check `rows` and commit them in place of the slice; returns their number."""
        self._ensure_table(contract)

        def write(table: DeltaTable, user_metadata: str, verified: Mapping[str, str]) -> None:
            require_inside(contract, {column: rows[column].unique().to_pylist() for column in replace}, replace)
            columns = pa.schema([field.with_nullable(True) for field in arrow_schema(contract)])
            # Left to itself a commit moves on to a newer version, where the slice may hold another run's rows.
            write_deltalake(
                table,
                rows.select(contract.column_names).cast(columns),
                mode="overwrite",
                predicate=_predicate(replace),
                commit_properties=CommitProperties({"userMetadata": user_metadata}, max_commit_retries=0),
            )

        self._commit(contract, rows, replace, write, derived_from)
        return rows.num_rows

    def _commit(
        self,
        contract: Contract,
        rows: pa.Table | DataFrame,
        replace: Slice,
        write: Write,
        derived_from: Sequence[Contract],
    ) -> None:
        """Check the rows and let `write` commit them to the newest version, again where another run commits first.

        Raises TableChangedError where a table of `derived_from` is not as this run read it: nothing is committed.
        """
        audited: int | None = None
        for attempt in range(COMMIT_ATTEMPTS):
            table = self.newest(contract)
            version = table.version()
            for source in derived_from:
                self._require_as_read(source, table if source is contract else self.newest(source))
            if audited is None or (contract.compares_slices and changes(table, audited) != set()):
                audited, (accepted, verified) = version, self._audit(contract, table, replace, rows)
                continue  # which took its time: on to what is the newest version now
            try:
                write(table, json.dumps(self.stamp | accepted), verified)
            except CommitFailedError:
                time.sleep(0.1 * attempt)
            else:
                self.versions_written[contract.name] = version + 1
                return
        raise TableChangedError(f"{self.uri(contract)}: other runs commit to it all the time; nothing published")

    def _require_as_read(self, contract: Contract, table: DeltaTable) -> None:
        """Raise TableChangedError unless the table has the rows that this run read, but for those it wrote itself."""
        read = self.versions_read.get(contract.name, -1)  # there was none
        later = changes(table, read)
        if later is None or later - {self.versions_written.get(contract.name)}:
            raise TableChangedError(
                f"{self.uri(contract)}: another run changed it while this one used its rows; nothing published"
            )

    def _audit(
        self, contract: Contract, table: DeltaTable, replace: Slice, rows: pa.Table | DataFrame
    ) -> tuple[dict[str, str], dict[str, str]]:
        """What to record with the commit, and the constraints (name -> SQL) that the rows were found to keep."""
        from jobs.platform.gates import Audit  # brings Great Expectations, which takes seconds to import

        audit = Audit(self, contract, replace, rows, table)
        return audit.run(), audit.verified

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
                    storage_options=storage.storage_options(self.root),
                )
                self._match_columns(contract, table)
                self._constrain(contract, table)
                return
            except DeltaError:  # another run is creating the same table: look again at what is left to do
                if attempt == CREATION_ATTEMPTS:
                    raise
                time.sleep(0.2 * attempt)

    def _constrain(self, contract: Contract, table: DeltaTable) -> None:
        """Bring the table's CHECK constraints up to the contract's.

        Raises JobError where rows of an older version of Atelier break a new one.
        """
        configuration = table.metadata().configuration
        present = {name: configuration.get(f"delta.constraints.{name}") for name in contract.constraints()}
        rules = {name: rule for name, rule in contract.constraints().items() if present[name] != rule}
        for name in (name for name in rules if present[name]):
            table.alter.drop_constraint(name)
        if not rules:
            return
        try:
            table.alter.add_constraint(rules)
        except DeltaError as error:
            if "failed validation check" not in str(error):
                raise
            broken = " AND ".join(f"({rule})" for rule in rules.values())
            raise JobError(
                f"{self.uri(contract)}: has rows that break one of {', '.join(rules)}; nothing published. Remove them"
                f' with DeltaTable("{self.uri(contract)}").delete("NOT ({broken})"), or give another --warehouse'
            ) from None

    def _match_columns(self, contract: Contract, table: DeltaTable) -> None:
        """Bring the table's columns and comments up to the contract; rows that are there hold null in a new column.

        A column that the contract lets be null now may be.

        Raises JobError where that would lose or change what is there: a column of another type, one that the contract
        has no more, or a new one that tells rows or partitions apart.
        """
        wanted = {field.name: field for field in delta_schema(contract).fields}
        there = {field.name: field for field in table.schema().fields}
        new = [name for name in wanted if name not in there and name not in (*contract.key, *contract.partition_by)]
        differing = [
            name
            for name in sorted(there.keys() | wanted.keys() - set(new))
            if name not in there or name not in wanted or there[name].type != wanted[name].type
        ]
        if differing:
            raise JobError(
                f"{self.uri(contract)}: made by another version of Atelier, differs in {', '.join(differing)};"
                " nothing published, give another --warehouse"
            )
        if new:
            table.alter.add_columns([Field(n, wanted[n].type, nullable=True, metadata=wanted[n].metadata) for n in new])
        for name in (name for name in there if wanted[name].nullable and not there[name].nullable):
            table.alter.drop_column_not_null(name)
        if table.metadata().description != contract.description:
            table.alter.set_table_description(contract.description)
        for name in (name for name in there if there[name].metadata.get("comment") != wanted[name].metadata["comment"]):
            table.alter.set_column_metadata(name, wanted[name].metadata)


def _default_session() -> SparkSession:
    from jobs.platform.spark import spark_session

    return spark_session()


def _predicate(replace: Slice) -> str | None:
    """The slice as SQL; None: the whole table."""
    parts = []
    for column, values in replace.items():
        texts = (str(value).replace("'", "''") for value in values)
        quoted = ", ".join(f"'{text}'" for text in texts)
        parts.append(f"{column} IN ({quoted})")
    return " AND ".join(parts) or None
