"""The published tables: which version of each is shown, and rows of them by key, straight from their files.

Nothing of a table stays in memory but its files' names and footers. A version that was published since is noticed
within REFRESH_SECONDS by whoever asks first, in the background; a page that has begun keeps the versions it began with.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

import duckdb

from app.tables.errors import Unavailable
from app.tables.snapshot import Snapshot, load
from expectations.contract import Contract
from jobs.platform import storage

#: A table's log is looked at again after so long.
REFRESH_SECONDS = 2.0
#: What DuckDB may use for all pages together.
MEMORY = "256MB"


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
        self._looking: dict[str, Future[None]] = {}
        self._lock = threading.Lock()
        self._background = ThreadPoolExecutor(1, thread_name_prefix="tables")
        self._database = duckdb.connect(config={"memory_limit": MEMORY, "threads": 1})
        self._database.execute("SET parquet_metadata_cache = true")
        self._idle: SimpleQueue[duckdb.DuckDBPyConnection] = SimpleQueue()

    def snapshot(self, contract: Contract) -> Snapshot:
        """The version to show; raises Unavailable where there is none."""
        known = self._known.get(contract.path)
        if known is None:
            self._look(contract)
            known = self._known[contract.path]
        elif time.monotonic() - known.at > self.refresh_seconds:
            with self._lock:
                looking = self._looking.get(contract.path)
                if looking is None or looking.done():
                    self._looking[contract.path] = self._background.submit(self._look, contract)
        if isinstance(known.found, Unavailable):
            raise known.found
        return known.found

    def refresh(self, contract: Contract) -> None:
        """Look at the log now."""
        self._look(contract)

    def reading(self) -> Reading:
        """The tables at the versions of this moment, for one page."""
        return Reading(self)

    def _look(self, contract: Contract) -> None:
        found: Snapshot | Unavailable
        try:
            found = load(self.root, contract)
        except Unavailable as error:
            found = error
        self._known[contract.path] = _Known(found, time.monotonic())  # one assignment: a page sees the old or the new

    @contextmanager
    def cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection of the pool."""
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

    def source(self, contract: Contract, **partition: str) -> list[str]:
        """The files of the table's newest slice; those with these values of other partition columns."""
        files = self.snapshot(contract).files
        return [f.uri for f in files if all(str(f.partition[name]) == value for name, value in partition.items())]

    def rows(self, sql: str, parameters: Sequence[Any] | dict[str, Any]) -> list[dict[str, Any]]:
        """Rows of a query, as column -> value."""
        with self.tables.cursor() as cursor:
            result = cursor.execute(sql, parameters)
            names = [column[0] for column in result.description]
            return [dict(zip(names, row, strict=True)) for row in result.fetchall()]
