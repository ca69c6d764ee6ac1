"""Purchases that two files deliver: found by content, whatever the files are called and however they are written.

A line is a day, customer and article: a copy may hold its price rounded, in another unit or corrected. Files without a
day in common share nothing, which their first and last days tell: a usual week costs nothing.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

from jobs.platform.errors import JobError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

LINE = ("t_dat", "customer_key", "article_key")
#: What all other files together are called.
OTHERS = "other files"
#: Behind the name of a file whose purchases are moved to the day after.
_LATER = " a day later"
#: As few lines may be alike by chance: a second unit that came in a later file.
_CHANCE = 1
#: Fewer lines in common than this part of a file may be those of a day that two files were cut in.
_CUT_DAY = 0.05
#: A day that counts by itself, or a small part of a file, has at least so many lines in common.
_DAY_LINES = 20

_ODD_NAME = re.compile(r"(?i)(^|[^a-z])(sample|copy|kopie|backup|bak|old|test|tmp|temp)([^a-z]|$)|\(\d+\)")


class Span(NamedTuple):
    """The first and last day of a file's purchases, and its number of units."""

    first: date
    last: date
    rows: int


@dataclass(frozen=True)
class Overlap:
    """What a file has in common with another, or with all others (OTHERS), counted on days that both have.

    Attributes:
        file, other: their names.
        lines, other_lines: different lines of each.
        shared: those that both have.
        day_share: the greatest share of a day of which at least _DAY_LINES are shared; 0 if there is none.
    """

    file: str
    other: str
    lines: int
    other_lines: int
    shared: int
    day_share: float

    @property
    def share(self) -> float:
        """Of the one that has fewer lines: of a file and a sample of it, that of the sample."""
        return max(self.shared / min(self.lines, self.other_lines), self.day_share)

    def __str__(self) -> str:
        smaller = self.file if self.lines <= self.other_lines else self.other
        alike = f"{self.shared:,} of {min(self.lines, self.other_lines):,} purchases of {smaller}"
        day = f"{self.day_share:.1%} on one day" if self.day_share else ""
        share = self.shared / min(self.lines, self.other_lines)
        shares = f"{share:.1%}" + (f", {day}" if self.day_share > share else "")
        return f"{self.file} and {self.other} have {alike} in common ({shares})"


def meeting(new: Collection[str], spans: Mapping[str, Span]) -> set[str]:
    """The files with which a new one may have a day in common, and those new ones."""
    pairs = ((a, b) for a in new if a in spans for b in spans if a != b)
    return {
        name for a, b in pairs if spans[a].first <= spans[b].last and spans[b].first <= spans[a].last for name in (a, b)
    }


def overlaps(rows: DataFrame, new: Collection[str]) -> list[Overlap]:
    """What each new file has in common with each other one and with all others, the most first; without those with
    nothing in common.

    Args:
        rows: purchases: source_file and LINE.
        new: names of files among them.
    """
    from pyspark.sql import functions as F

    lines = rows.select("source_file", *LINE).distinct()
    is_new = F.col("file").isin(sorted(new))
    of_day = lines.groupBy("t_dat", F.col("source_file").alias("file")).agg(F.count("*").alias("lines"))
    held = lines.groupBy(*LINE).agg(F.sort_array(F.collect_set("source_file")).alias("files")).where("size(files) > 1")
    held = held.groupBy("t_dat", "files").agg(F.count("*").alias("shared"))
    found = held.select("t_dat", F.explode("files").alias("file"), "files", "shared").where(is_new)
    any_other = found.select("t_dat", "file", F.lit(OTHERS).alias("other"), "shared")
    each_other = found.select("t_dat", "file", F.explode("files").alias("other"), "shared").where("other != file")
    shared = any_other.union(each_other).groupBy("t_dat", "file", "other").agg(F.sum("shared").alias("shared"))

    others = of_day.select("t_dat", F.col("file").alias("other"), F.col("lines").alias("other_lines"))
    days = of_day.where(is_new).join(others, "t_dat").where("other != file")
    with_others = days.groupBy("t_dat", "file", "lines").agg(F.first("lines").alias("other_lines"))
    with_others = with_others.select("t_dat", "file", "lines", F.lit(OTHERS).alias("other"), "other_lines")
    days = days.select(*with_others.columns).union(with_others).join(shared, ["t_dat", "file", "other"], "left")
    days = days.fillna(0, ["shared"])
    day_share = F.when(F.col("shared") >= _DAY_LINES, F.col("shared") / F.least("lines", "other_lines"))
    sums = [F.sum(name).alias(name) for name in ("lines", "other_lines", "shared")]
    pairs = days.groupBy("file", "other").agg(*sums, F.coalesce(F.max(day_share), F.lit(0.0)).alias("day_share"))
    rows_found = pairs.where("shared > 0").orderBy(F.desc("shared"), "file", "other").collect()
    return [Overlap(**row.asDict()) for row in rows_found]


