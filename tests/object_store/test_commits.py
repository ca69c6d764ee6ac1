"""Commits to a table in an object store by writers that know nothing of each other."""

from __future__ import annotations

from threading import Barrier, Thread

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError

from jobs.platform import storage

WRITERS, COMMITS = 3, 5


def test_of_commits_at_once_none_is_lost(location: str) -> None:
    """Each tries again by itself when another was first, as the warehouse does."""
    options = storage.storage_options(location)
    write_deltalake(location, pa.table({"writer": [-1], "commit": [-1]}), storage_options=options)
    together, beaten = Barrier(WRITERS), []

    def write(writer: int) -> None:
        for commit in range(COMMITS):
            row = pa.table({"writer": [writer], "commit": [commit]})
            table = DeltaTable(location, storage_options=options)
            together.wait()
            while True:
                try:
                    no_retry = CommitProperties(max_commit_retries=0)
                    write_deltalake(table, row, mode="append", commit_properties=no_retry)
                    break
                except CommitFailedError:
                    beaten.append(writer)
                    table = DeltaTable(location, storage_options=options)

    threads = [Thread(target=write, args=(writer,)) for writer in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    table = DeltaTable(location, storage_options=options)
    rows = table.to_pyarrow_table().to_pylist()
    wanted = {(-1, -1)} | {(writer, commit) for writer in range(WRITERS) for commit in range(COMMITS)}
    assert {(row["writer"], row["commit"]) for row in rows} == wanted and len(rows) == len(wanted)
    assert table.version() == WRITERS * COMMITS
    assert beaten, "no two commits met: the test shows nothing"
