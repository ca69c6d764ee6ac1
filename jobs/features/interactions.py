"""Interaction features: one row per unit bought in the recent weeks of a run, with its calendar."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from expectations.features import INTERACTION_FEATURES
from expectations.transactions import TRANSACTIONS
from jobs.features.snapshots import require_fresh
from jobs.platform.errors import JobError
from jobs.platform.job import Job, run
from jobs.platform.settings import WEEK

READS, WRITES = (TRANSACTIONS,), (INTERACTION_FEATURES,)

_WEDNESDAY = 3  # ISO weekday


def transform(transactions: DataFrame, weeks: Sequence[date]) -> DataFrame:
    """One row per transaction line of the weeks [w, w + 7 days), w in `weeks` (Wednesdays)."""
    return (
        transactions.where((F.col("t_dat") >= min(weeks)) & (F.col("t_dat") < max(weeks) + WEEK))
        .withColumn("week_start_date", F.date_sub(F.next_day("t_dat", "Wed"), 7))
        .where(F.col("week_start_date").isin(list(weeks)))
        .withColumn("day_of_week", F.weekday("t_dat") + 1)
        .withColumn("month", F.month("t_dat"))
        .withColumn("is_weekend", F.col("day_of_week") >= 6)
        .select(*INTERACTION_FEATURES.column_names)
    )


def main(job: Job) -> str:
    as_of = job.settings.as_of_date
    if as_of.isoweekday() != _WEDNESDAY:
        raise JobError(f"as-of-date {as_of} is a {as_of:%A}: weeks run Wednesday to Wednesday, give a Wednesday")
    weeks = job.settings.interaction_weeks  # every week ends on or before the as-of date
    require_fresh(job)
    rows = transform(job.read_spark(TRANSACTIONS), weeks)
    count = job.publish(INTERACTION_FEATURES, rows, replace={"week_start_date": weeks})
    return f"{count:,} rows in {len(weeks)} weeks from {weeks[-1]} until {as_of}"


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES)
