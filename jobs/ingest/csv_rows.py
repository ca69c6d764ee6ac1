"""Lines of a CSV file as raw rows.

Everything is done by column (Arrow); only lines that are blank, quoted in an odd way, no UTF-8 or hold a carriage
return or a NUL byte are looked at one by one. Where the mapping says so a quoted field may go on over several lines.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from jobs.ingest.layout import NOTHING, Layout, not_text, open_text, records, unescaped
from jobs.ingest.raw_rows import TEXT, RawRows, encoded
from jobs.platform.errors import JobError

_RECORDS_PER_BATCH = 20_000
#: A quote that is not closed within so many lines is never closed.
_MOST_LINES = 200


def csv_rows(lines: bytes, columns: Sequence[str], layout: Layout) -> RawRows:
    """Rows of whole lines, the first of which is line 1."""
    lines = unescaped(lines, layout)
    rows = _even_rows(lines, columns, layout)
    return _rows_with_odd_lines(lines, columns, layout) if rows is None else rows


def even_rows(lines: bytes, columns: Sequence[str], layout: Layout) -> RawRows | None:
    """As csv_rows; None where lines have to be looked at one by one."""
    return _even_rows(unescaped(lines, layout), columns, layout)


def _even_rows(lines: bytes, columns: Sequence[str], layout: Layout) -> RawRows | None:
    if b"\r" in lines:
        lines = lines.replace(b"\r\n", b"\n")
    if b"\r" in lines or b"\0" in lines or not _is_utf8(lines) or not _is_quoted_plainly(lines, layout):
        return None
    fields, wrong = _parsed(lines, columns, layout)
    # Blank lines are passed over, and a quote that is never closed would have swallowed the lines after it.
    if fields.num_rows + len(wrong) != lines.count(b"\n"):
        return None
    line = np.setdiff1d(np.arange(1, fields.num_rows + len(wrong) + 1), list(wrong), assume_unique=True)
    further, numbers = _with_rest(wrong, columns, layout)
    return _with_broken(pa.concat_tables([fields, further]), np.concatenate([line, numbers]), wrong)


def _with_rest(wrong: dict[int, str], columns: Sequence[str], layout: Layout) -> tuple[pa.Table, npt.NDArray[np.int64]]:
    """Records and numbers of the lines whose last column takes the rest; they are wrong no more."""
    mended = {}
    if layout.last_column_takes_rest:
        records_ = {number: _record(text.encode(), layout) for number, text in wrong.items()}
        whole = {number: _fitted(found, len(columns), layout) for number, found in records_.items() if found}
        mended = {number: found for number, found in whole.items() if len(found) == len(columns)}
    for number in mended:
        del wrong[number]
    return _fields(list(mended.values()), columns), np.array(list(mended), dtype=np.int64)


def _fitted(record: list[str], width: int, layout: Layout) -> list[str]:
    """The record, fields beyond the last column joined to it where the mapping says that they are part of it."""
    if not layout.last_column_takes_rest or len(record) <= width:
        return record
    return [*record[: width - 1], layout.sep.join(record[width - 1 :])]


def _is_quoted_plainly(lines: bytes, layout: Layout) -> bool:
    """True if each quote is at an end of its field or beside another: of others each parser makes something else."""
    quote = layout.quote.encode()
    if not quote or quote not in lines:
        return True
    text = np.frombuffer(lines, np.uint8)
    quotes = np.flatnonzero(text == ord(quote))
    ends = np.frombuffer(layout.sep.encode() + b"\n" + quote, np.uint8)
    # The last byte is a line's end.
    return bool((np.isin(text[quotes - 1], ends) | np.isin(text[quotes + 1], ends)).all())


def _rows_with_odd_lines(lines: bytes, columns: Sequence[str], layout: Layout) -> RawRows:
    """As csv_rows, but lines that are not even are taken out first."""
    even, numbers, odd, odd_numbers = [], [], [], []
    broken: dict[int, str] = {}
    quote = layout.quote.encode() or b"\n"  # no line holds one
    every, last = lines.replace(b"\r\n", b"\n").split(b"\n")[:-1], 0
    for number, line in enumerate(every, start=1):
        if number <= last or not line.strip(NOTHING.encode()):
            continue
        if b"\0" not in line and quote not in line and b"\r" not in line and _is_utf8(line):
            even.append(line)
            numbers.append(number)
        elif found := _records_of(line, len(columns), layout):
            odd += found
            odd_numbers += [number] * len(found)
        elif layout.multi_line and layout.quote and (whole := _record_over_lines(every, number, len(columns), layout)):
            record, last = whole
            odd.append(record)
            odd_numbers.append(number)
        else:
            broken[number] = line.decode(errors="replace")
    fields, wrong = _parsed(b"".join(line + b"\n" for line in even), columns, layout)
    too_long = {numbers[n - 1]: text for n, text in wrong.items()}
    numbers = [number for number in numbers if number not in too_long]
    mended, mended_numbers = _with_rest(too_long, columns, layout)
    broken |= too_long
    lines_ = np.concatenate([np.array(numbers + odd_numbers, dtype=np.int64), mended_numbers])
    return _with_broken(pa.concat_tables([fields, _fields(odd, columns), mended]), lines_, broken)


def _records_of(line: bytes, width: int, layout: Layout) -> list[list[str]]:
    """The fields of an odd line; of several lines where it has some that end in CR; none where they make no sense."""
    found = []
    for part in line.split(b"\r"):
        if part.strip() or b"\r" not in line:
            found.append(_record(part, layout) if b"\0" not in part else None)
    found = [record and _fitted(record, width, layout) for record in found]
    return [record for record in found if record] if all(record and len(record) == width for record in found) else []


def _record_over_lines(lines: Sequence[bytes], number: int, width: int, layout: Layout) -> tuple[list[str], int] | None:
    """The fields of a record that begins on line `number`, and its last line; None where no quote goes on that far."""
    quote = layout.quote.encode()
    quotes, end = lines[number - 1].count(quote), number
    while quotes % 2 and end < min(number + _MOST_LINES, len(lines)):
        quotes += lines[end].count(quote)
        end += 1
    text = b"\n".join(lines[number - 1 : end])
    record = _record(text, layout) if end > number and quotes % 2 == 0 and b"\0" not in text else None
    return (record, end) if record and len(record) == width else None


def _fields(rows: Sequence[Sequence[str]], columns: Sequence[str]) -> pa.Table:
    """Records, each with a field for every column, as a table."""
    texts = zip(*rows, strict=True) if rows else [()] * len(columns)
    return pa.table([encoded(pa.array(values, pa.string())) for values in texts], list(columns))


def _is_utf8(text: bytes) -> bool:
    try:
        return text.isascii() or text.decode() is not None
    except UnicodeDecodeError:
        return False


def _record(line: bytes, layout: Layout) -> list[str] | None:
    """The fields of one line; None where it cannot be parsed."""
    try:
        return next(records([line.decode()], layout), None)
    except (csv.Error, UnicodeDecodeError):
        return None


def _parsed(lines: bytes, columns: Sequence[str], layout: Layout) -> tuple[pa.Table, dict[int, str]]:
    """Fields of the lines, and the lines with another number of fields by their number."""
    wrong: dict[int, str] = {}
    if not lines:
        return pa.table({name: pa.array([], TEXT) for name in columns}), wrong

    def note(row: pa_csv.InvalidRow) -> str:
        wrong[row.number] = row.text
        return "skip"

    quote = layout.quote if layout.quote and layout.quote.encode() in lines else False
    fields = pa_csv.read_csv(
        pa.BufferReader(lines),
        read_options=pa_csv.ReadOptions(column_names=list(columns), use_threads=False, block_size=len(lines) + 1),
        parse_options=pa_csv.ParseOptions(delimiter=layout.sep, quote_char=quote, invalid_row_handler=note),
        convert_options=pa_csv.ConvertOptions(column_types=dict.fromkeys(columns, TEXT)),
    )
    return pa.table([encoded(column.combine_chunks()) for column in fields.columns], list(columns)), wrong


def _with_broken(fields: pa.Table, line: npt.NDArray[np.int64], broken: dict[int, str]) -> RawRows:
    """Adds the broken lines, by number, but for those with nothing in them."""
    broken = {number: text for number, text in broken.items() if text.strip(NOTHING)}
    nothing = pa.table({name: pa.nulls(len(broken), TEXT) for name in fields.column_names})
    texts = pa.concat_arrays([pa.nulls(len(line), pa.string()), pa.array(broken.values(), pa.string())])
    return RawRows(_one_chunk([fields, nothing]), np.concatenate([line, np.array(list(broken), dtype=np.int64)]), texts)


def _one_chunk(tables: list[pa.Table]) -> pa.Table:
    table = pa.concat_tables([table for table in tables if table.num_rows] or tables[:1])
    is_one = all(column.num_chunks == 1 for column in table.columns)
    return table if is_one else table.unify_dictionaries().combine_chunks()


def without_unnamed(rows: RawRows, count: int, sep: str) -> RawRows:
    """The rows without their last columns, which have no name; a row with a value there is a broken line."""
    if not count:
        return rows
    named = rows.fields.column_names[:-count]
    has_value = np.zeros(len(rows), bool)
    for column in rows.fields.column_names[-count:]:
        text = rows.text(column)
        is_blank = pc.equal(pc.utf8_trim_whitespace(text.dictionary), "")
        has_value |= pc.invert(is_blank.take(text.indices)).fill_null(False).to_numpy(zero_copy_only=False)
    fields = rows.fields.select(named)
    if not has_value.any():
        return RawRows(fields, rows.line, rows.broken)
    records = rows.fields.filter(pa.array(has_value)).to_pylist()
    came = {
        rows.line[n]: sep.join(text or "" for text in record.values())
        for n, record in zip(np.flatnonzero(has_value), records, strict=True)
    }
    kept = pa.array(~has_value)
    others = RawRows(fields.filter(kept).combine_chunks(), rows.line[~has_value], rows.broken.filter(kept))
    broken = _with_broken(fields.slice(0, 0), np.array([], np.int64), came)
    return RawRows(
        _one_chunk([others.fields, broken.fields]),
        np.concatenate([others.line, broken.line]),
        pa.concat_arrays([others.broken, broken.broken]),
    )


def record_batches(path: str, columns: Sequence[str], layout: Layout) -> Iterator[RawRows]:
    """All rows of a file whose quoted fields may hold line breaks, read record by record.

    Raises JobError on a quote that is never closed and on text that is not in the file's encoding.
    """
    found = _numbered_records(path, layout)
    while chunk := list(islice(found, _RECORDS_PER_BATCH)):
        chunk = [(line, _fitted(record, len(columns), layout)) for line, record in chunk]
        whole = [
            (line, record) for line, record in chunk if len(record) == len(columns) and "\0" not in "".join(record)
        ]
        lines = {line for line, _ in whole}
        broken = {line: layout.sep.join(record) for line, record in chunk if line not in lines}
        fields = _fields([record for _, record in whole], columns)
        yield _with_broken(fields, np.array([line for line, _ in whole], dtype=np.int64), broken)


def _numbered_records(path: str, layout: Layout) -> Iterator[tuple[int, list[str]]]:
    """(first line, fields) of each record after the header."""
    last = 0
    try:
        with open_text(path, layout) as text:
            reader = records(text, layout)
            for record in reader:
                start, last = last + 1, reader.line_num
                if start > 1 and (len(record) > 1 or "".join(record).strip(NOTHING)):
                    yield start, record
    except (csv.Error, UnicodeDecodeError) as error:
        if isinstance(error, UnicodeDecodeError):
            raise not_text(path, layout) from None
        advice = "correct the file"
        if not layout.escape:
            advice += ", or give escape = '\\' in the mapping if quotes are escaped by a backslash"
        raise JobError(f"{path}: cannot be read after line {last} ({error}); {advice}") from None
