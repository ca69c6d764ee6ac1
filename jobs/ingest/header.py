"""The columns of a delivered file, as far as the mapping names them by its own names."""

from __future__ import annotations

import csv
import difflib
import json
from collections.abc import Mapping, Sequence
from itertools import product

from jobs.ingest.layout import NOTHING, Layout, not_text, open_leniently, records
from jobs.ingest.parquet_rows import column_names, column_place, mapped_columns, parquet_file
from jobs.platform.errors import JobError

_SEPARATORS = (",", ";", "\t", "|")


class NoRowsError(JobError):
    """A file with nothing in it: among the files of a folder there may be some."""


def columns_of(path: str, layout: Layout, required: Mapping[str, str], table: str) -> tuple[tuple[str, ...], int]:
    """The file's columns, and how many without a name come after them.

    Names are compared without blanks around them, and in any case where only one column is meant.

    Args:
        path: the file.
        layout: how it is read.
        required: columns that the mapping names -> the part that each plays.
        table: the table it is for.

    Raises:
        JobError: a column is missing or there twice, or there are no rows.
    """
    if layout.is_parquet:
        file = parquet_file(path)
        if file.metadata.num_rows == 0:
            raise NoRowsError(f"{path}: no rows; deliver the file again")
        _require(path, _as_mapped(column_names(file), required), required, table, layout)
        return mapped_columns(path, file, list(required), layout), 0
    if layout.is_json:  # fields that a line lacks are empty
        for outer, inner in product(required, required):
            if inner.startswith(f"{outer}."):
                raise JobError(f"{path}: the mapping names {inner} and {outer}, which it is in; name fields in {outer}")
        if odd := [column for column in required if "" in column.split(".")]:
            raise JobError(f"{path}: the mapping names {odd[0]!r}, which is no field; names within names have one dot")
        return tuple(required), 0
    header = _csv_header(path, layout)
    unnamed = len(header) - max((place + 1 for place, name in enumerate(header) if name), default=0)
    names = _as_mapped(header[: len(header) - unnamed], required)
    _require(path, names, required, table, layout)
    return tuple(_all_different(names)), unnamed


def _csv_header(path: str, layout: Layout) -> list[str]:
    try:
        with open_leniently(path, layout) as lines:
            header: list[str] = next(records(lines, layout), [])
            has_rows = any(line.strip(NOTHING) for line in lines)
    except csv.Error as error:
        raise JobError(f"{path}: its header cannot be read ({error}); correct the file") from None
    if "\udcff" in "".join(header):
        raise not_text(path, layout)
    if not has_rows:
        raise NoRowsError(f"{path}: a header and no rows; deliver the file again")
    return [name.strip() for name in header]


def _as_mapped(names: Sequence[str], required: Mapping[str, str]) -> list[str]:
    """The names as the mapping writes them, where it means them."""
    places = {column_place(list(names), column): column for column in required}
    return [places.get(place, name) for place, name in enumerate(names)]


def _all_different(names: Sequence[str]) -> list[str]:
    """Unmapped columns may have no name, or a name that occurs twice."""
    return [f"column {n + 1}" if not name or name in names[:n] else name for n, name in enumerate(names)]


def _require(path: str, found: Sequence[str], required: Mapping[str, str], table: str, layout: Layout) -> None:
    if twice := sorted({column for column in found if found.count(column) > 1 and column in required}):
        raise JobError(f"{path}: column {', '.join(twice)} appears twice in the header; leave one")
    missing = [column for column in required if column not in found]
    if not missing:
        return
    if sep := _likelier_separator(found, required, layout):
        raise JobError(f"{path}: its header is separated by another mark; give sep = {json.dumps(sep)} in the mapping")
    said = []
    for column in missing:
        close = difflib.get_close_matches(column.lower(), [name.lower() for name in found], n=1)
        renamed = [name for name in found if name.lower() in close and name not in required]
        said.append(f"{column} ({required[column]} in {table}{f'; renamed to {renamed[0]}?' if renamed else ''})")
    advice = "correct the header or the mapping"
    if len(missing) == len(required):
        advice += "; the first line must name the columns"
    raise JobError(f"{path}: column missing: {', '.join(said)}; found {', '.join(found)}; {advice}")


def _likelier_separator(found: Sequence[str], required: Mapping[str, str], layout: Layout) -> str | None:
    """By which the header has most of the columns that are required."""
    if layout.is_parquet:
        return None
    header = layout.sep.join(found)
    counts = {
        sep: sum(name.strip(' "') in required for name in header.split(sep)) for sep in (layout.sep, *_SEPARATORS)
    }
    best = max(counts, key=lambda sep: counts[sep])
    return best if counts[best] > counts[layout.sep] and counts[best] > len(required) / 2 else None
