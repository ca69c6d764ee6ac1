"""From text to types at the door: each silver column's values, and what is wrong with the row if it has none.

Fields arrive dictionary-encoded, so that every different text is parsed once, by plain Python that says exactly what a
value may look like, however many rows it is in.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from expectations.contract import Column
from jobs.ingest.dates import day_parser
from jobs.ingest.file_format import FileFormat
from jobs.ingest.mapping import FILLED, ColumnSource, TableMapping
from jobs.ingest.raw_rows import RawRows
from jobs.ingest.values import emptied, is_rounded, number_parser, plain_ids, unwrapped, whole_parser, yes_or_no
from jobs.platform.schemas import arrow_type

Mask = npt.NDArray[np.bool_]

_FIRST_NUMBER = re.compile("[0-9]+")
#: A number, but for marks and signs that the mapping does not name.
_MARKED = r"^[^0-9]{0,4}[0-9][0-9.,\s\x{A0}\x{202F}'\x{2019}]*[^0-9]{0,4}$"
#: Columns that hold ids, whichever table's.
IDS = ("article_id", "customer_id")
#: How the mapping writes its constants.
_AS_PYTHON = FileFormat()


class Verdicts:
    """On each row the first refusal, why it cannot be used, and the first remark, what was left empty in it."""

    def __init__(self, rows: int) -> None:
        self._refusal, self._remark = np.zeros(rows, np.int16), np.zeros(rows, np.int16)
        self._texts = [""]

    def refuse(self, where: Mask, text: str) -> None:
        self._note(self._refusal, where, text)

    def remark(self, where: Mask, text: str) -> None:
        self._note(self._remark, where, text)

    def _note(self, notes: npt.NDArray[np.int16], where: Mask, text: str) -> None:
        if where.any():
            self._texts.append(text)
            notes[where & (notes == 0)] = len(self._texts) - 1

    @property
    def is_refused(self) -> Mask:
        return self._refusal > 0

    @property
    def is_bad(self) -> Mask:
        """Refused, or with a remark."""
        return (self._refusal > 0) | (self._remark > 0)

    def reasons(self, rows: npt.NDArray[np.int64]) -> list[str]:
        """The verdict on each of these bad rows, in words."""
        codes = np.where(self._refusal > 0, self._refusal, self._remark)[rows]
        return [self._texts[code] for code in codes]


@dataclass(frozen=True)
class TypedRows:
    """Raw rows with the values of their table's columns, and the verdicts on them."""

    raw: RawRows
    columns: dict[str, pa.Array]
    verdicts: Verdicts

    def with_column(self, name: str, values: pa.Array) -> TypedRows:
        """The rows with other values in a column, or with a further one."""
        return replace(self, columns=self.columns | {name: values})

    def good(self) -> npt.NDArray[np.int64]:
        """Positions of the rows that can be used."""
        return np.flatnonzero(~self.verdicts.is_refused)

    def bad(self) -> pa.Table:
        """source_line, reason and raw_row (the row as it came, as JSON) of every row with a verdict."""
        rows = np.flatnonzero(self.verdicts.is_bad)
        fields = self.raw.fields.take(rows).to_pylist()
        broken = self.raw.broken.take(rows).to_pylist()
        came = [record if line is None else {"line": line} for record, line in zip(fields, broken, strict=True)]
        return pa.table(
            {
                "source_line": self.raw.line[rows],
                "reason": self.verdicts.reasons(rows),
                "raw_row": [json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in came],
            },
            schema=pa.schema({"source_line": pa.int64(), "reason": pa.string(), "raw_row": pa.string()}),
        )


def typed(raw: RawRows, table: TableMapping, id_pattern: str | None = None, id_width: int | None = None) -> TypedRows:
    """The columns of the table's contract from raw rows, and a verdict on each row.

    A column the mapping does not give is null, or false if it is a yes-or-no.

    Args:
        raw: rows of one file.
        table: where the values of each column come from.
        id_pattern: regular expression that whole ids of the table's key match.
        id_width: how many digits those have that are digits alone.
    """
    rows = TypedRows(raw, {}, Verdicts(len(raw)))
    rows.verdicts.refuse(mask(raw.broken.is_valid()), f"broken line: not {raw.fields.num_columns} fields of UTF-8 text")
    for column in table.contract.columns:
        if column.name in FILLED:
            continue
        if (source := table.columns.get(column.name)) is None:
            missing = pa.nulls(len(raw), arrow_type(column))
            rows.columns[column.name] = missing.fill_null(False) if column.type == "boolean" else missing
            continue
        is_key = (column.name,) == table.contract.key
        text, said = _text(raw, source), table if source.column else _AS_PYTHON
        if column.type != "string" or column.name in IDS or table.null_value is not None:
            text = emptied(text, table)
        if is_key:
            text = plain_ids(text, id_width)
        _add(rows, column, text, said, (id_pattern or "") if is_key else None)
    return rows


