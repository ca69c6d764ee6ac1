"""Article features as of a date: one row per article with an earlier sale."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from expectations.features import ARTICLE_FEATURES
from expectations.transactions import TRANSACTIONS
from jobs.features import snapshots as s
from jobs.platform.job import Job, run

READS, WRITES = (TRANSACTIONS,), (ARTICLE_FEATURES,)


def transform(transactions: DataFrame, as_of_dates: Sequence[date]) -> DataFrame:
    """One row per (as-of date, article), from the transactions before that date only."""
    prices = F.col("lines.price")
    return (
        s.histories(transactions, "article_id", "customer_id", as_of_dates)
        .withColumns({"lines_30d": s.last_days(30), "price_mean": s.mean(prices)})
        .withColumns(
            {
                "sales_count": s.count(prices),
                "first_sale_date": F.col("lines")[0]["t_dat"],
                "last_sale_date": F.element_at("lines", -1)["t_dat"],
                "distinct_customer_count": s.count_distinct(F.col("lines.customer_id")),
                "price_stddev": s.sample_stddev(prices, F.col("price_mean")),
                "price_median": s.median(prices),
                "preferred_sales_channel_id": s.most_frequent(F.col("lines.sales_channel_id")),
                "sales_count_7d": s.count(s.last_days(7)),
                "sales_count_30d": s.count(F.col("lines_30d")),
                "distinct_customer_count_30d": s.count_distinct(F.col("lines_30d.customer_id")),
            }
        )
        .withColumn("days_on_sale", F.datediff("as_of_date", "first_sale_date"))
        .select(*ARTICLE_FEATURES.column_names)
    )


def main(job: Job) -> str:
    dates = job.settings.snapshot_dates
    rows = transform(s.fresh_transactions(job), dates)
    count = job.publish(ARTICLE_FEATURES, rows, replace={"as_of_date": dates})
    return f"{count:,} rows for {len(dates)} as-of dates up to {dates[0]}"


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES)
