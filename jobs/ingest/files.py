"""The delivered files: found, looked into and fingerprinted before any table is touched."""

from __future__ import annotations

import csv
import difflib
import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from io import BufferedReader, TextIOWrapper
from itertools import accumulate
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from jobs.ingest.mapping import TableMapping
from jobs.platform import storage
from jobs.platform.errors import JobError

#: A CSV file is read in blocks of so many bytes, each on its own and wherever there is a free core.
BLOCK_BYTES = 64 << 20

#: Clocks of file systems tick: two changes so close together may leave the same times behind.
_TICK_NS = 2_000_000_000


@dataclass(frozen=True)
class SourceFile:
    """A file with the columns it must have.

    Attributes:
        path: where it is, a path or an object-store URI.
        columns: all its columns, in its own order.
        checksum: SHA-256 of its bytes.
        lines_before: for each block of BLOCK_BYTES of a CSV file the number of line ends before it, for each row group
            of a Parquet file the number of rows before it: with it a block knows its lines without the blocks before.
        state: see `state_of`, before the checksum was taken.
    """

    path: str
    columns: tuple[str, ...]
    checksum: str
    lines_before: tuple[int, ...]
    state: tuple[int, ...] | None = None

    @property
    def name(self) -> str:
        return self.path.rsplit("/", 1)[-1]

    @property
    def is_parquet(self) -> bool:
        return self.path.endswith(".parquet")

    def open(self) -> BufferedReader:
        """Its bytes, seekable."""
        return opened(self.path)


#: What a run that knows files by name notes of them: checksum, then `SourceFile.state`.
Known = Mapping[str, Sequence[str | int]]


def opened(path: str) -> BufferedReader:
    """The bytes of a file, seekable; `path` may be an object-store URI."""
    filesystem, place = storage.filesystem(path)
    return BufferedReader(filesystem.open_input_file(place), 1 << 20)


def source_files(data: str | Path, table: TableMapping, known: Known | None = None) -> list[SourceFile]:
    """The table's files below `data`, by name; raises JobError unless each has the columns and at least one row.

    Files that are as they were when they became `known` are not read again, and have no `lines_before`.
    """
    return [_inspected(path, table, known or {}) for path in source_paths(data, table)]


def source_paths(data: str | Path, table: TableMapping) -> list[str]:
    """The table's files below `data`, not looked into; raises JobError when there are none."""
    filesystem, root = storage.filesystem(storage.normalized(data) if storage.is_uri(data) else str(data))
    if filesystem.get_file_info(root).type != pafs.FileType.Directory:
        raise JobError(f"{data}: no such folder; --data names the folder with the retailer's files")
    pattern = PurePosixPath(table.file)
    folder = f"{root}/{pattern.parent}" if pattern.parent.name else root
    there = filesystem.get_file_info(pafs.FileSelector(folder, allow_not_found=True))
    names = [info.base_name for info in there if info.type == pafs.FileType.File]
    found = sorted(name for name in names if fnmatchcase(name, pattern.name))
    if not found:
        raise JobError(f"{data}/{table.file}: no such file; put it there, or give another --data or --mapping")
    prefix = f"{data}".rstrip("/") + (f"/{pattern.parent}" if pattern.parent.name else "")
    return [f"{prefix}/{name}" for name in found]


def _inspected(path: str, table: TableMapping, known: Known) -> SourceFile:
    if _info(path).size == 0:
        raise JobError(f"{path}: empty (0 bytes); deliver the file again")
    columns = _parquet_columns(path) if path.endswith(".parquet") else _csv_columns(path)
    _require(path, columns, table.source_columns, table.contract.path)
    if is_known(path, known):
        checksum, *state = known[path.rsplit("/", 1)[-1]]
        return SourceFile(path, columns, str(checksum), (), tuple(map(int, state)))
    return fingerprint(path, columns)


