"""From text to types at the door: each silver column's value, and what is wrong with the row if it has none."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DateType, StructType, TimestampNTZType, TimestampType

from expectations.contract import Column as ContractColumn
from jobs.ingest.mapping import FILLED, ColumnSource, TableMapping

# Spark's own cast also takes "1.5d", "NaN" and "Infinity".
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_WHOLE = r"^[+-]?\d+(\.0*)?$"
_KINDS = {"date": "a date YYYY-MM-DD", "int": "a whole number", "double": "a finite number"}
#: What every judged row carries beside its silver columns.
ORIGIN = ("source_file", "source_checksum", "source_line", "raw", "broken_line")


def typed_rows(
    rows: DataFrame, table: TableMapping, id_patterns: Mapping[str, str | None] = MappingProxyType({})
) -> DataFrame:
    """Raw rows (jobs.ingest.reading) as typed columns of the table's contract, and a verdict on each.

    Beside the silver columns and ORIGIN there are two texts, null where nothing is wrong: `refusal`, why the row
    cannot be used, and `remark`, which optional value could not be read and was left empty. A column the mapping does
    not give is null, or false if it is a yes-or-no.

    Args:
        rows: raw rows of files of one layout.
        table: where the values of each column come from.
        id_patterns: regular expressions that whole ids match.
    """
    columns = [column for column in table.contract.columns if column.name not in FILLED]
    given = [column for column in columns if column.name in table.columns]
    # Texts, values and verdicts in three steps: written as one, each verdict would repeat its whole computation.
    texts = rows.select(*ORIGIN, *[_text(rows, table.columns[c.name]).alias(_text_of(c)) for c in given])
    typed = texts.select("*", *[_value(c, F.col(_text_of(c))).alias(c.name) for c in given])
    broken = f"broken line: not {len(_raw_type(rows).names)} fields of UTF-8 text"
    refusals = [F.when(F.col("broken_line").isNotNull(), broken)]
    remarks = [F.lit(None).cast("string")]
    for column in given:
        if _is_optional(column):
            remarks += _remarks(column)
        else:
            refusals += _refusals(column, id_patterns.get(column.name))
    return typed.select(
        *[_published(column, column in given).alias(column.name) for column in columns],
        *ORIGIN,
        F.coalesce(*refusals).alias("refusal"),
        F.coalesce(*remarks).alias("remark"),
    )


def number(text: Column) -> Column:
    """The text as a finite double, else null."""
    value = F.when(_is_plain(text) | text.rlike(_NUMBER), text.try_cast("double"))
    return F.when(F.abs(value) < float("inf"), value)


def whole(text: Column) -> Column:
    """The text as an int, else null; "253.0" is 253."""
    written_otherwise = F.when(text.rlike(_WHOLE), text.try_cast("double").try_cast("int"))
    return F.coalesce(F.when(_is_plain(text), text.try_cast("int")), written_otherwise)


def _is_plain(text: Column) -> Column:
    """True for what a cast reads as `_NUMBER` would; saves the slower expression on nearly every row."""
    first, last = F.substring(text, 1, 1), F.substring(text, -1, 1)
    is_hexadecimal = F.contains(text, F.lit("x")) | F.contains(text, F.lit("X"))
    return first.between("0", "9") & last.between("0", "9") & ~is_hexadecimal


def raw_text(rows: DataFrame, column: str) -> Column:
    """A column of the file as text, null where empty; of a timestamp the day (UTC where it has a time zone)."""
    value = F.col("raw")[column]
    if isinstance(_raw_type(rows)[column].dataType, DateType | TimestampType | TimestampNTZType):
        value = value.cast("date")
    return F.nullif(value.cast("string"), F.lit(""))


def matches(value: Column, pattern: str) -> Column:
    """True where the whole value matches; a bare `$` would let a line break pass."""
    return value.rlike(rf"\A(?:{pattern})\z")


def malformed(column: str) -> str:
    """The reason why a row with such an id is refused."""
    return f"{column} is malformed"


def _raw_type(rows: DataFrame) -> StructType:
    raw = rows.schema["raw"].dataType
    assert isinstance(raw, StructType)
    return raw


def _text(rows: DataFrame, source: ColumnSource) -> Column:
    if source.column is None:
        return F.lit(str(source.constant))
    text = raw_text(rows, source.column)
    if source.first_number:
        # Text without a number stays as it is, and is then unreadable.
        return F.coalesce(F.nullif(F.regexp_extract(text, r"\d+", 0), F.lit("")), text)
    return text


def _text_of(column: ContractColumn) -> str:
    return f"{column.name}_as_text"


def _is_optional(column: ContractColumn) -> bool:
    return column.nullable or column.type == "boolean"


def _published(column: ContractColumn, is_given: bool) -> Column:
    value = F.col(column.name) if is_given else F.lit(None).cast(column.type)
    return F.coalesce(value, F.lit(False)) if column.type == "boolean" else value


def _value(column: ContractColumn, text: Column) -> Column:
    match column.type:
        case "date":
            day = text.try_cast("date")
            value = F.when(day.cast("string") == text, day)  # Spark's cast also takes "2018-9-1" and "2018-09"
        case "int":
            value = whole(text)
        case "double":
            value = number(text)
        case "boolean":
            value = F.when(text.isNull() | text.rlike("(?i)^(0(\\.0*)?|false)$"), False).when(
                text.rlike("(?i)^(1(\\.0*)?|true)$"), True
            )
        case _:
            value = text
    if column.nullable and column.minimum is not None:
        value = F.when(value >= column.minimum, value)
    if column.nullable and column.maximum is not None:
        value = F.when(value <= column.maximum, value)
    return value


def _remarks(column: ContractColumn) -> list[Column]:
    if column.type == "string":
        return []
    is_unreadable = F.col(column.name).isNull() & F.col(_text_of(column)).isNotNull()
    return [F.when(is_unreadable, f"{column.name} unreadable, left empty")]


def _refusals(column: ContractColumn, pattern: str | None) -> list[Column]:
    refusals = [F.when(F.col(_text_of(column)).isNull(), f"{column.name} is empty")]
    if column.type in _KINDS:
        refusals.append(F.when(F.col(column.name).isNull(), f"{column.name} is not {_KINDS[column.type]}"))
    if pattern:
        refusals.append(F.when(~matches(F.col(column.name), pattern), malformed(column.name)))
    return refusals
