"""Blocks of a log's files as frames: a row an event, fields as they came, each with the line that it is from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa

from jobs.ingest.parquet_rows import plain_columns, row_group
from jobs.ingest.reading import Block

#: Columns beside the log's own: where the row is from, and the whole line where it cannot be read.
LINE, BROKEN = "source line", "broken line"
_MARK = b"\xef\xbb\xbf"


def frames(block: Block, records: str | None) -> Iterator[pl.DataFrame]:
    """The block's rows in pieces that fit in memory: the columns that the mapping names, LINE and BROKEN.

    Args:
        block: of a file.
        records: the field with a list of events, if the log has one.
    """
    of_folders = [pl.lit(text).alias(name) for name, text in block.part.partition]
    return (frame.with_columns(of_folders) for frame in _frames(block, records))


def _frames(block: Block, records: str | None) -> Iterator[pl.DataFrame]:
    part = block.part
    if part.is_parquet:
        table = plain_columns(part.path, row_group(part.path, block.number, part.columns))
        frame = pl.DataFrame(pl.from_arrow(table))
        first = part.lines_before[block.number] + block.lines + 1
        yield _with_lines(frame, np.arange(len(frame)) + first, None)
    elif part.layout.is_json:
        for text, first in block.lines_of_text():
            if text:
                yield json_frame(text, first, part.columns, records)
    else:
        for rows in block.read():
            fields = pl.DataFrame(pl.from_arrow(rows.fields)).cast(pl.String)
            yield _with_lines(fields, rows.line, pl.Series(pl.from_arrow(rows.broken), dtype=pl.String))


def _with_lines(frame: pl.DataFrame, lines: np.ndarray, broken: pl.Series | None) -> pl.DataFrame:
    no_line = pl.lit(None, pl.String) if broken is None else broken
    return frame.with_columns(pl.Series(LINE, lines, pl.Int64), no_line.alias(BROKEN))


def json_frame(text: bytes, first: int, columns: tuple[str, ...], records: str | None) -> pl.DataFrame:
    """Lines with a JSON object each as a frame; fields that are no text are their JSON.

    Args:
        text: whole lines; blank ones are no rows.
        first: the number of the first line.
        columns: fields; those within others have dots in their names.
        records: the field with a list, of which each item is a row.
    """
    lines, is_text = _lines(text)
    shape = _literal(json.dumps(_shape(columns, records)))
    is_object = "is_text AND starts_with(ltrim(line), '{')"
    if _holds(text, rb"\u0000"):  # a character that no table and no tool beside it expects in a text
        is_object += r" AND NOT contains(line, '\u0000')"
    with duckdb.connect() as database:
        database.execute("SET threads = 1")  # a task has one core
        database.register("lines", pa.table({"line": lines, "is_text": is_text, LINE: np.arange(len(lines)) + first}))
        # from_json raises on what is no JSON; within try() the line's neighbours would then be done one by one.
        parsed = f"CASE WHEN {is_object} AND json_valid(line) THEN from_json(line, {shape}) END AS o"
        rows = f'SELECT "{LINE}", line, {parsed} FROM lines'  # noqa: S608 the shape is quoted
        unread = f'o."{records}" IS NULL' if records else "o IS NULL"
        query = f'SELECT "{LINE}", o, CASE WHEN {unread} THEN line END AS line FROM ({rows})'  # noqa: S608
        found = pl.DataFrame(pl.from_arrow(database.sql(query).to_arrow_table()))
    is_read = pl.col("line").is_null()
    good, bad = found.filter(is_read), found.filter(~is_read & (pl.col("line").str.strip_chars() != ""))
    if records:
        good = good.with_columns(r=pl.col("o").struct.field(records)).explode("r").filter(pl.col("r").is_not_null())
    good = good.select(LINE, *(_field(column, records).alias(column) for column in columns))
    return pl.concat([good, bad.select(LINE, pl.col("line").alias(BROKEN))], how="diagonal")


def _field(column: str, records: str | None) -> pl.Expr:
    """The value of a field of the object `o`, or of a record `r`."""
    first, *rest = column.split(".")
    value, steps = (pl.col("r"), rest) if first == records else (pl.col("o"), [first, *rest])
    for step in steps:
        value = value.struct.field(step)
    return value


def _lines(text: bytes) -> tuple[pa.Array, np.ndarray]:
    """The lines, and whether each is UTF-8."""
    text = text[len(_MARK) :] if text.startswith(_MARK) else text
    if _holds(text, _MARK):  # of files that were joined
        text = text.replace(b"\n" + _MARK, b"\n")
    ends = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n")).astype(np.int32) + 1
    offsets = np.concatenate([np.zeros(1, np.int32), ends])
    found = pa.Array.from_buffers(pa.binary(), len(ends), [None, pa.py_buffer(offsets), pa.py_buffer(text)])
    try:
        return found.cast(pa.string()), np.ones(len(ends), bool)
    except pa.ArrowInvalid:
        lines: list[bytes] = found.to_pylist()
        texts = [line.decode("utf-8", "replace") for line in lines]
        return pa.array(texts), np.array([text.encode() == line for text, line in zip(texts, lines, strict=True)])


def _holds(text: bytes, part: bytes) -> bool:
    """Whether the part occurs. Most texts lack even its first byte, which takes a tenth of the time to find out."""
    return part[:1] in text and part in text


@lru_cache
def _shape(columns: tuple[str, ...], records: str | None) -> Any:
    """The fields in the form that DuckDB's from_json takes."""
    shape: dict[str, Any] = {}
    for column in columns:
        within = shape
        *path, last = column.split(".")
        for step in path:
            within = within.setdefault(step, {})
        within[last] = "VARCHAR"
    return {name: [inner] if name == records else inner for name, inner in shape.items()}


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
