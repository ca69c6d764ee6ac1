"""Customer features as of a date: one row per customer with an earlier purchase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np
from pyspark.sql import DataFrame

from expectations.customers import CUSTOMERS
from expectations.features import CUSTOMER_FEATURES
from expectations.transactions import TRANSACTIONS
from jobs.features.histories import Array, Histories
from jobs.features.snapshots import fresh_transactions, snapshots
from jobs.platform.job import Job, run

READS, WRITES = (TRANSACTIONS, CUSTOMERS), (CUSTOMER_FEATURES,)


def features(history: Histories, as_of: int) -> Mapping[str, Array]:
    """Every column of each customer in `history`, which ends before the day `as_of` (days since 1970-01-01)."""
    recent = history.since(as_of - 30)
    count_30d = recent.spread(recent.count, history.entities)
    spend_30d = recent.spread(recent.price_sum, history.entities)
    days_active = history.last_day - history.first_day
    with np.errstate(invalid="ignore"):
        price_mean_30d = spend_30d / count_30d  # NaN, so null, where there was none
    return {
        "transaction_count": history.count,
        "first_purchase_date": history.first_day,
        "last_purchase_date": history.last_day,
        "price_mean": history.price_mean,
        "price_min": history.price_min,
        "price_max": history.price_max,
        "price_stddev": history.price_stddev,
        "total_spend": history.price_sum,
        "distinct_article_count": history.distinct_others,
        "preferred_sales_channel_id": history.favourite_channel,
        "days_active": days_active,
        "purchase_frequency": history.count / np.maximum(days_active, 1),
        "days_since_last_purchase": as_of - history.last_day,
        "transaction_count_30d": count_30d,
        "price_mean_30d": price_mean_30d,
        "total_spend_30d": spend_30d,
    }


def transform(transactions: DataFrame, customers: DataFrame, as_of_dates: Sequence[date]) -> DataFrame:
    """One row per (as-of date, customer), from the transactions before that date only."""
    return snapshots(transactions, customers, CUSTOMER_FEATURES, features, as_of_dates)


def main(job: Job) -> str:
    dates = job.settings.snapshot_dates
    rows = transform(fresh_transactions(job), job.read_spark(CUSTOMERS), dates)
    count = job.publish(CUSTOMER_FEATURES, rows, replace={"as_of_date": dates})
    return f"{count:,} rows for {len(dates)} as-of dates up to {dates[0]}"


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES)
