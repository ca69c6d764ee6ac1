"""Delivered files as raw rows, each with the line it came from and nothing yet believed about its values.

A file is read in blocks, in any order and on any machine: bytes of a CSV file, row groups of a Parquet file. A file
that cannot be read from its middle on (compressed, in another encoding than UTF-8) is one block, read piece by piece.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import SEEK_END
from itertools import accumulate

from jobs.ingest import files as delivered
from jobs.ingest.csv_rows import csv_rows, even_rows, record_batches, without_unnamed
from jobs.ingest.files import SourceFile
from jobs.ingest.layout import ended, opened, pieces, utf8_chunks
from jobs.ingest.parquet_rows import parquet_rows
from jobs.ingest.raw_rows import RawRows, joined

#: A list is parsed so many bytes at a time: the different texts of so many fit the processor's caches.
_PIECE_BYTES = 8 << 20


@dataclass(frozen=True)
class Block:
    """The rows of a file that start in its `number`-th block (jobs.ingest.files.BLOCK_BYTES), or its row group.

    Attributes:
        file: what was delivered under one name: a file, or a folder of files.
        part: the file itself.
        number: which of its blocks.
        lines: how many lines the folder's files before it have.
    """

    file: SourceFile
    part: SourceFile
    number: int
    lines: int = 0

    def read(self) -> Iterator[RawRows]:
        """Its rows, in pieces that fit in memory. A quoted field of a CSV file cannot hold a line break here."""
        return (_placed(rows, self.part, self.lines) for rows in _block_rows(self.part, self.number))

    def lines_of_text(self) -> Iterator[tuple[bytes, int]]:
        """Its whole lines, each ended by LF, in pieces that fit in memory, and the number of each piece's first."""
        part = self.part
        found = (
            [_lines(part, self.number)]
            if part.layout.has_blocks
            else pieces(part.path, part.layout, delivered.BLOCK_BYTES)
        )
        return ((text, first + self.lines) for text, first in found)


def blocks(file: SourceFile) -> list[Block]:
    """All blocks of what was delivered under one name."""
    return [
        Block(file, part, number, lines) for part, lines in _parts(file) for number in range(len(part.lines_before))
    ]


def read_rows(file: SourceFile) -> RawRows:
    """All rows of a file. A quoted field of a CSV file cannot hold a line break here."""
    return joined([_placed(rows, part, lines) for part, lines in _parts(file) for rows in _part_rows(part)])


def read_records(file: SourceFile) -> RawRows:
    """All rows of a file whose quoted fields may hold line breaks (a catalogue): then it is read record by record.

    Raises JobError on a quote that is never closed and on text that is not in the file's encoding.
    """
    return joined([_placed(rows, part, lines) for part, lines in _parts(file) for rows in _part_records(part)])


def _parts(file: SourceFile) -> list[tuple[SourceFile, int]]:
    """The files of a folder, or the file itself, each with the number of lines before it."""
    parts = file.parts or (file,)
    return list(zip(parts, accumulate((part.lines for part in parts), initial=0), strict=False))


def _placed(rows: RawRows, part: SourceFile, lines: int) -> RawRows:
    """Rows of a part with their lines in the whole, and the columns that its folder's name gives."""
    return rows.after(lines).with_constants(part.partition)


def _block_rows(part: SourceFile, number: int) -> Iterator[RawRows]:
    if part.is_parquet:
        first = part.lines_before[number] + 1
        yield parquet_rows(part.path, number, first, part.columns, part.layout.time_zone)
    elif part.layout.has_blocks:
        yield _rows(part, *_lines(part, number))
    else:
        yield from _pieces(part, delivered.BLOCK_BYTES)


def _part_rows(part: SourceFile) -> Iterator[RawRows]:
    if part.is_parquet:
        return (rows for number in range(len(part.lines_before)) for rows in _block_rows(part, number))
    return _pieces(part, _PIECE_BYTES)


def _part_records(part: SourceFile) -> Iterator[RawRows]:
    if part.is_parquet:
        return _part_rows(part)
    header, _, lines = b"".join(utf8_chunks(part.path, part.layout, delivered.CHUNK_BYTES)).partition(b"\n")
    if header.count(b'"') % 2 == 0 and (rows := even_rows(ended(lines), part.all_columns, part.layout)) is not None:
        return iter([without_unnamed(rows, part.unnamed, part.layout.sep).after(1)])
    found = record_batches(part.path, part.all_columns, part.layout)
    return (without_unnamed(rows, part.unnamed, part.layout.sep) for rows in found)


def _pieces(part: SourceFile, size: int) -> Iterator[RawRows]:
    """The rows of a CSV file, about `size` bytes at a time."""
    return (_rows(part, lines, first) for lines, first in pieces(part.path, part.layout, size))


def _rows(part: SourceFile, lines: bytes, first: int) -> RawRows:
    """The rows in whole lines, the first of which has this number."""
    rows = csv_rows(lines, part.all_columns, part.layout)
    return without_unnamed(rows, part.unnamed, part.layout.sep).after(first - 1)


def _lines(part: SourceFile, number: int) -> tuple[bytes, int]:
    """The block's whole lines, each with its end, and the number of the first; the header is not among them."""
    start = number * delivered.BLOCK_BYTES
    end, first = start + delivered.BLOCK_BYTES, part.lines_before[number] + 1
    with opened(part.path) as stream:
        if end >= (size := stream.seek(0, SEEK_END)):
            end = size
        else:
            stream.seek(end - 1)
            stream.readline()  # the last line ends where it ends
            end = stream.tell()
        stream.seek(max(start - 1, 0))
        # The line that a block begins in belongs to the block before; the header to none.
        if start > 0 or not part.layout.is_json:
            if not (skipped := stream.readline()).endswith(b"\n") or stream.tell() >= end:
                return b"", first
            if start == 0 or len(skipped) > 1:
                first += 1
        found = stream.read(end - stream.tell())
    return ended(found) if end == size else found, first