def _add(rows: TypedRows, column: Column, text: pa.DictionaryArray, said: FileFormat, pattern: str | None) -> None:
    """The column's values from its texts, and the verdicts on them."""
    verdicts = rows.verdicts
    values = text if column.type == "string" else by_text(text, _parser(column, said), arrow_type(column))
    rows.columns[column.name] = values.fill_null(False) if column.type == "boolean" else values
    is_empty, is_unreadable = mask(text.is_null()), mask(values.is_null()) & ~mask(text.is_null())
    if column.nullable or column.type == "boolean":
        verdicts.remark(is_unreadable, f"{column.name} unreadable, left empty")
        return
    verdicts.refuse(is_empty, f"{column.name} is empty")
    if column.type == "double" and is_unreadable.any():
        marks = f"decimal = {said.decimal!r}, thousands = {said.thousands!r}, currency = {said.currency!r}"
        verdicts.refuse(is_unreadable & is_matching(text, _MARKED), f"{column.name} is not a number with {marks}")
    if column.type != "string":
        kinds = {
            "date": f"a date {said.date_format} (dateFormat of the mapping)",
            "int": "a whole number",
            "double": "a finite number",
        }
        verdicts.refuse(is_unreadable, f"{column.name} is not {kinds[column.type]}")
    if pattern is not None:
        refuse_ids(verdicts, column.name, text, ~is_empty, pattern)


def refuse_ids(verdicts: Verdicts, column: str, ids: pa.DictionaryArray, where: Mask, pattern: str | None) -> None:
    """Refuse ids that lost digits, and those that the pattern does not match."""
    verdicts.refuse(where & is_rounded(ids), f"{column} is a rounded number: deliver it as text")
    if not pattern:
        return
    if (wrong := where & ~is_matching(ids, pattern)).any():
        if width := _lost_width(ids, wrong, pattern):
            short = is_matching(ids, rf"[0-9]{{1,{width - 1}}}")
            verdicts.refuse(wrong & short, f"{column} lost zeros at its front: give id_width = {width} in the mapping")
        verdicts.refuse(wrong, malformed(column))


def _lost_width(ids: pa.DictionaryArray, wrong: Mask, pattern: str) -> int | None:
    """How wide a number among the wrong ids has to be for the pattern to match it; None if it never does."""
    texts = ids.filter(pa.array(wrong)).unique().dictionary_decode().slice(0, 1_000).to_pylist()
    numbers = (text for text in texts if text and text.isascii() and text.isdigit())
    widths = (
        w for text in islice(numbers, 10) for w in range(len(text) + 1, 33) if re.fullmatch(pattern, text.zfill(w))
    )
    return next(widths, None)


def by_text(text: pa.DictionaryArray, parse: Callable[[str], Any], type_: pa.DataType) -> pa.Array:
    """`parse` of every text, of each different one once; null where that is None or there is no text."""
    return pa.array([parse(found) for found in text.dictionary.to_pylist()], type_).take(text.indices)


def is_matching(text: pa.DictionaryArray, pattern: str) -> Mask:
    """True where the whole text matches; a bare `$` would let a line break pass."""
    matches = pc.match_substring_regex(text.dictionary, rf"\A(?:{pattern})\z")
    return mask(matches.take(text.indices).fill_null(False))


def mask(values: pa.Array) -> Mask:
    """A boolean array without nulls in numpy."""
    return values.to_numpy(zero_copy_only=False)


def malformed(column: str) -> str:
    """The reason why a row with such an id is refused."""
    return f"{column} is malformed"


def _parser(column: Column, said: FileFormat) -> Callable[[str], Any]:
    """Text to a value of the column's type, None where it is no such value or, if the column is optional, outside its
    limits: outside those of a required column it stays, for the contract's check to stop at."""
    make = {"date": _day_parser, "int": whole_parser, "double": number_parser, "boolean": lambda _: yes_or_no}
    parse = make[column.type](said)
    low = -math.inf if column.minimum is None else column.minimum
    high = math.inf if column.maximum is None else column.maximum
    if not column.nullable or (low, high) == (-math.inf, math.inf):
        return parse
    return lambda text: value if (value := parse(text)) is not None and low <= value <= high else None  # type: ignore[operator]


def _day_parser(said: FileFormat) -> Callable[[str], date | None]:
    """What reads a day as the mapping writes it, or as Parquet's own dates come (2020-09-23)."""
    as_said, iso = day_parser(said.date_format, said.time_zone), day_parser("yyyy-MM-dd", None)
    return lambda text: as_said(plain) or iso(plain) if (plain := unwrapped(text)) else None


def _text(raw: RawRows, source: ColumnSource) -> pa.DictionaryArray:
    if source.column is None:
        indices = pa.array(np.zeros(len(raw), np.int32), mask=mask(raw.broken.is_valid()))
        return pa.DictionaryArray.from_arrays(indices, pa.array([str(source.constant)]))
    text = raw.text(source.column)
    if not source.first_number:
        return text
    # Text without a number stays as it is, and is then unreadable.
    found = [(_FIRST_NUMBER.search(value), value) for value in text.dictionary.to_pylist()]
    numbers = pa.array([match[0] if match else value for match, value in found], pa.string())
    return numbers.take(text.indices).dictionary_encode()
