"""Maintenance of a table: its files made few and well ordered, and what nobody can reach any more removed.

Nothing here changes a row, and a commit made here gives way to a publish that it meets.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TypeVar

import pyarrow as pa
from deltalake import DeltaTable, WriterProperties
from deltalake.exceptions import CommitFailedError

from jobs.platform import storage

T = TypeVar("T")

ATTEMPTS = 5

#: A lookup reads whole groups of rows: small ones make it quick, too small ones make the file large.
ROWS_PER_GROUP = 128 * 1024

#: In the names of files that were written here: what is kept is compressed more than what is published.
REWRITTEN = ".zstd."


@dataclass(frozen=True)
class MaintenanceResult:
    """What was done to a table. Empty folders of removed files stay.

    Attributes:
        rewritten: files that were read and replaced by `written` ones.
        written: files that replaced them.
        removed: files deleted because no version within the retention names them.
        skipped: partitions left as they were, since other runs kept publishing to the table.
    """

    rewritten: int
    written: int
    removed: int
    skipped: int


def optimize_and_vacuum(uri: str, retention: timedelta, cluster_by: Sequence[str] = ()) -> MaintenanceResult:
    """Compact what was published since the last time, remove what the retention no longer covers, sum up the log.

    Args:
        uri: root of an existing Delta table.
        retention: age from which replaced versions and files of killed runs go. Longer than any run takes, since the
            files of a run that is still writing differ from a killed one's by their age alone.
        cluster_by: columns by whose values the rows of a partition are to lie together.
    """
    _keep_for(uri, retention)
    rewritten = written = skipped = 0
    for partition in _published_since(uri, alone=bool(cluster_by)):
        metrics = _unless_overtaken(uri, partial(_rewrite, partition=partition, cluster_by=cluster_by))
        skipped += metrics is None
        rewritten += (metrics or {}).get("numFilesRemoved", 0)
        written += (metrics or {}).get("numFilesAdded", 0)
    removed = _table(uri).vacuum(dry_run=False, full=True)
    _unless_overtaken(uri, _shorten_log)
    return MaintenanceResult(rewritten, written, len(removed), skipped)


def _keep_for(uri: str, retention: timedelta) -> None:
    """Note the retention in the table, where every engine's VACUUM and checkpoints find it."""
    wanted = f"interval {retention.days} days"
    properties = {
        "delta.deletedFileRetentionDuration": wanted,
        "delta.logRetentionDuration": wanted,
        "delta.enableExpiredLogCleanup": "true",
    }

    def note(table: DeltaTable) -> None:
        if not properties.items() <= table.metadata().configuration.items():
            table.alter.set_table_properties(properties)

    _unless_overtaken(uri, note)


def _published_since(uri: str, alone: bool) -> Iterator[dict[str, str]]:
    """Partitions with files of a publish, which no housekeeping has rewritten yet; those of one file if `alone`."""
    files = pa.table(_table(uri).get_add_actions(flatten=False))
    paths: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for file in files.select([name for name in ("path", "partition") if name in files.column_names]).to_pylist():
        partition = tuple((column, str(value)) for column, value in file.get("partition", {}).items())
        paths.setdefault(partition, []).append(file["path"])
    for partition, there in paths.items():
        if (alone or len(there) > 1) and any(REWRITTEN not in path for path in there):
            yield dict(partition)


def _rewrite(table: DeltaTable, partition: dict[str, str], cluster_by: Sequence[str]) -> dict[str, int]:
    """Bring the rows of one partition into few files, in order if asked; deltalake's figures of it."""
    filters = [(column, "=", value) for column, value in partition.items()] or None
    properties = WriterProperties(max_row_group_size=ROWS_PER_GROUP, compression="ZSTD")
    if cluster_by:
        return table.optimize.z_order(cluster_by, filters, writer_properties=properties)
    return table.optimize.compact(filters, writer_properties=properties)


def _unless_overtaken(uri: str, action: Callable[[DeltaTable], T]) -> T | None:
    """`action` on the table as it is now, again where a publish got ahead of it; None when one always did."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return action(_table(uri))
        except CommitFailedError:
            time.sleep(0.2 * attempt)
    logging.warning("%s: other runs published to it all the time; left for the next maintenance", uri)
    return None


def _shorten_log(table: DeltaTable) -> None:
    """Sum the log up in a checkpoint, and remove commits that no version within the retention needs."""
    table.create_checkpoint()
    table.cleanup_metadata()


def _table(uri: str) -> DeltaTable:
    return DeltaTable(uri, storage_options=storage.storage_options(uri))
