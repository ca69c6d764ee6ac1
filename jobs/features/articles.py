"""Article features as of a date: one row per article with an earlier sale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from pyspark.sql import DataFrame

from expectations.articles import ARTICLES
from expectations.features import ARTICLE_FEATURES
from expectations.transactions import TRANSACTIONS
from jobs.features.histories import Array, Histories
from jobs.features.snapshots import fresh_transactions, snapshots
from jobs.platform.job import Job, run

READS, WRITES = (TRANSACTIONS, ARTICLES), (ARTICLE_FEATURES,)


def features(history: Histories, as_of: int) -> Mapping[str, Array]:
    """Every column of each article in `history`, which ends before the day `as_of` (days since 1970-01-01)."""
    last_30_days = history.since(as_of - 30)
    last_7_days = last_30_days.since(as_of - 7)
    return {
        "sales_count": history.count,
        "first_sale_date": history.first_day,
        "last_sale_date": history.last_day,
        "distinct_customer_count": history.distinct_others,
        "price_mean": history.price_mean,
        "price_stddev": history.price_stddev,
        "price_median": history.price_median,
        "preferred_sales_channel_id": history.favourite_channel,
        "days_on_sale": as_of - history.first_day,
        "sales_count_7d": last_7_days.spread(last_7_days.count, history.entities),
        "sales_count_30d": last_30_days.spread(last_30_days.count, history.entities),
        "distinct_customer_count_30d": last_30_days.spread(last_30_days.distinct_others, history.entities),
    }


def transform(transactions: DataFrame, articles: DataFrame, as_of_dates: Sequence[date]) -> DataFrame:
    """One row per (as-of date, article), from the transactions before that date only."""
    return snapshots(transactions, articles, ARTICLE_FEATURES, features, as_of_dates)


def main(job: Job) -> str:
    dates = job.settings.snapshot_dates
    rows = transform(fresh_transactions(job), job.read_spark(ARTICLES), dates)
    count = job.publish(ARTICLE_FEATURES, rows, replace={"as_of_date": dates})
    return f"{count:,} rows for {len(dates)} as-of dates up to {dates[0]}"


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES)
