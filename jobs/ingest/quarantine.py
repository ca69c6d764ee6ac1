"""Rows that cannot be believed: counted, refused or mended, and kept with their reason where people can see them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from expectations.contract import Contract
from expectations.transactions import QUARANTINE
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.schemas import arrow_schema
from jobs.platform.staging import Slice

_SHOWN = 160


def judged(rows: DataFrame) -> DataFrame:
    """Typed rows with their verdict in words: `is_refused`, `reason` and `raw_row` (JSON), null where all is well."""
    reason = F.coalesce("refusal", "remark")
    line = F.to_json(F.struct(F.col("broken_line").alias("line")))
    fields = F.to_json("raw", {"ignoreNullFields": "false"})
    raw_row = F.when(reason.isNotNull(), F.when(F.col("broken_line").isNotNull(), line).otherwise(fields))
    return rows.select(
        "*", F.col("refusal").isNotNull().alias("is_refused"), reason.alias("reason"), raw_row.alias("raw_row")
    ).drop("refusal", "remark", "raw", "broken_line")


def audit(rows: DataFrame, max_share: float) -> int:
    """Number of judged rows that have a reason.

    Raises JobError when they are more than `max_share` of a file's rows.
    """
    is_bad = F.col("reason").isNotNull()
    counts = rows.groupBy("source_file").agg(F.count("*").alias("lines"), F.count_if(is_bad).alias("bad")).collect()
    if too_many := {file.source_file: file for file in counts if file.bad > max_share * file.lines}:
        worst = rows.where(is_bad & F.col("source_file").isin(list(too_many)))
        raise JobError(
            " | ".join(
                f"{file}: {of.bad:,} of {of.lines:,} rows are bad ({of.bad / of.lines:.1%}, limit {max_share:.1%}): "
                f"{'; '.join(reasons)}"
                for (file, of), reasons in zip(sorted(too_many.items()), _reasons(worst), strict=True)
            )
            + "; nothing published: mend the file, or raise --max-quarantine-share"
        )
    return sum(file.bad for file in counts)


def _reasons(bad: DataFrame) -> list[list[str]]:
    """For each file, by name, its reasons with their number and first row, the most frequent first."""
    first = F.min_by(F.struct("source_line", "raw_row"), "source_line").alias("first")
    groups = bad.groupBy("source_file", "reason").agg(F.count("*").alias("lines"), first).collect()
    by_file: dict[str, list[str]] = defaultdict(list)
    for group in sorted(groups, key=lambda g: (g.source_file, -g.lines, g.reason)):
        by_file[group.source_file].append(
            f"{group.lines:,} x {group.reason}, first on line {group.first.source_line} {group.first.raw_row[:_SHOWN]}"
        )
    return list(by_file.values())


def publish_quarantine(job: Job, table: Contract, rows: DataFrame, count: int, files: Sequence[str] = ()) -> None:
    """Commit the `count` judged rows that have a reason in place of the table's earlier ones (of these files only)."""
    replace: Slice = {"table_name": [table.name]} | ({"source_file": list(files)} if files else {})
    if count == 0:  # no need of Spark to say so
        job.publish(QUARANTINE, arrow_schema(QUARANTINE).empty_table(), replace)
        return
    bad = rows.where(F.col("reason").isNotNull()).withColumn("table_name", F.lit(table.name))
    job.publish(QUARANTINE, bad, replace)
