"""What became of the recommendations for a week: who bought them, and what they brought in."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def recommendation_counts(
    recommendations: DataFrame, bought: DataFrame, customers: DataFrame, groups: DataFrame, articles: DataFrame
) -> DataFrame:
    """Counts by bucket and age band of the customers with recommendations for the week.

    Columns: bucket, age_band, published, buyers, hit (bought one of them), units and revenue of what was recommended,
    spent (all revenue of the buyers).

    Args:
        recommendations: the slice of the week's first day.
        bought: transactions of the week.
        customers: silver/customers.
        groups: see baskets.customer_groups.
        articles: silver/articles; picks count by the ids that articles go by today.
    """
    newest = articles.select("article_id", F.coalesce("replaced_by", "article_id").alias("newest_id"))
    picks = (
        recommendations.join(F.broadcast(newest), "article_id")
        .select("customer_id", F.col("newest_id").alias("article_id"))
        .distinct()
    )
    people = (
        recommendations.groupBy("customer_id")
        .agg(F.min("bucket").alias("bucket"))
        .join(customers.select("customer_id", "customer_key"), "customer_id")
        .join(groups, "customer_key")
    )
    sums = bought.groupBy("customer_id", "article_id").agg(F.count("*").alias("units"), F.sum("price").alias("revenue"))
    hits = (
        picks.join(F.broadcast(sums), ["customer_id", "article_id"])
        .groupBy("customer_id")
        .agg(F.sum("units").alias("units"), F.sum("revenue").alias("revenue"))
    )
    spent = bought.groupBy("customer_id").agg(F.sum("price").alias("spent"))
    return (
        people.join(spent, "customer_id", "left")
        .join(hits, "customer_id", "left")
        .groupBy("bucket", "age_band")
        .agg(
            F.count("*").alias("published"),
            F.count("spent").alias("buyers"),
            F.count("units").alias("hit"),
            F.coalesce(F.sum("units"), F.lit(0)).alias("units"),
            F.coalesce(F.sum("revenue"), F.lit(0.0)).alias("revenue"),
            F.coalesce(F.sum("spent"), F.lit(0.0)).alias("spent"),
        )
    )
