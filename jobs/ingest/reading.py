"""Delivered files as raw rows, each with the line it came from and nothing yet believed about its values.

A file is read in blocks, in any order and on any machine: bytes of a CSV file, row groups of a Parquet file. Everything
is done by column (Arrow); only lines that are blank, quoted in an odd way or no UTF-8 are looked at one by one.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import SEEK_END, TextIOWrapper
from itertools import islice

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from jobs.ingest import files as delivered
from jobs.ingest.files import SourceFile
from jobs.platform.errors import JobError

_TEXT = pa.dictionary(pa.int32(), pa.string())
#: A list is parsed so many bytes at a time: the different texts of so many fit the processor's caches.
_PIECE_BYTES = 8 << 20
_RECORDS_PER_BATCH = 20_000


@dataclass(frozen=True)
class RawRows:
    """Rows of one file as they came.

    Attributes:
        fields: the file's columns as text, dictionary-encoded; null where empty. Of a block no dictionary holds a text
            twice; of a whole file it may.
        line: where each row starts in the file, header = 1 (row number from 1 for Parquet).
        broken: the whole line where it has more or fewer fields than the header or is not UTF-8, else null; its fields
            are null.
    """

    fields: pa.Table
    line: npt.NDArray[np.int64]
    broken: pa.Array

    def __len__(self) -> int:
        return len(self.line)

    def text(self, column: str) -> pa.DictionaryArray:
        """One column of the file."""
        return self.fields[column].chunk(0)


@dataclass(frozen=True)
class Block:
    """The rows of a file that start in its `number`-th block (jobs.ingest.files.BLOCK_BYTES), or its row group."""

    file: SourceFile
    number: int

    def read(self) -> RawRows:
        """Its rows. A quoted field of a CSV file cannot hold a line break here."""
        if self.file.is_parquet:
            return _parquet_rows(self)
        lines, first = _lines(self)
        rows = _csv_rows(lines, self.file.columns)
        return RawRows(rows.fields, rows.line + (first - 1), rows.broken)


def blocks(file: SourceFile) -> list[Block]:
    return [Block(file, number) for number in range(len(file.lines_before))]


def read_rows(file: SourceFile) -> RawRows:
    """All rows of a file. A quoted field of a CSV file cannot hold a line break here."""
    if file.is_parquet:
        return _joined([block.read() for block in blocks(file)])
    lines = _header_and_lines(file)[1]
    parts, start, number = [], 0, 2
    while start < len(lines):
        end = lines.find(b"\n", min(start + _PIECE_BYTES, len(lines)) - 1) + 1
        piece, start = lines[start:end], end
        rows = _csv_rows(piece, file.columns)
        parts.append(RawRows(rows.fields, rows.line + (number - 1), rows.broken))
        number += piece.count(b"\n")
    return _joined(parts)


def _header_and_lines(file: SourceFile) -> tuple[bytes, bytes]:
    """The first line of a file, and all others, each with its end."""
    with file.open() as stream:
        header, _, lines = stream.read().partition(b"\n")
    return header, lines if lines.endswith(b"\n") or not lines else lines + b"\n"


def _parquet_rows(block: Block) -> RawRows:
    group = pq.ParquetFile(block.file.open()).read_row_group(block.number)
    columns = [_encoded(_as_text(column)) for column in group.columns]
    line = np.arange(group.num_rows) + block.file.lines_before[block.number] + 1
    return RawRows(pa.table(columns, list(block.file.columns)), line, pa.nulls(group.num_rows, pa.string()))


def _as_text(column: pa.ChunkedArray) -> pa.Array:
    """Values as text; of a timestamp the day (UTC where it has a time zone)."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp(column.type.unit)).cast(pa.date32(), safe=False)
    text = column.cast(pa.string()) if not pa.types.is_dictionary(column.type) else column.cast(_TEXT)
    return text.combine_chunks()


def _encoded(text: pa.Array) -> pa.DictionaryArray:
    """Text dictionary-encoded, null where empty."""
    encoded = text if pa.types.is_dictionary(text.type) else text.dictionary_encode()
    is_empty = pc.equal(encoded.dictionary, "")
    if not pc.any(is_empty).as_py():
        return encoded.cast(_TEXT)
    indices = pc.if_else(is_empty.take(encoded.indices), None, encoded.indices)
    return pa.DictionaryArray.from_arrays(indices, encoded.dictionary).cast(_TEXT)


