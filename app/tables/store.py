"""The published tables: which version of each is shown, and rows of them by key, straight from their files.

Nothing of a table stays in memory but its files' names and footers. A version that was published since is noticed
within REFRESH_SECONDS, in the background; a page that has begun keeps the versions it began with.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

import duckdb

from app.tables.object_store import register
from app.tables.snapshot import Snapshot, Unavailable, load
from expectations.contract import Contract
from jobs.platform import storage

#: A table's log is looked at again after so long.
REFRESH_SECONDS = 2.0
#: What DuckDB may use for all pages together.
MEMORY = "256MB"

Row = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """Columns of a table to be read; of other partitions than as_of_date, those with these values."""

    contract: Contract
    columns: tuple[str, ...]
    partition: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class _Known:
    """What was found when the log was last looked at."""

    found: Snapshot | Unavailable
    at: float


class Tables:
    """All tables below a root. Threads share one.

    Args:
        root: the warehouse: a folder or an object-store URI.
        refresh_seconds: how long a version is taken for the newest.
    """

    def __init__(self, root: str, refresh_seconds: float = REFRESH_SECONDS) -> None:
        self.root = storage.normalized(root)
        self.refresh_seconds = refresh_seconds
        self._known: dict[str, _Known] = {}
        self._looking: dict[str, Future[object]] = {}
        self._lock = threading.Lock()
        self._background = ThreadPoolExecutor(1, thread_name_prefix="tables")
        self._database = duckdb.connect(
            config={"memory_limit": MEMORY, "threads": 1, "autoinstall_known_extensions": False}
        )
        self._database.execute("SET parquet_metadata_cache = true")
        register(self._database, self.root)
        self._idle: SimpleQueue[duckdb.DuckDBPyConnection] = SimpleQueue()

    def reading(self) -> Reading:
        """The tables at the versions of this moment, for one page."""
        return Reading(self)

    def snapshot(self, contract: Contract) -> Snapshot:
        """The version to show; raises Unavailable where there is none."""
        known = self._known.get(contract.path)
        if known is None:
            known = self.look(contract)
        elif time.monotonic() - known.at > self.refresh_seconds:
            with self._lock:
                looking = self._looking.get(contract.path)
                if looking is None or looking.done():
                    self._looking[contract.path] = self._background.submit(self.look, contract)
        if isinstance(known.found, Unavailable):
            raise known.found
        return known.found

    def look(self, contract: Contract) -> _Known:
        """Look at the table's log now."""
        found: Snapshot | Unavailable
        try:
            found = load(self.root, contract)
        except Unavailable as error:
            found = error
        known = _Known(found, time.monotonic())
        self._known[contract.path] = known  # one assignment: a page sees the old or the new
        return known

    @contextmanager
    def cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection of the pool, which is as large as pages were ever read at a time."""
        try:
            connection = self._idle.get_nowait()
        except Empty:
            connection = self._database.cursor()
        try:
            yield connection
        finally:
            self._idle.put(connection)


class Reading:
    """Tables as one page sees them: each at one version."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self._pinned: dict[str, Snapshot] = {}

    def snapshot(self, contract: Contract) -> Snapshot:
        """The version of the table that this page shows; raises Unavailable."""
        if contract.path not in self._pinned:
            self._pinned[contract.path] = self.tables.snapshot(contract)
        return self._pinned[contract.path]

    def query(self, sql: str, sources: Mapping[str, Source], parameters: Mapping[str, Any] | None = None) -> list[Row]:
        """Rows of a query, in which @NAME stands for the source of that name and $NAME for a parameter.

        Files that housekeeping has removed since are looked up again. Raises Unavailable.
        """
        try:
            return self._query(sql, sources, parameters or {})
        except duckdb.Error:  # a file may be gone, or half gone
            for source in sources.values():
                self.tables.look(source.contract)
                self._pinned.pop(source.contract.path, None)
        try:
            return self._query(sql, sources, parameters or {})
        except duckdb.Error as error:
            raise self._unavailable(sources, error) from error

    def batches(self, sql: str, sources: Mapping[str, Source], size: int) -> Iterator[list[tuple[Any, ...]]]:
        """Rows of a query as tuples, `size` at a time. Raises Unavailable."""
        sql, values = self._written(sql, sources, {})
        try:
            with self.tables.cursor() as cursor:
                result = cursor.execute(sql, values)
                while rows := result.fetchmany(size):
                    yield rows
        except duckdb.Error as error:
            raise self._unavailable(sources, error) from error

    def _query(self, sql: str, sources: Mapping[str, Source], parameters: Mapping[str, Any]) -> list[Row]:
        sql, values = self._written(sql, sources, parameters)
        with self.tables.cursor() as cursor:
            result = cursor.execute(sql, values)
            names = [column[0] for column in result.description or ()]
            return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def _written(
        self, sql: str, sources: Mapping[str, Source], parameters: Mapping[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        """The query with the sources in it, and its parameters with their files."""
        values = dict(parameters)
        for name, source in sources.items():
            relation, files = self.snapshot(source.contract).relation(name, source.columns, dict(source.partition))
            sql = sql.replace(f"@{name}", f"{relation} AS {name}")
            values |= {name: files} if files else {}
        return sql, values

    def _unavailable(self, sources: Mapping[str, Source], error: Exception) -> Unavailable:
        named = ", ".join(source.contract.path for source in sources.values())
        return Unavailable(f"{named} cannot be read: {str(error).splitlines()[0][:200]}")
