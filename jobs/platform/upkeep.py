"""Housekeeping of a table: its files made few and well ordered, and what nobody can reach any more removed.

Nothing here changes a row. A commit made here carries no facts of a publish, and gives way to a publish that it meets.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

import pyarrow as pa
from deltalake import DeltaTable, WriterProperties
from deltalake.exceptions import CommitFailedError

from jobs.platform.staging import STAGED

T = TypeVar("T")

ATTEMPTS = 5

#: A lookup reads whole groups of rows: small ones make it quick, too small ones make the file large.
ROWS_PER_GROUP = 128 * 1024


@dataclass(frozen=True)
class Tidied:
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


def tidy(uri: str, retention: timedelta, cluster_by: Sequence[str] = ()) -> Tidied:
    """Compact what was published since the last time, remove what the retention no longer covers, sum up the log.

    Args:
        uri: root of an existing Delta table.
        retention: age from which replaced versions and files of killed runs go. Longer than any run takes, since the
            files of a run that is still writing are told from a killed one's by their age alone.
        cluster_by: columns by whose values the rows of a partition are to lie together.
    """
    _keep_for(uri, retention)
    rewritten = written = skipped = 0
    for partition in _published_since(uri, alone=bool(cluster_by)):
        metrics = _unless_overtaken(uri, partial(_rewrite, partition=partition, cluster_by=cluster_by))
        skipped += metrics is None
        rewritten += (metrics or {}).get("numFilesRemoved", 0)
        written += (metrics or {}).get("numFilesAdded", 0)
    removed = DeltaTable(uri).vacuum(dry_run=False, full=True)
    _shorten_log(uri, retention)
    return Tidied(rewritten, written, len(removed), skipped)


def _keep_for(uri: str, retention: timedelta) -> None:
    """Note the retention in the table, where every engine's VACUUM finds it; only `_shorten_log` shortens the log."""
    wanted = f"interval {retention.days} days"
    properties = {
        "delta.deletedFileRetentionDuration": wanted,
        "delta.logRetentionDuration": wanted,
        "delta.enableExpiredLogCleanup": "false",
    }

    def note(table: DeltaTable) -> None:
        if not properties.items() <= table.metadata().configuration.items():
            table.alter.set_table_properties(properties)

    _unless_overtaken(uri, note)


def _published_since(uri: str, alone: bool) -> Iterator[dict[str, str]]:
    """Partitions with files of a publish, which no housekeeping has rewritten yet; those of one file if `alone`."""
    files = pa.table(DeltaTable(uri).get_add_actions(flatten=False))
    paths: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for file in files.select([name for name in ("path", "partition") if name in files.column_names]).to_pylist():
        partition = tuple((column, str(value)) for column, value in file.get("partition", {}).items())
        paths.setdefault(partition, []).append(file["path"])
    for partition, there in paths.items():
        if (alone or len(there) > 1) and any(path.startswith(STAGED) for path in there):
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
            return action(DeltaTable(uri))
        except CommitFailedError:
            time.sleep(0.2 * attempt)
    logging.warning("%s: other runs published to it all the time; left for the next housekeeping", uri)
    return None


def _shorten_log(uri: str, retention: timedelta) -> None:
    """Sum the log up in a checkpoint, and remove commits that no version within the retention needs.

    All stay while the newest publish is older than that: it holds the facts by which its job knows what it took in.
    """
    table = DeltaTable(uri)
    table.create_checkpoint()
    published = next((commit["timestamp"] for commit in table.history() if "userMetadata" in commit), 0)
    if datetime.fromtimestamp(published / 1000, UTC) >= datetime.now(UTC) - retention:
        table.cleanup_metadata()
