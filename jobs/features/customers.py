"""Customer features as of a date: one row per customer with an earlier purchase (FEATURES: customer_features)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from expectations.features import CUSTOMER_FEATURES
from expectations.transactions import TRANSACTIONS
from jobs.features.snapshots import at_snapshots, preferred_channel, recent
from jobs.platform.job import Job, run

READS, WRITES = (TRANSACTIONS,), (CUSTOMER_FEATURES,)


def transform(transactions: DataFrame, as_of_dates: Sequence[date]) -> DataFrame:
    """One row per (as-of date, customer), from the transactions before that date only."""
    days_active = F.datediff(F.max("t_dat"), F.min("t_dat"))
    return (
        at_snapshots(transactions, as_of_dates)
        .groupBy("as_of_date", "customer_id")
        .agg(
            F.count("*").alias("transaction_count"),
            F.min("t_dat").alias("first_purchase_date"),
            F.max("t_dat").alias("last_purchase_date"),
            F.avg("price").alias("price_mean"),
            F.min("price").alias("price_min"),
            F.max("price").alias("price_max"),
            F.stddev_samp("price").alias("price_stddev"),
            F.sum("price").alias("total_spend"),
            F.count_distinct("article_id").alias("distinct_article_count"),
            preferred_channel(),
            days_active.alias("days_active"),
            (F.count("*") / F.greatest(days_active, F.lit(1))).alias("purchase_frequency"),
            F.datediff("as_of_date", F.max("t_dat")).alias("days_since_last_purchase"),
            F.count_if(recent(30)).alias("transaction_count_30d"),
            F.avg(F.when(recent(30), F.col("price"))).alias("price_mean_30d"),
            F.sum(F.when(recent(30), F.col("price")).otherwise(0.0)).alias("total_spend_30d"),
        )
        .select(*CUSTOMER_FEATURES.column_names)
    )


def main(job: Job) -> str:
    dates = job.settings.snapshot_dates
    rows = transform(job.read_spark(TRANSACTIONS), dates)
    count = job.publish(CUSTOMER_FEATURES, rows, replace={"as_of_date": dates})
    return f"{count:,} rows for {len(dates)} as-of dates up to {dates[0]}"


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES)
