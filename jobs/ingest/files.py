"""The delivered files: found, looked into and fingerprinted before any table is touched."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path

import numpy as np
import pyarrow.fs as pafs

from jobs.ingest.header import NoRowsError, columns_of
from jobs.ingest.layout import PLAIN, Layout, layout_of, opened, utf8_chunks
from jobs.ingest.listing import is_folder, partition_of, parts_of, source_paths, warn_of_gaps
from jobs.ingest.mapping import Delivered
from jobs.ingest.parquet_rows import parquet_file
from jobs.platform import storage
from jobs.platform.errors import JobError

#: A CSV file is read in blocks of so many bytes, each on its own and wherever there is a free core.
BLOCK_BYTES = 64 << 20
CHUNK_BYTES = 4 << 20

#: Clocks of file systems tick: two changes so close together may leave the same times behind.
_TICK_NS = 2_000_000_000


@dataclass(frozen=True)
class SourceFile:
    """A file with the columns it must have, or a folder of such files, which together are one delivery.

    Attributes:
        path: where it is, a path or an object-store URI.
        columns: all its columns, in its own order; of Parquet those that the mapping names.
        checksum: SHA-256 of its bytes; of a folder, of its files' checksums.
        lines_before: for each block of BLOCK_BYTES of a CSV file the number of line ends before it (of one that has no
            blocks: 0), for each row group of a Parquet file the number of rows before it: with it a block knows its
            lines without the blocks before.
        state: see `state_of`, before the checksum was taken.
        layout: how it is read.
        lines: its number of lines; of Parquet, of rows.
        unnamed: how many columns without a name a CSV file has after the last one with a name.
        parts: the files of a folder that hold rows, by name.
        partition: columns and values that the folders it lies in are named by.
    """

    path: str
    columns: tuple[str, ...]
    checksum: str
    lines_before: tuple[int, ...]
    state: tuple[int, ...] | None = None
    layout: Layout = PLAIN
    lines: int = 0
    unnamed: int = 0
    parts: tuple[SourceFile, ...] = ()
    partition: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        return self.path.rsplit("/", 1)[-1]

    @property
    def is_parquet(self) -> bool:
        return self.layout.is_parquet

    @property
    def all_columns(self) -> tuple[str, ...]:
        """Those without a name, too."""
        return (*self.columns, *(f"unnamed {n + 1}" for n in range(self.unnamed)))


#: What a run that knows files by name notes of them: checksum, then `SourceFile.state`.
Known = Mapping[str, Sequence[str | int]]


def source_files(data: str | Path, table: Delivered, known: Known | None = None) -> list[SourceFile]:
    """The table's files below `data`, by name; raises JobError unless each has the columns and at least one row.

    Files that are as they were when they became `known` are not read again, and have no `lines_before`. Of a log's
    files some may be without a row: of an hour in which nothing happened.
    """
    paths, found = source_paths(data, table), []
    for path in paths:
        try:
            found.append(_inspected(path, table, known or {}))
        except NoRowsError as error:
            if not table.takes_json or len(paths) == 1:
                raise
            logging.warning("%s (passed over)", error)
    if not found:
        raise JobError(f"{data}/{table.file}: {len(paths):,} files without a row; deliver them again")
    return found


def _inspected(path: str, table: Delivered, known: Known) -> SourceFile:
    state, paths = state_of(path), parts_of(path) if is_folder(path) else [path]
    warn_of_gaps(path, paths)
    found = []
    for part in paths:
        try:
            found.append(_looked_into(part, partition_of(part, path), table))
        except NoRowsError:
            if len(paths) == 1:
                raise
    if not found:
        raise JobError(f"{path}: {len(paths):,} files without a row; deliver them again")
    file = found[0] if paths == [path] else SourceFile(path, found[0].columns, "", (), parts=tuple(found))
    if is_known(path, known):
        return replace(file, checksum=str(known[file.name][0]), state=state)
    return indexed(file)


def _looked_into(path: str, partition: tuple[tuple[str, str], ...], table: Delivered) -> SourceFile:
    """The file with its columns; nothing else is known of it yet."""
    if _info(path).size == 0:
        raise NoRowsError(f"{path}: empty (0 bytes); deliver the file again")
    layout = layout_of(path, table)
    given = [name for name, _ in partition]
    required = {column: part for column, part in table.source_columns.items() if column not in given}
    columns, unnamed = columns_of(path, layout, required, table.contract.path)
    constants = tuple((name, value) for name, value in partition if name not in columns)
    return SourceFile(path, columns, "", (), layout=layout, unnamed=unnamed, partition=constants)


def _info(path: str) -> pafs.FileInfo:
    filesystem, place = storage.filesystem(path)
    return filesystem.get_file_info(place)


def is_known(path: str, known: Known) -> bool:
    """True if the file is one of the known ones, unchanged."""
    state = state_of(path)
    return state is not None and list(known.get(path.rsplit("/", 1)[-1], ())[1:]) == list(state)


def indexed(file: SourceFile) -> SourceFile:
    """The file with its checksum and where its blocks begin, unless it has them."""
    if file.parts:
        state, parts = state_of(file.path), tuple(indexed(part) for part in file.parts)
        return replace(file, parts=parts, checksum=file.checksum or checksum(file.path), state=file.state or state)
    if file.lines_before:
        return file
    return replace(fingerprint(file.path, file.columns, file.layout), unnamed=file.unnamed, partition=file.partition)


def fingerprint(path: str, columns: tuple[str, ...], layout: Layout | None = None) -> SourceFile:
    """The file with its checksum and where its blocks begin; of a CSV file both are found at the same time."""
    layout, state = layout or layout_of(path), state_of(path)
    if layout.is_parquet:
        groups = parquet_file(path).metadata
        rows = [*accumulate((groups.row_group(n).num_rows for n in range(groups.num_row_groups)), initial=0)]
        return SourceFile(path, columns, checksum(path), tuple(rows[:-1]), state, layout, rows[-1])
    with ThreadPoolExecutor(1) as beside:
        digest = beside.submit(checksum, path)
        before, lines = _lines_before(path) if layout.has_blocks else ((0,), _count_lines(path, layout))
        return SourceFile(path, columns, digest.result(), before, state, layout, lines)


def _count_lines(path: str, layout: Layout) -> int:
    """Number of lines of a file that has no blocks. Raises JobError where it is damaged: it is unpacked to its end."""
    return sum(chunk.count(b"\n") for chunk in utf8_chunks(path, layout, CHUNK_BYTES)) + 1


def _lines_before(path: str) -> tuple[tuple[int, ...], int]:
    """Number of lines before each block of a CSV file, and of all."""
    lines, before, is_ended = 0, [], True
    chunk = bytearray(min(BLOCK_BYTES, CHUNK_BYTES))  # reused: memory new to a process costs more than reading into it
    characters = np.frombuffer(chunk, np.uint8)
    with opened(path) as stream:
        while size := stream.readinto(chunk):
            if (stream.tell() - size) % BLOCK_BYTES == 0:
                before.append(lines)
            lines += int(np.count_nonzero(characters[:size] == ord("\n")))
            is_ended = characters[size - 1] == ord("\n")
    return tuple(before), lines + (not is_ended)


def state_of(path: str) -> tuple[int, ...] | None:
    """What differs once the file was written to or replaced, by whatever means: its place, size and times.

    None where a change just before could have left the same times as one to come.
    """
    if is_folder(path):
        states = [state_of(part) for part in parts_of(path)]
        return None if None in states else tuple(value for state in states for value in state or ())
    if storage.is_uri(path):
        info = _info(path)
        state: tuple[int, ...] = (info.size, info.mtime_ns)
        changed = info.mtime_ns
    else:
        stat = os.stat(path)
        state = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        changed = max(stat.st_mtime_ns, stat.st_ctime_ns)
    return None if time.time_ns() - changed < _TICK_NS else state


def checksum(path: str) -> str:
    """SHA-256 of the file's bytes, read as a stream; of a folder, of its files' checksums."""
    if is_folder(path):
        return hashlib.sha256(" ".join(checksum(part) for part in parts_of(path)).encode()).hexdigest()
    with opened(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def require_unchanged(files: Sequence[SourceFile]) -> None:
    """Raise JobError when a file is no longer the one whose checksum was taken: rows of two deliveries may be mixed."""
    for file in files:
        if _info(file.path).type == pafs.FileType.NotFound or not _is_unchanged(file):
            raise JobError(f"{file.path}: replaced while it was being read; nothing was published, run again")


def _is_unchanged(file: SourceFile) -> bool:
    return (file.state is not None and state_of(file.path) == file.state) or checksum(file.path) == file.checksum
