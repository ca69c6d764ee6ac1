"""Customer features as of a date: one row per customer with an earlier purchase."""

from __future__ import annotations

import polars as pl

from expectations.customers import CUSTOMERS
from expectations.features import CUSTOMER_FEATURES
from expectations.operations import DELIVERIES, FEATURE_SLICES
from expectations.transactions import TRANSACTIONS
from jobs.features.label_weeks import with_training_weeks
from jobs.features.snapshots import publish_snapshots
from jobs.features.spec import FeatureSpec, days_between, most_frequent
from jobs.platform.job import Job, run

READS, WRITES = (TRANSACTIONS, CUSTOMERS, DELIVERIES), (CUSTOMER_FEATURES, FEATURE_SLICES)
SETTINGS = ("accept_drift", "data", "training_weeks", "backtest_weeks")

#: To be raised with every change of an expression.
VERSION = 1

SPEC = FeatureSpec(
    CUSTOMER_FEATURES,
    CUSTOMERS,
    VERSION,
    history=(
        pl.len().alias("transaction_count"),
        pl.col("t_dat").min().alias("first_purchase_date"),
        pl.col("t_dat").max().alias("last_purchase_date"),
        pl.col("price").mean().alias("price_mean"),
        pl.col("price").min().alias("price_min"),
        pl.col("price").max().alias("price_max"),
        pl.col("price").std().alias("price_stddev"),
        pl.col("price").sum().alias("total_spend"),
        pl.col("article_key").n_unique().alias("distinct_article_count"),
        most_frequent("sales_channel_id").alias("preferred_sales_channel_id"),
    ),
    last_30_days=(
        pl.len().alias("transaction_count_30d"),
        pl.col("price").mean().alias("price_mean_30d"),
        pl.col("price").sum().alias("total_spend_30d"),
    ),
    derived=(
        days_between("first_purchase_date", "last_purchase_date").alias("days_active"),
        (pl.col("transaction_count") / pl.max_horizontal("days_active", 1)).alias("purchase_frequency"),
        days_between("last_purchase_date", "as_of_date").alias("days_since_last_purchase"),
    ),
)


def main(job: Job) -> str:
    settings = with_training_weeks(job, job.settings, job.settings.backtest_weeks)
    return publish_snapshots(job, SPEC, settings.feature_dates)


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES, settings=SETTINGS)