def _info(path: str) -> pafs.FileInfo:
    filesystem, place = storage.filesystem(path)
    return filesystem.get_file_info(place)


def is_known(path: str, known: Known) -> bool:
    """True if the file is one of the known ones, unchanged."""
    state = state_of(path)
    return state is not None and list(known.get(path.rsplit("/", 1)[-1], ())[1:]) == list(state)


def fingerprint(path: str, columns: tuple[str, ...]) -> SourceFile:
    """The file with its checksum and where its blocks begin; of a CSV file both are found at the same time."""
    state = state_of(path)
    if path.endswith(".parquet"):
        groups = pq.ParquetFile(opened(path)).metadata
        rows = (groups.row_group(n).num_rows for n in range(groups.num_row_groups))
        return SourceFile(path, columns, checksum(path), tuple(accumulate(rows, initial=0))[:-1], state)
    with ThreadPoolExecutor(1) as beside:
        digest = beside.submit(checksum, path)
        before = _lines_before(path)
        return SourceFile(path, columns, digest.result(), before, state)


def _lines_before(path: str) -> tuple[int, ...]:
    """Number of lines before each block of a CSV file."""
    lines, before = 0, []
    chunk = bytearray(min(BLOCK_BYTES, 4 << 20))  # reused: memory new to a process costs more than reading into it
    characters = np.frombuffer(chunk, np.uint8)
    with opened(path) as stream:
        while size := stream.readinto(chunk):
            if (stream.tell() - size) % BLOCK_BYTES == 0:
                before.append(lines)
            lines += int(np.count_nonzero(characters[:size] == ord("\n")))
    return tuple(before)


def state_of(path: str) -> tuple[int, ...] | None:
    """What differs once the file was written to or replaced, by whatever means: its place, size and times.

    None where a change just before could have left the same times as one to come.
    """
    if storage.is_uri(path):
        info = _info(path)
        state: tuple[int, ...] = (info.size, info.mtime_ns)
        changed = info.mtime_ns
    else:
        stat = os.stat(path)
        state = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        changed = max(stat.st_mtime_ns, stat.st_ctime_ns)
    return None if time.time_ns() - changed < _TICK_NS else state


def _csv_columns(path: str) -> tuple[str, ...]:
    try:
        # utf-8-sig: a byte order mark is no part of the first column's name
        with TextIOWrapper(opened(path), encoding="utf-8-sig", newline="") as lines:
            header = next(csv.reader(lines), [])
            has_rows = any(line.strip() for line in lines)
    except (UnicodeDecodeError, csv.Error) as error:
        raise JobError(f"{path}: not a CSV file in UTF-8 ({error}); deliver it as UTF-8") from None
    if not has_rows:
        raise JobError(f"{path}: a header and no rows; deliver the file again")
    return tuple(header)


def _parquet_columns(path: str) -> tuple[str, ...]:
    try:
        file = pq.ParquetFile(opened(path))
    except pa.ArrowInvalid as error:
        raise JobError(f"{path}: not a Parquet file ({error}); deliver the file again") from None
    if file.metadata.num_rows == 0:
        raise JobError(f"{path}: no rows; deliver the file again")
    return tuple(file.schema_arrow.names)


def _require(path: str, found: Sequence[str], required: Mapping[str, str], table: str) -> None:
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


def checksum(path: str) -> str:
    """SHA-256 of the file's bytes, read as a stream."""
    with opened(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def require_unchanged(files: Sequence[SourceFile]) -> None:
    """Raise JobError when a file is no longer the one whose checksum was taken: rows of two deliveries may be mixed."""
    for file in files:
        if _info(file.path).type != pafs.FileType.File or not _is_unchanged(file):
            raise JobError(f"{file.path}: replaced while it was being read; nothing was published, run again")


def _is_unchanged(file: SourceFile) -> bool:
    return (file.state is not None and state_of(file.path) == file.state) or checksum(file.path) == file.checksum