def _lines(block: Block) -> tuple[bytes, int]:
    """The block's whole lines, each with its end, and the number of the first; the header is not among them."""
    start = block.number * delivered.BLOCK_BYTES
    end, first = start + delivered.BLOCK_BYTES, block.file.lines_before[block.number] + 1
    with block.file.open() as stream:
        if end >= (size := stream.seek(0, SEEK_END)):
            end = size
        else:
            stream.seek(end - 1)
            stream.readline()  # the last line ends where it ends
            end = stream.tell()
        stream.seek(max(start - 1, 0))
        # The line that a block begins in belongs to the block before; the header to none.
        if not (skipped := stream.readline()).endswith(b"\n") or stream.tell() >= end:
            return b"", first
        if start == 0 or len(skipped) > 1:
            first += 1
        found = stream.read(end - stream.tell())
    return found if found.endswith(b"\n") or not found else found + b"\n", first


def _csv_rows(lines: bytes, columns: Sequence[str]) -> RawRows:
    """Rows of whole lines, the first of which is line 1."""
    rows = _even_rows(lines, columns)
    return _csv_rows_with_odd_lines(lines, columns) if rows is None else rows


def _even_rows(lines: bytes, columns: Sequence[str]) -> RawRows | None:
    """Rows of whole lines, parsed all at once; None where some are blank, quoted in an odd way or no UTF-8."""
    if b"\r" in lines:
        lines = lines.replace(b"\r\n", b"\n")
    if b"\r" in lines or not _is_utf8(lines) or not _is_quoted_plainly(lines):
        return None
    fields, wrong = _parsed(lines, columns)
    # Blank lines are passed over, and a quote that is never closed would have swallowed the lines after it.
    if fields.num_rows + len(wrong) != lines.count(b"\n"):
        return None
    line = np.setdiff1d(np.arange(1, fields.num_rows + len(wrong) + 1), list(wrong), assume_unique=True)
    return _with_broken(fields, line, wrong)


def _is_quoted_plainly(lines: bytes) -> bool:
    """True if each quote is at an end of its field or beside another: of others each parser makes something else."""
    if b'"' not in lines:
        return True
    text = np.frombuffer(lines, np.uint8)
    quotes = np.flatnonzero(text == ord('"'))
    ends = np.frombuffer(b',\n"', np.uint8)
    return bool((np.isin(text[quotes - 1], ends) | np.isin(text[quotes + 1], ends)).all())


def _csv_rows_with_odd_lines(lines: bytes, columns: Sequence[str]) -> RawRows:
    """As _csv_rows, but lines that are blank, quoted, no UTF-8 or hold a carriage return are taken out first."""
    even, numbers, odd, odd_numbers = [], [], [], []
    broken: dict[int, str] = {}
    for number, line in enumerate(lines.replace(b"\r\n", b"\n").split(b"\n")[:-1], start=1):
        if not line.strip():
            continue
        if b'"' not in line and b"\r" not in line and _is_utf8(line):
            even.append(line)
            numbers.append(number)
        elif (record := _record(line)) and len(record) == len(columns):
            odd.append(record)
            odd_numbers.append(number)
        else:
            broken[number] = line.decode(errors="replace")
    fields, wrong = _parsed(b"".join(line + b"\n" for line in even), columns)
    broken |= {numbers[n - 1]: text for n, text in wrong.items()}
    numbers = [number for number in numbers if number not in broken]
    further = _fields(odd, columns)
    return _with_broken(pa.concat_tables([fields, further]), np.array(numbers + odd_numbers, dtype=np.int64), broken)


def _fields(records: Sequence[Sequence[str]], columns: Sequence[str]) -> pa.Table:
    """Records, each with a field for every column, as a table."""
    texts = zip(*records, strict=True) if records else [()] * len(columns)
    return pa.table([_encoded(pa.array(values, pa.string())) for values in texts], list(columns))


def _is_utf8(text: bytes) -> bool:
    try:
        return text.isascii() or text.decode() is not None
    except UnicodeDecodeError:
        return False


def _record(line: bytes) -> list[str] | None:
    """The fields of one line; None where they cannot be told apart."""
    try:
        return next(csv.reader([line.decode()], strict=True), None)
    except (csv.Error, UnicodeDecodeError):
        return None


