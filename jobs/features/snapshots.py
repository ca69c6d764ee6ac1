"""What the as-of feature tables share: histories cut at each as-of date, recency, the preferred channel."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F


def at_snapshots(transactions: DataFrame, as_of_dates: Sequence[date]) -> DataFrame:
    """Each transaction once per as-of date after it, in a new column `as_of_date`: t_dat < as_of_date, always."""
    dates = F.array(*[F.lit(day) for day in sorted(as_of_dates)])
    later = F.filter(dates, lambda day: F.col("t_dat") < day)
    return transactions.withColumn("as_of_date", F.explode(later))


def recent(days: int) -> Column:
    """True in the `days` days before the as-of date."""
    return F.col("t_dat") >= F.date_sub("as_of_date", days)


def preferred_channel() -> Column:
    """Most frequent sales channel of the group; the smaller id on a tie."""
    return F.mode("sales_channel_id", True).alias("preferred_sales_channel_id")
