"""Customer features as of a date: one row per customer with an earlier purchase."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from expectations.features import CUSTOMER_FEATURES
from expectations.transactions import TRANSACTIONS
from jobs.features import snapshots as s
from jobs.platform.job import Job, run

READS, WRITES = (TRANSACTIONS,), (CUSTOMER_FEATURES,)


def transform(transactions: DataFrame, as_of_dates: Sequence[date]) -> DataFrame:
    """One row per (as-of date, customer), from the transactions before that date only."""
    prices, prices_30d = F.col("lines.price"), F.col("lines_30d.price")
    return (
        s.histories(transactions, "customer_id", "article_id", as_of_dates)
        .withColumns({"lines_30d": s.last_days(30), "price_mean": s.mean(prices), "total_spend": s.total(prices)})
        .withColumns(
            {
                "transaction_count": s.count(prices),
                "first_purchase_date": F.col("lines")[0]["t_dat"],
                "last_purchase_date": F.element_at("lines", -1)["t_dat"],
                "price_min": F.array_min(prices),
                "price_max": F.array_max(prices),
                "price_stddev": s.sample_stddev(prices, F.col("price_mean")),
                "distinct_article_count": s.count_distinct(F.col("lines.article_id")),
                "preferred_sales_channel_id": s.most_frequent(F.col("lines.sales_channel_id")),
                "transaction_count_30d": s.count(prices_30d),
                "price_mean_30d": s.mean(prices_30d),
                "total_spend_30d": s.total(prices_30d),
            }
        )
        .withColumn("days_active", F.datediff("last_purchase_date", "first_purchase_date"))
        .withColumn("purchase_frequency", F.col("transaction_count") / F.greatest("days_active", F.lit(1)))
        .withColumn("days_since_last_purchase", F.datediff("as_of_date", "last_purchase_date"))
        .select(*CUSTOMER_FEATURES.column_names)
    )


def main(job: Job) -> str:
    dates = job.settings.snapshot_dates
    rows = transform(s.fresh_transactions(job), dates)
    count = job.publish(CUSTOMER_FEATURES, rows, replace={"as_of_date": dates})
    return f"{count:,} rows for {len(dates)} as-of dates up to {dates[0]}"


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES)