def a_day_apart(rows: DataFrame, names: Collection[str], new: Collection[str]) -> list[Overlap]:
    """As `overlaps`, of a file's purchases moved to the day after with those of another one.

    A system that writes midnight in another time zone delivers them so. Some _DAY_LINES of them at least: what few
    customers buy every day says nothing.

    Args:
        rows: purchases: source_file and LINE.
        names: of all files among them.
        new: those of which one is new, or both are.
    """
    from pyspark.sql import functions as F

    file, day = F.concat("source_file", F.lit(_LATER)).alias("source_file"), F.date_add("t_dat", 1).alias("t_dat")
    moved = rows.select(file, day, *LINE[1:])
    found = overlaps(rows.select("source_file", *LINE).union(moved), {f"{name}{_LATER}" for name in names})
    pairs = ((o, o.file.removesuffix(_LATER)) for o in found)
    pairs = ((o, name) for o, name in pairs if o.other in names and o.other != name and {o.other, name} & set(new))
    return [o for o, _ in pairs if o.shared >= _DAY_LINES]


def refuse_doubled(found: Iterable[Overlap], spans: Mapping[str, Span], limit: float) -> str:
    """In words, what files have in common that are taken in nevertheless.

    Of files that were cut in the middle of a day a few lines go on in the next one, and may be most of the two files'
    few lines of that day: so few count only where they are a part of a whole file that can be seen.

    Raises:
        JobError: a file shares more than this part of its lines, or of the other's, on days that both have.
    """

    def counts_twice(o: Overlap) -> bool:
        units = min(spans[name].rows for name in (o.file, o.other) if name in spans)
        return o.shared > _CHANCE and o.share > limit and (o.shared >= _DAY_LINES or o.shared > _CUT_DAY * units)

    found = sorted(found, key=lambda overlap: (overlap.other == OTHERS, -overlap.shared))
    if doubled := [o for o in found if counts_twice(o)]:
        first = doubled[0]
        files = {name.removesuffix(_LATER) for o in doubled for name in (o.file, o.other)}
        files -= {first.file.removesuffix(_LATER), first.other, OTHERS}
        further = f"; also {', '.join(sorted(files))}" if files else ""
        raise JobError(
            f"{first}, by day, customer and article: they would count twice (limit {limit:.0%}){further}; nothing"
            ' published: take out the file that is a copy or a part, or set in the mapping deliveries = "cumulative",'
            " where the newest file holds all that came before, or max_overlap, where these are other purchases"
        )
    said = [f"{o.shared:,} of {o.lines:,} in {o.file}" for o in found if o.other == OTHERS]
    return f"; purchases that another file has too, kept as further units: {', '.join(said)}" if said else ""


def newest(spans: Mapping[str, Span]) -> str:
    """The file whose purchases go furthest; of several the one with the most, then the last by name."""
    return max(spans, key=lambda name: (spans[name].last, spans[name].rows, name))


def refuse_incomplete(rows: DataFrame, spans: Mapping[str, Span], limit: float) -> None:
    """Raise JobError where the newest of cumulative files does not hold what another one does.

    Args:
        rows: purchases of the files: source_file and LINE; of the older ones those to be looked for.
        spans: of each file.
        limit: so much of an older one may be missing, as it was corrected.
    """
    from pyspark.sql import functions as F

    last = newest(spans)
    rule = 'the mapping says deliveries = "cumulative", but'
    advice = "nothing published: deliver the newest file whole, or take that line out of the mapping"
    for name, span in spans.items():
        if span.first < spans[last].first:
            begins = f"{last} begins on {spans[last].first}, later than {name} on {span.first}"
            raise JobError(f"{rule} {begins}; {advice}")
    lines = rows.select("source_file", *LINE).distinct()
    held = lines.groupBy(*LINE).agg(F.collect_set("source_file").alias("files"))
    is_held: Column = F.array_contains("files", last)
    each = held.select(F.explode("files").alias("file"), is_held.cast("int").alias("held"))
    for row in each.groupBy("file").agg(F.count("*").alias("lines"), F.sum("held").alias("held")).collect():
        if row.lines - row.held > limit * row.lines:
            part = f"{last} holds {row.held:,} of {row.lines:,} newest purchases of {row.file}"
            raise JobError(f"{rule} {part} ({row.held / row.lines:.1%}); {advice}")


def warn_of_odd_names(names: Collection[str]) -> None:
    """Log names such as transactions_sample.csv or transactions (1).csv, unless all are like that."""
    odd = sorted(name for name in names if _ODD_NAME.search(name))
    if odd and len(odd) < len(names):
        logging.warning("the mapping's pattern takes in %s: is that meant?", ", ".join(odd))