def _parsed(lines: bytes, columns: Sequence[str]) -> tuple[pa.Table, dict[int, str]]:
    """Fields of the lines, and the lines with another number of fields by their number."""
    wrong: dict[int, str] = {}
    if not lines:
        return pa.table({name: pa.array([], _TEXT) for name in columns}), wrong

    def note(row: pa_csv.InvalidRow) -> str:
        wrong[row.number] = row.text
        return "skip"

    fields = pa_csv.read_csv(
        pa.BufferReader(lines),
        read_options=pa_csv.ReadOptions(column_names=list(columns), use_threads=False, block_size=len(lines) + 1),
        parse_options=pa_csv.ParseOptions(quote_char='"' if b'"' in lines else False, invalid_row_handler=note),
        convert_options=pa_csv.ConvertOptions(column_types=dict.fromkeys(columns, _TEXT)),
    )
    return pa.table([_encoded(column.combine_chunks()) for column in fields.columns], list(columns)), wrong


def _with_broken(fields: pa.Table, line: npt.NDArray[np.int64], broken: dict[int, str]) -> RawRows:
    """Adds the broken lines, by number, but for those with nothing but blanks."""
    broken = {number: text for number, text in broken.items() if text.strip()}
    nothing = pa.table({name: pa.nulls(len(broken), _TEXT) for name in fields.column_names})
    texts = pa.concat_arrays([pa.nulls(len(line), pa.string()), pa.array(broken.values(), pa.string())])
    return RawRows(_one_chunk([fields, nothing]), np.concatenate([line, np.array(list(broken), dtype=np.int64)]), texts)


def _one_chunk(tables: list[pa.Table]) -> pa.Table:
    tables = [table for table in tables if table.num_rows] or tables[:1]
    return tables[0] if len(tables) == 1 else pa.concat_tables(tables).unify_dictionaries().combine_chunks()


def _joined(parts: Sequence[RawRows]) -> RawRows:
    fields = pa.concat_tables([part.fields for part in parts])
    return RawRows(
        pa.table([_one_piece(column) for column in fields.columns], fields.column_names),
        np.concatenate([part.line for part in parts]),
        pa.concat_arrays([part.broken for part in parts]),
    )


def _one_piece(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """The column, its pieces put together.

    Their dictionaries become one without looking for a text in all of them if texts hardly repeat, as ids in a list of
    customers: that would take as long as all else that is done to a file.
    """
    sizes = [len(piece.dictionary) for piece in column.chunks]
    if sum(sizes) < len(column) / 2:
        return column.unify_dictionaries().combine_chunks()
    first = np.cumsum([0, *sizes[:-1]])
    indices = [pc.add(piece.indices, pa.scalar(n, pa.int32())) for piece, n in zip(column.chunks, first, strict=True)]
    return pa.DictionaryArray.from_arrays(
        pa.concat_arrays(indices), pa.concat_arrays([piece.dictionary for piece in column.chunks])
    )


def read_records(file: SourceFile) -> RawRows:
    """All rows of a file whose quoted fields may hold line breaks (a catalogue): then it is read record by record.

    Raises JobError on a quote that is never closed and on text that is not UTF-8.
    """
    if file.is_parquet:
        return read_rows(file)
    header, lines = _header_and_lines(file)
    if header.count(b'"') % 2 == 0 and (rows := _even_rows(lines, file.columns)) is not None:
        return RawRows(rows.fields, rows.line + 1, rows.broken)
    return _joined(list(_record_batches(file)))


def _record_batches(file: SourceFile) -> Iterator[RawRows]:
    records = _records(file)
    while chunk := list(islice(records, _RECORDS_PER_BATCH)):
        whole = [(line, record) for line, record in chunk if len(record) == len(file.columns)]
        broken = {line: ",".join(record) for line, record in chunk if len(record) != len(file.columns)}
        fields = _fields([record for _, record in whole], file.columns)
        yield _with_broken(fields, np.array([line for line, _ in whole], dtype=np.int64), broken)


def _records(file: SourceFile) -> Iterator[tuple[int, list[str]]]:
    """(first line, fields) of each record after the header."""
    last = 0
    try:
        with TextIOWrapper(file.open(), encoding="utf-8-sig", newline="") as text:
            reader = csv.reader(text, strict=True)
            for record in reader:
                start, last = last + 1, reader.line_num
                if start > 1 and record:
                    yield start, record
    except (csv.Error, UnicodeDecodeError) as error:
        raise JobError(f"{file.path}: cannot be read after line {last} ({error}); correct the file") from None
