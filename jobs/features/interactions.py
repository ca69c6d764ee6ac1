"""Interaction features: one row per unit bought in the recent weeks of a run, with its calendar."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from expectations.features import INTERACTION_FEATURES
from expectations.transactions import TRANSACTIONS
from jobs.features.label_weeks import with_training_weeks
from jobs.features.snapshots import require_fresh
from jobs.platform.job import Job, run
from jobs.platform.settings import WEDNESDAY, WEEK

READS, WRITES = (TRANSACTIONS,), (INTERACTION_FEATURES,)
SETTINGS = ("accept_drift", "data", "training_weeks", "backtest_weeks")


def transform(transactions: DataFrame, weeks: Sequence[date]) -> DataFrame:
    """One row per transaction line of these weeks, each [week, week + 7 days) from a Wednesday on."""
    is_wanted = (F.col("t_dat") >= F.lit(min(weeks))) & (F.col("t_dat") < F.lit(max(weeks) + WEEK))
    weekday = F.weekday("t_dat")  # Monday is 0
    return (
        transactions.where(is_wanted)
        .withColumn("week_start_date", F.date_sub("t_dat", (weekday + 7 - WEDNESDAY) % 7))
        .where(F.col("week_start_date").isin(*weeks))
        .withColumn("day_of_week", weekday + 1)
        .withColumn("month", F.month("t_dat"))
        .withColumn("is_weekend", weekday >= 5)
        .select(*INTERACTION_FEATURES.column_names)
    )


def publish_weeks(job: Job, weeks: Sequence[date]) -> int:
    """Compute and publish these weeks' slices; returns the number of rows."""
    rows = transform(job.read_spark(TRANSACTIONS), weeks)
    return job.publish(INTERACTION_FEATURES, rows, {"week_start_date": weeks})


def main(job: Job) -> str:
    as_of = job.settings.as_of_date
    settings = with_training_weeks(job, job.settings, job.settings.backtest_weeks)
    weeks = settings.interaction_weeks  # every week ends on or before the as-of date
    require_fresh(job)
    count = publish_weeks(job, weeks)
    return f"{count:,} rows in {len(weeks)} weeks from {weeks[-1]} until {as_of}"


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES, settings=SETTINGS)
