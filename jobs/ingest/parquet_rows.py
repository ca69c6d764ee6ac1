"""Row groups of a Parquet file as raw rows: of each column that the mapping names the values as text."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jobs.ingest.layout import Layout, opened
from jobs.ingest.raw_rows import TEXT, RawRows, encoded
from jobs.platform.errors import JobError

#: Floats of 64 and of fewer bits count on by ones up to here.
_MAX_WHOLE, _MAX_WHOLE_SINGLE = 2.0**53, 2.0**24


def column_place(names: Sequence[str], column: str) -> int | None:
    """Which of a file's columns is meant: that of the name, or else the only one that has it in other case."""
    if column in names:
        return names.index(column)
    alike = [place for place, name in enumerate(names) if name.strip().casefold() == column.strip().casefold()]
    return alike[0] if len(alike) == 1 else None


def parquet_file(path: str) -> pq.ParquetFile:
    """The file, its footer read. Raises JobError where it has none."""
    try:
        return pq.ParquetFile(opened(path))
    except (pa.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise JobError(f"{path}: not a whole Parquet file ({reason}); deliver the file again") from None


def column_names(file: pq.ParquetFile) -> list[str]:
    """The file's columns; those within another are named as Spark names them: customer.id."""
    return _flat(file.schema_arrow.empty_table()).column_names


def mapped_columns(path: str, file: pq.ParquetFile, wanted: Sequence[str], layout: Layout) -> tuple[str, ...]:
    """Those of the wanted columns that the file has, in its order.

    Raises JobError where one holds lists or the like, but for lists of ids where the layout has them.
    """
    schema = _flat(file.schema_arrow.empty_table()).schema
    places = {place: column for column in wanted if (place := column_place(schema.names, column)) is not None}
    keys = dict(layout.lists)
    for place, column in places.items():
        kind = schema.field(place).type
        if pa.types.is_nested(kind) and not (column in keys and _are_ids(kind, keys[column])):
            advice = " or a key in it" if column in keys else ""
            raise JobError(f"{path}: column {column} is of type {kind}; name a column of single values{advice}")
        if pa.types.is_timestamp(kind) and kind.tz and not keys:
            logging.info(
                "%s: %s is taken as days of %s (timeZone of the mapping)", path, column, layout.time_zone or kind.tz
            )
    return tuple(places[place] for place in sorted(places))


def _are_ids(kind: pa.DataType, key: str | None) -> bool:
    """Whether it is a list of single values, or of objects with a single value under the key."""
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        return False
    of = kind.value_type
    if pa.types.is_struct(of) and of.get_field_index(key or "") >= 0:
        of = of.field(key).type
    return not pa.types.is_nested(of)


def _flat(table: pa.Table) -> pa.Table:
    """The columns within columns as columns."""
    while any(pa.types.is_struct(field.type) for field in table.schema):
        table = table.flatten()
    return table


def parquet_rows(path: str, group: int, first: int, columns: Sequence[str], time_zone: str | None) -> RawRows:
    """The rows of a row group, the first of which is row number `first`.

    Args:
        path: the file.
        group: number of the row group.
        first: number of its first row in the file.
        columns: those to read, by the names that the mapping gives them.
        time_zone: whose day a moment is taken as; None: that of the column, UTC where it has none.
    """
    table = row_group(path, group, columns)
    texts = []
    for column, values in zip(columns, table.columns, strict=True):
        try:
            texts.append(encoded(_as_text(values, time_zone)))
            texts[-1].dictionary.validate(full=True)  # UTF-8
        except pa.ArrowException as error:
            raise _no_text(path, column, values.type, error) from None
    line = np.arange(table.num_rows) + first
    return RawRows(pa.table(texts, list(columns)), line, pa.nulls(table.num_rows, pa.string()))


def _no_text(path: str, column: str, kind: pa.DataType, error: Exception) -> JobError:
    return JobError(f"{path}: column {column} is no text ({kind}: {error}); deliver it as text")


def plain_columns(path: str, table: pa.Table) -> pa.Table:
    """The table without bytes, with floats as text and moments in UTC: Polars takes no zone such as +05:30.

    Raises JobError where a text is not UTF-8.
    """
    columns = []
    for name, values in zip(table.column_names, table.columns, strict=True):
        try:
            if pa.types.is_binary(values.type) or pa.types.is_large_binary(values.type):
                values = values.cast(pa.large_string())
            elif pa.types.is_timestamp(values.type) and values.type.tz:
                values = values.cast(pa.timestamp(values.type.unit, "UTC"))
            values.validate(full=True)
            columns.append(numbers_as_text(values.combine_chunks()) if pa.types.is_floating(values.type) else values)
        except pa.ArrowException as error:
            raise _no_text(path, name, values.type, error) from None
    return pa.table(columns, table.column_names)


def row_group(path: str, group: int, columns: Sequence[str]) -> pa.Table:
    """These columns of a row group, in their order, with the file's types. Raises JobError where it is damaged."""
    file = parquet_file(path)
    names = column_names(file)
    wanted = [names[place] for column in columns if (place := column_place(names, column)) is not None]
    try:
        return _flat(file.read_row_group(group, columns=wanted)).select(wanted).rename_columns(list(columns))
    except (pa.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise JobError(f"{path}: damaged in row group {group + 1} ({reason}); deliver the file again") from None


def _as_text(column: pa.ChunkedArray, time_zone: str | None) -> pa.Array:
    """Values as text: of a moment the day, of a whole float a whole number, of not-a-number none."""
    kind = column.type
    if pa.types.is_dictionary(kind) and not pa.types.is_string(kind.value_type):
        return _as_text(column.cast(kind.value_type), time_zone)
    if pa.types.is_timestamp(kind):
        if kind.tz:
            column = pc.local_timestamp(column.cast(pa.timestamp(kind.unit, time_zone or kind.tz)))
        column = pc.floor_temporal(column, unit="day").cast(pa.date32())
    elif pa.types.is_floating(kind):
        return numbers_as_text(column.combine_chunks())
    return column.cast(TEXT if pa.types.is_dictionary(kind) else pa.string()).combine_chunks()


def numbers_as_text(numbers: pa.Array) -> pa.Array:
    """Floats as text. Whole ones that may have been rounded have an exponent, others none."""
    limit = _MAX_WHOLE if pa.types.is_float64(numbers.type) else _MAX_WHOLE_SINGLE
    numbers = pc.if_else(pc.is_nan(numbers), None, numbers)
    is_whole = pc.and_(pc.equal(pc.floor(numbers), numbers), pc.less(pc.abs(numbers), limit))
    wholes = pc.if_else(is_whole, numbers, None).cast(pa.int64()).cast(pa.string())
    others = numbers.cast(pa.string())
    rounded = pc.and_(pc.greater_equal(pc.abs(numbers), limit), pc.is_finite(numbers))
    exact = pc.invert(pc.match_substring(others, "e"))
    return pc.coalesce(
        wholes, pc.if_else(pc.and_(rounded, exact), pc.binary_join_element_wise(others, "e+0", ""), others)
    )
