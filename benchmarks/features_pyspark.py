"""The feature tables by plain PySpark, as one would write them by hand: DataFrames alone, silver tables with surrogate
keys in Delta, features in Parquet, no contracts.

python -m benchmarks.features_pyspark DATA OUT AS_OF
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from expectations.articles import ARTICLES

SETTINGS = {
    "spark.driver.memory": "4g",
    "spark.sql.adaptive.enabled": "true",
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.databricks.delta.snapshotPartitions": "2",
    "spark.sql.session.timeZone": "UTC",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}
#: Columns of each file, in order, and their types.
LINES = {"t_dat": "date", "customer_id": "string", "article_id": "string", "price": "double", "sales_channel_id": "int"}
ARTICLE = {column.name: column.type for column in ARTICLES.columns if column.name != "article_key"}
CUSTOMER = {"customer_id": "string", "FN": "double", "Active": "double", "club_member_status": "string"} | {
    "fashion_news_frequency": "string", "age": "double", "postal_code": "string",
}  # fmt: skip


def main(data: Path, out: Path, as_of: date) -> None:
    """The silver tables, and a folder of Parquet files for each feature table, as of one date."""
    spark = SparkSession.builder.master("local[*]").appName("features").config(map=SETTINGS).getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")

    def csv(file: str, columns: Mapping[str, str], is_multiline: bool = False) -> DataFrame:
        texts = ", ".join(f"{name} string" for name in columns)
        rows = spark.read.csv(str(data / file), texts, header=True, escape='"', multiLine=is_multiline)
        return rows.select(*(F.col(name).cast(kind) for name, kind in columns.items()))

    def silver(name: str, rows: DataFrame) -> DataFrame:
        path = str(out / "silver" / name)
        rows.write.format("delta").mode("overwrite").save(path)
        return spark.read.format("delta").load(path)

    def keyed(name: str, rows: DataFrame) -> DataFrame:
        """Ids and surrogate keys of a catalogue."""
        entity, key = f"{name}_id", f"{name}_key"
        rows = rows.withColumn(key, F.row_number().over(Window.orderBy(entity)))
        return F.broadcast(silver(f"{name}s", rows).select(entity, key))

    customer_keys = keyed("customer", csv("customers.csv", CUSTOMER))
    article_keys = keyed("article", csv("articles.csv", ARTICLE, is_multiline=True))
    bought = csv("transactions*.csv", LINES).join(customer_keys, "customer_id").join(article_keys, "article_id")
    lines = silver("transactions", bought).where(F.col("t_dat") < F.lit(as_of))
    tables = {
        "customer": customers(lines, as_of).join(customer_keys, "customer_key").drop("customer_key"),
        "article": articles(lines, as_of).join(article_keys, "article_key").drop("article_key"),
        "interaction": week(lines, as_of),
    }
    for name, table in tables.items():
        table.write.mode("overwrite").parquet(str(out / f"{name}_features.parquet"))
    spark.stop()


def customers(lines: DataFrame, as_of: date) -> DataFrame:
    """One row per customer."""
    price, recent = F.col("price"), _since(as_of, 30)
    # One shuffle of the few columns needed serves both the groups and their distinct articles.
    return (
        lines.repartition("customer_key")
        .groupBy("customer_key")
        .agg(
            F.lit(as_of).alias("as_of_date"),
            F.count("*").alias("transaction_count"),
            F.min("t_dat").alias("first_purchase_date"),
            F.max("t_dat").alias("last_purchase_date"),
            F.avg(price).alias("price_mean"),
            F.min(price).alias("price_min"),
            F.max(price).alias("price_max"),
            F.stddev_samp(price).alias("price_stddev"),
            F.sum(price).alias("total_spend"),
            F.count_distinct("article_key").alias("distinct_article_count"),
            _channel(),
            F.count_if(recent).alias("transaction_count_30d"),
            F.avg(F.when(recent, price)).alias("price_mean_30d"),
            F.sum(F.when(recent, price).otherwise(0.0)).alias("total_spend_30d"),
        )
        .withColumn("days_active", F.datediff("last_purchase_date", "first_purchase_date"))
        .withColumn("days_since_last_purchase", F.datediff("as_of_date", "last_purchase_date"))
        .withColumn("purchase_frequency", F.col("transaction_count") / F.greatest("days_active", F.lit(1)))
    )


def articles(lines: DataFrame, as_of: date) -> DataFrame:
    """One row per article."""
    price, recent, buyers = F.col("price"), _since(as_of, 30), F.count_distinct("customer_key")
    # Three aggregations: beside a distinct count, Spark would collect the median's prices by article and customer, and
    # for two distinct counts it would go through each line three times.
    medians = lines.groupBy("article_key").agg(F.percentile(price, 0.5).alias("price_median"))
    month = lines.where(recent).groupBy("article_key").agg(buyers.alias("distinct_customer_count_30d"))
    return (
        lines.repartition("article_key")
        .groupBy("article_key")
        .agg(
            F.lit(as_of).alias("as_of_date"),
            F.count("*").alias("sales_count"),
            F.min("t_dat").alias("first_sale_date"),
            F.max("t_dat").alias("last_sale_date"),
            buyers.alias("distinct_customer_count"),
            F.avg(price).alias("price_mean"),
            F.stddev_samp(price).alias("price_stddev"),
            _channel(),
            F.count_if(_since(as_of, 7)).alias("sales_count_7d"),
            F.count_if(recent).alias("sales_count_30d"),
        )
        .join(medians, "article_key")
        .join(month, "article_key", "left")
        .fillna(0, "distinct_customer_count_30d")
        .withColumn("days_on_sale", F.datediff("as_of_date", "first_sale_date"))
    )


def week(lines: DataFrame, as_of: date) -> DataFrame:
    """One row per line of the last week."""
    weekday = F.weekday("t_dat") + 1
    return lines.where(_since(as_of, 7)).select(
        F.lit(as_of - timedelta(7)).alias("week_start_date"),
        *LINES,
        weekday.alias("day_of_week"),
        F.month("t_dat").alias("month"),
        (weekday >= 6).alias("is_weekend"),
    )


def _since(as_of: date, days: int) -> Column:
    return F.col("t_dat") >= F.lit(as_of - timedelta(days))


def _channel() -> Column:
    # Two channels, as the data has: a tie goes to the smaller.
    in_store = F.count_if(F.col("sales_channel_id") == 1)
    return F.when(2 * in_store >= F.count("*"), 1).otherwise(2).alias("preferred_sales_channel_id")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), date.fromisoformat(sys.argv[3]))
