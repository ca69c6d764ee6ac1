"""Article features as of a date: one row per article with an earlier sale."""

from __future__ import annotations

import polars as pl

from expectations.articles import ARTICLES
from expectations.features import ARTICLE_FEATURES
from expectations.operations import DELIVERIES, FEATURE_SLICES
from expectations.transactions import TRANSACTIONS
from jobs.features.label_weeks import with_training_weeks
from jobs.features.snapshots import publish_snapshots
from jobs.features.spec import FeatureSpec, days_between, most_frequent
from jobs.platform.job import Job, run

READS, WRITES = (TRANSACTIONS, ARTICLES, DELIVERIES), (ARTICLE_FEATURES, FEATURE_SLICES)
SETTINGS = ("accept_drift", "data", "training_weeks", "backtest_weeks")

#: To be raised with every change of an expression.
VERSION = 1

SPEC = FeatureSpec(
    ARTICLE_FEATURES,
    ARTICLES,
    VERSION,
    history=(
        pl.len().alias("sales_count"),
        pl.col("t_dat").min().alias("first_sale_date"),
        pl.col("t_dat").max().alias("last_sale_date"),
        pl.col("customer_key").n_unique().alias("distinct_customer_count"),
        pl.col("price").mean().alias("price_mean"),
        pl.col("price").std().alias("price_stddev"),
        pl.col("price").median().alias("price_median"),
        most_frequent("sales_channel_id").alias("preferred_sales_channel_id"),
    ),
    last_30_days=(
        (pl.col("days_before") <= 7).sum().alias("sales_count_7d"),
        pl.len().alias("sales_count_30d"),
        pl.col("customer_key").n_unique().alias("distinct_customer_count_30d"),
    ),
    derived=(days_between("first_sale_date", "as_of_date").alias("days_on_sale"),),
)


def main(job: Job) -> str:
    settings = with_training_weeks(job, job.settings, job.settings.backtest_weeks)
    return publish_snapshots(job, SPEC, settings.feature_dates)


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES, settings=SETTINGS)
