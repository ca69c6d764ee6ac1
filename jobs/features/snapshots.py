"""What the as-of feature tables share: the freshness gate, histories cut at each as-of date, and sums over them.

A history is an array of purchase lines in one fixed order. Sums of doubles depend on the order of their terms, and
aggregates that a shuffle feeds add in whatever order rows arrive; folding the sorted array instead makes a rerun equal
to the last bit on any number of cores, and any number of as-of dates shares one shuffle.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from expectations.transactions import TRANSACTIONS
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.settings import WEEK


def fresh_transactions(job: Job) -> DataFrame:
    """The transactions. Raises JobError if the week before the as-of date has none: no shop is that quiet."""
    transactions, as_of = job.read_spark(TRANSACTIONS), job.settings.as_of_date
    week = (F.col("t_dat") >= as_of - WEEK) & (F.col("t_dat") < as_of)
    if transactions.where(week).isEmpty():
        raise JobError(
            f"{TRANSACTIONS.path}: no transactions from {as_of - WEEK} until the as-of date {as_of}:"
            f" is a file late, or {job.settings.data} not the right directory?"
        )
    return transactions


def histories(transactions: DataFrame, entity: str, other: str, as_of_dates: Sequence[date]) -> DataFrame:
    """One row per as-of date and `entity` with an earlier transaction.

    Columns: as_of_date, the entity, and `lines`, an array of (t_dat, price, other, sales_channel_id) with
    t_dat < as_of_date, sorted by those fields in that order.
    """
    dates = F.array(*[F.lit(day) for day in sorted(as_of_dates)])
    lines = F.collect_list(F.struct("t_dat", "price", other, "sales_channel_id"))
    return (
        transactions.where(F.col("t_dat") < max(as_of_dates))
        .groupBy(entity)
        .agg(F.sort_array(lines).alias("lines"))
        .withColumn("as_of_date", F.explode(F.filter(dates, lambda day: day > F.col("lines")[0]["t_dat"])))
        .withColumn("lines", F.filter("lines", lambda line: line["t_dat"] < F.col("as_of_date")))
    )


def last_days(days: int) -> Column:
    """The lines of the `days` days before the as-of date."""
    return F.filter("lines", lambda line: line["t_dat"] >= F.date_sub("as_of_date", days))


def count(values: Column) -> Column:
    """Number of elements, as a long."""
    return F.size(values).cast("long")


def count_distinct(values: Column) -> Column:
    """Number of different elements, as a long."""
    return count(F.array_distinct(values))


def total(values: Column) -> Column:
    """Sum of doubles in array order; 0.0 when empty."""
    return F.aggregate(values, F.lit(0.0), lambda sum_, value: sum_ + value)


def mean(values: Column) -> Column:
    """Mean of doubles; null when empty."""
    return F.when(F.size(values) > 0, total(values) / F.size(values))


def sample_stddev(values: Column, mean_: Column) -> Column:
    """Sample standard deviation (n - 1) around the mean, in two passes; null for fewer than two values."""
    squares = F.transform(values, lambda value: (value - mean_) * (value - mean_))
    return F.when(F.size(values) > 1, F.sqrt(total(squares) / (F.size(values) - 1)))


def median(values: Column) -> Column:
    """Exact median, the mean of the two middle values when their number is even; `values` is not empty."""
    ranked, size = F.sort_array(values), F.size(values)
    low, high = F.floor((size - 1) / 2), F.floor(size / 2)
    return (F.get(ranked, low.cast("int")) + F.get(ranked, high.cast("int"))) / 2


def most_frequent(values: Column) -> Column:
    """The most frequent of integers, the smallest of them on a tie; `values` is not empty."""
    votes = F.transform(
        F.array_distinct(values),
        lambda candidate: F.struct(
            F.size(F.filter(values, lambda value: value == candidate)).alias("votes"),
            (-candidate).alias("smaller_first"),
        ),
    )
    return -F.array_max(votes)["smaller_first"]
