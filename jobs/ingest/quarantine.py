"""Rows that cannot be believed: counted, refused or mended, and kept with their reason where people can see them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from expectations.contract import Contract
from expectations.transactions import QUARANTINE
from jobs.ingest.files import SourceFile
from jobs.ingest.typed import TypedRows
from jobs.platform.errors import JobError
from jobs.platform.schemas import arrow_schema

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_SHOWN = 160


class First(NamedTuple):
    """A reason's number of rows, and the first of them."""

    rows: int
    line: int
    raw_row: str


@dataclass
class Findings:
    """What was found in a file, or in a part of one: its number of rows, and of bad rows by reason."""

    file: str
    rows: int = 0
    reasons: dict[str, First] = field(default_factory=dict)

    @property
    def bad(self) -> int:
        return sum(first.rows for first in self.reasons.values())

    def add(self, rows: int, reasons: Mapping[str, First]) -> None:
        """Add those of another part of the file."""
        self.rows += rows
        for reason, other in reasons.items():
            known = self.reasons.get(reason, other)
            first = min(known, other, key=lambda f: f.line)
            total = other.rows + (known.rows if reason in self.reasons else 0)
            self.reasons[reason] = First(total, first.line, first.raw_row)

    def __str__(self) -> str:
        """The reasons in words, the most frequent first."""
        ordered = sorted(self.reasons.items(), key=lambda item: (-item[1].rows, item[0]))
        return "; ".join(
            f"{first.rows:,} x {reason}, first on line {first.line} {first.raw_row}" for reason, first in ordered
        )


def bad_rows(rows: TypedRows, table: Contract, file: SourceFile) -> pa.Table:
    """The rows that have a verdict, as rows of the quarantine."""
    bad = rows.bad()
    same = {"table_name": table.name, "source_file": file.name, "source_checksum": file.checksum}
    for name, value in same.items():
        bad = bad.append_column(name, pa.repeat(value, bad.num_rows))
    return bad.select(QUARANTINE.column_names).cast(arrow_schema(QUARANTINE))


def findings(file: SourceFile, rows: int, bad: pa.Table) -> Findings:
    """What was found in `rows` rows of a file, of which these are bad."""
    found = Findings(file.name)
    first: dict[str, First] = {}
    if bad.num_rows:
        bad = bad.sort_by("source_line")
        for group in bad["reason"].combine_chunks().value_counts():
            row = pc.index(bad["reason"], group["values"]).as_py()
            line, raw_row = (bad[name][row].as_py() for name in ("source_line", "raw_row"))
            first[group["values"].as_py()] = First(group["counts"].as_py(), line, raw_row[:_SHOWN])
    found.add(rows, first)
    return found


def findings_of_files(rows_read: Mapping[str, int], refused: DataFrame | None) -> list[Findings]:
    """What was found in each file.

    Args:
        rows_read: name of a file -> its rows.
        refused: rows of the quarantine, if there are any.
    """
    from pyspark.sql import functions as F

    found = {name: Findings(name, rows) for name, rows in rows_read.items()}
    if refused is not None:
        first = F.min(F.struct("source_line", "raw_row")).alias("first")
        for row in refused.groupBy("source_file", "reason").agg(F.count("*").alias("rows"), first).collect():
            reason = First(row.rows, row.first.source_line, row.first.raw_row[:_SHOWN])
            found[row.source_file].add(0, {row.reason: reason})
    return list(found.values())


def audit(parts: Iterable[Findings], max_share: float) -> int:
    """Number of bad rows in all parts of all files.

    Raises JobError when they are more than `max_share` of a file's rows.
    """
    files: dict[str, Findings] = {}
    for part in parts:
        files.setdefault(part.file, Findings(part.file)).add(part.rows, part.reasons)
    if too_many := [of for _, of in sorted(files.items()) if of.bad > max_share * of.rows]:
        shares = (
            f"{of.bad:,} of {of.rows:,} rows are bad ({of.bad / of.rows:.1%}, limit {max_share:.1%})" for of in too_many
        )
        raise JobError(
            " | ".join(f"{of.file}: {share}: {of}" for of, share in zip(too_many, shares, strict=True))
            + "; nothing published: mend the file, or raise --max-quarantine-share"
        )
    return sum(of.bad for of in files.values())
