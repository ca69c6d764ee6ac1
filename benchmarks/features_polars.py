"""The feature tables by Polars, as one would write them by hand: CSV to Parquet, no contracts, no silver tables.

python -m benchmarks.features_polars DATA OUT AS_OF
"""

from __future__ import annotations

import sys
from datetime import date, timedelta
from pathlib import Path

import polars as pl

SCHEMA = {
    "t_dat": pl.Date,
    "customer_id": pl.String,
    "article_id": pl.String,
    "price": pl.Float64,
    "sales_channel_id": pl.Int32,
}


def main(data: Path, out: Path, as_of: date) -> None:
    """One Parquet file per feature table, as of one date."""
    out.mkdir(parents=True, exist_ok=True)
    lines = (
        pl.scan_csv(data / "transactions*.csv", schema=SCHEMA)
        .filter(pl.col("t_dat") < as_of)
        .with_columns(pl.col("customer_id", "article_id").cast(pl.Categorical))
        .collect()
    )
    tables = {"customer": customers(lines, as_of), "article": articles(lines, as_of), "interaction": week(lines, as_of)}
    for name, table in tables.items():
        ids = pl.col("^(customer|article)_id$").cast(pl.String)
        table.with_columns(ids).write_parquet(out / f"{name}_features.parquet", compression="snappy")


def customers(lines: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """One row per customer."""
    price, recent = pl.col("price"), pl.col("t_dat") >= as_of - timedelta(30)
    days = (pl.col("last_purchase_date") - pl.col("first_purchase_date")).dt.total_days().cast(pl.Int32)
    since = (pl.lit(as_of) - pl.col("last_purchase_date")).dt.total_days().cast(pl.Int32)
    return (
        lines.group_by("customer_id")
        .agg(
            pl.lit(as_of).alias("as_of_date"),
            pl.len().cast(pl.Int64).alias("transaction_count"),
            pl.col("t_dat").min().alias("first_purchase_date"),
            pl.col("t_dat").max().alias("last_purchase_date"),
            price.mean().alias("price_mean"),
            price.min().alias("price_min"),
            price.max().alias("price_max"),
            price.std().alias("price_stddev"),
            price.sum().alias("total_spend"),
            pl.col("article_id").n_unique().cast(pl.Int64).alias("distinct_article_count"),
            _channel(),
            recent.sum().cast(pl.Int64).alias("transaction_count_30d"),
            price.filter(recent).mean().alias("price_mean_30d"),
            price.filter(recent).sum().alias("total_spend_30d"),
        )
        .with_columns(days.alias("days_active"), since.alias("days_since_last_purchase"))
        .with_columns((pl.col("transaction_count") / pl.col("days_active").clip(1)).alias("purchase_frequency"))
    )


def articles(lines: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """One row per article."""
    price, day, customer = pl.col("price"), pl.col("t_dat"), pl.col("customer_id")
    recent = day >= as_of - timedelta(30)
    return (
        lines.group_by("article_id")
        .agg(
            pl.lit(as_of).alias("as_of_date"),
            pl.len().cast(pl.Int64).alias("sales_count"),
            day.min().alias("first_sale_date"),
            day.max().alias("last_sale_date"),
            customer.n_unique().cast(pl.Int64).alias("distinct_customer_count"),
            price.mean().alias("price_mean"),
            price.std().alias("price_stddev"),
            price.median().alias("price_median"),
            _channel(),
            (day >= as_of - timedelta(7)).sum().cast(pl.Int64).alias("sales_count_7d"),
            recent.sum().cast(pl.Int64).alias("sales_count_30d"),
            customer.filter(recent).n_unique().cast(pl.Int64).alias("distinct_customer_count_30d"),
        )
        .with_columns((pl.lit(as_of) - pl.col("first_sale_date")).dt.total_days().cast(pl.Int32).alias("days_on_sale"))
    )


def week(lines: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """One row per line of the last week."""
    weekday = pl.col("t_dat").dt.weekday().cast(pl.Int32)
    return lines.filter(pl.col("t_dat") >= as_of - timedelta(7)).with_columns(
        pl.lit(as_of - timedelta(7)).alias("week_start_date"),
        weekday.alias("day_of_week"),
        pl.col("t_dat").dt.month().cast(pl.Int32).alias("month"),
        (weekday >= 6).alias("is_weekend"),
    )


def _channel() -> pl.Expr:
    # Two channels, as the data has: a tie goes to the smaller.
    in_store = (pl.col("sales_channel_id") == 1).sum()
    return pl.when(2 * in_store >= pl.len()).then(1).otherwise(2).cast(pl.Int32).alias("preferred_sales_channel_id")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), date.fromisoformat(sys.argv[3]))
