"""The delivered files: found, looked into and fingerprinted before any table is touched."""

from __future__ import annotations

import csv
import difflib
import hashlib
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.ingest.mapping import TableMapping
from jobs.platform.errors import JobError

#: A CSV file is read in blocks of so many bytes, each on its own and wherever there is a free core.
BLOCK_BYTES = 64 << 20

#: Clocks of file systems tick: two changes so close together may leave the same times behind.
_TICK_NS = 2_000_000_000


@dataclass(frozen=True)
class SourceFile:
    """A file with the columns it must have.

    Attributes:
        columns: all its columns, in its own order.
        checksum: SHA-256 of its bytes.
        lines_before: for each block of BLOCK_BYTES of a CSV file the number of line ends before it, for each row group
            of a Parquet file the number of rows before it: with it a block knows its lines without the blocks before.
        state: see `state_of`, before the checksum was taken.
    """

    path: Path
    columns: tuple[str, ...]
    checksum: str
    lines_before: tuple[int, ...]
    state: tuple[int, ...] | None = None

    @property
    def name(self) -> str:
        return self.path.name


#: What a run that knows files by name notes of them: checksum, then `SourceFile.state`.
Known = Mapping[str, Sequence[str | int]]


def source_files(data: Path, table: TableMapping, known: Known | None = None) -> list[SourceFile]:
    """The table's files below `data`, by name; raises JobError unless each has the columns and at least one row.

    Files that are as they were when they became `known` are not read again, and have no `lines_before`.
    """
    return [_inspected(path, table, known or {}) for path in source_paths(data, table)]


def source_paths(data: Path, table: TableMapping) -> list[Path]:
    """The table's files below `data`, not looked into; raises JobError when there are none."""
    if not data.is_dir():
        raise JobError(f"{data}: no such folder; --data names the folder with the retailer's files")
    paths = sorted(path for path in data.glob(table.file) if path.is_file())
    if not paths:
        raise JobError(f"{data / table.file}: no such file; put it there, or give another --data or --mapping")
    return paths


def _inspected(path: Path, table: TableMapping, known: Known) -> SourceFile:
    if path.stat().st_size == 0:
        raise JobError(f"{path}: empty (0 bytes); deliver the file again")
    columns = _parquet_columns(path) if path.suffix == ".parquet" else _csv_columns(path)
    _require(path, columns, table.source_columns, table.contract.path)
    if is_known(path, known):
        checksum, *state = known[path.name]
        return SourceFile(path, columns, str(checksum), (), tuple(map(int, state)))
    return fingerprint(path, columns)


def is_known(path: Path, known: Known) -> bool:
    """True if the file is one of the known ones, unchanged."""
    state = state_of(path)
    return state is not None and list(known.get(path.name, ())[1:]) == list(state)


def noted(files: Sequence[SourceFile]) -> dict[str, list[str | int]]:
    """The files as `known` from now on; without those that changed a moment ago."""
    return {file.name: [file.checksum, *file.state] for file in files if file.state}


def fingerprint(path: Path, columns: tuple[str, ...]) -> SourceFile:
    """The file with its checksum and where its blocks begin; of a CSV file both are found at the same time."""
    state = state_of(path)
    if path.suffix == ".parquet":
        groups = pq.ParquetFile(path).metadata
        rows = (groups.row_group(n).num_rows for n in range(groups.num_row_groups))
        return SourceFile(path, columns, checksum(path), tuple(accumulate(rows, initial=0))[:-1], state)
    with ThreadPoolExecutor(1) as beside:
        digest = beside.submit(checksum, path)
        before = _lines_before(path)
        return SourceFile(path, columns, digest.result(), before, state)


def _lines_before(path: Path) -> tuple[int, ...]:
    """Number of lines before each block of a CSV file."""
    lines, before = 0, []
    chunk = bytearray(min(BLOCK_BYTES, 4 << 20))  # reused: memory new to a process costs more than reading into it
    characters = np.frombuffer(chunk, np.uint8)
    with path.open("rb") as stream:
        while size := stream.readinto(chunk):
            if (stream.tell() - size) % BLOCK_BYTES == 0:
                before.append(lines)
            lines += int(np.count_nonzero(characters[:size] == ord("\n")))
    return tuple(before)


def state_of(path: Path) -> tuple[int, ...] | None:
    """What differs once the file was written to or replaced, by whatever means: its place, size and times.

    None where a change just before could have left the same times as one to come.
    """
    stat = path.stat()
    if time.time_ns() - max(stat.st_mtime_ns, stat.st_ctime_ns) < _TICK_NS:
        return None
    return (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


def _csv_columns(path: Path) -> tuple[str, ...]:
    try:
        # utf-8-sig: a byte order mark is no part of the first column's name
        with path.open(encoding="utf-8-sig", newline="") as lines:
            header = next(csv.reader(lines), [])
            has_rows = any(line.strip() for line in lines)
    except (UnicodeDecodeError, csv.Error) as error:
        raise JobError(f"{path}: not a CSV file in UTF-8 ({error}); deliver it as UTF-8") from None
    if not has_rows:
        raise JobError(f"{path}: a header and no rows; deliver the file again")
    return tuple(header)


def _parquet_columns(path: Path) -> tuple[str, ...]:
    try:
        file = pq.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise JobError(f"{path}: not a Parquet file ({error}); deliver the file again") from None
    if file.metadata.num_rows == 0:
        raise JobError(f"{path}: no rows; deliver the file again")
    return tuple(file.schema_arrow.names)


def _require(path: Path, found: Sequence[str], required: Mapping[str, str], table: str) -> None:
    if twice := sorted({column for column in found if found.count(column) > 1}):
        raise JobError(f"{path}: column {', '.join(twice)} appears twice in the header; leave one")
    missing = [column for column in required if column not in found]
    if not missing:
        return
    said = []
    for column in missing:
        close = difflib.get_close_matches(column.lower(), [name.lower() for name in found], n=1)
        renamed = [name for name in found if name.lower() in close and name not in required]
        said.append(f"{column} ({required[column]} in {table}{f'; renamed to {renamed[0]}?' if renamed else ''})")
    raise JobError(
        f"{path}: column missing: {', '.join(said)}; found {', '.join(found)}; correct the header or the mapping"
    )


def checksum(path: Path) -> str:
    """SHA-256 of the file's bytes, read as a stream."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def require_unchanged(files: Sequence[SourceFile]) -> None:
    """Raise JobError when a file is no longer the one whose checksum was taken: rows of two deliveries may be mixed."""
    for file in files:
        if not file.path.is_file() or not _is_unchanged(file):
            raise JobError(f"{file.path}: replaced while it was being read; nothing was published, run again")


def _is_unchanged(file: SourceFile) -> bool:
    return (file.state is not None and state_of(file.path) == file.state) or checksum(file.path) == file.checksum
