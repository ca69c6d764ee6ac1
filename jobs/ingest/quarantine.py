"""Rows that cannot be believed: counted, refused or mended, and kept with their reason where people can see them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from expectations.contract import Contract
from expectations.transactions import QUARANTINE
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.schemas import arrow_schema
from jobs.platform.warehouse import Slice

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

    Raises JobError when they are more than `max_share` of a file's rows. One pass, which fills the cache if persisted.
    """
    first = F.min_by(F.struct("source_line", "raw_row"), "source_line")
    groups = rows.groupBy("source_file", "reason").agg(F.count("*").alias("lines"), first.alias("first")).collect()
    by_file: dict[str, list[Row]] = defaultdict(list)
    for group in groups:
        by_file[group.source_file].append(group)
    problems, total = [], 0
    for file, reasons in sorted(by_file.items()):
        bad = sorted((r for r in reasons if r.reason is not None), key=lambda r: (-r.lines, r.reason))
        count, lines = sum(r.lines for r in bad), sum(r.lines for r in reasons)
        total += count
        if count > max_share * lines:
            problems.append(
                f"{file}: {count:,} of {lines:,} rows are bad ({count / lines:.1%}, limit {max_share:.1%}): "
                + "; ".join(
                    f"{r.lines:,} x {r.reason}, first on line {r.first.source_line} {r.first.raw_row[:_SHOWN]}"
                    for r in bad
                )
            )
    if problems:
        raise JobError(" | ".join(problems) + "; nothing published: mend the file, or raise --max-quarantine-share")
    return total


def publish_quarantine(job: Job, table: Contract, rows: DataFrame, count: int, files: Sequence[str] = ()) -> None:
    """Commit the `count` judged rows that have a reason in place of the table's earlier ones (of these files only)."""
    replace: Slice = {"table_name": [table.name]} | ({"source_file": list(files)} if files else {})
    if count == 0:  # no need of Spark to say so
        job.publish(QUARANTINE, arrow_schema(QUARANTINE).empty_table(), replace)
        return
    bad = rows.where(F.col("reason").isNotNull()).withColumn("table_name", F.lit(table.name))
    job.publish(QUARANTINE, bad, replace, persist=False)
