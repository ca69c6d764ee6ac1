"""What became of the recommendations for a week: who bought them, and what they brought in."""

from __future__ import annotations

import polars as pl
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from expectations.business import ALL
from jobs.reports.baskets import age_band
from jobs.reports.figures import LONG, by_segment, long, share, wilson


def recommendation_counts(
    recommendations: DataFrame, bought: DataFrame, customers: DataFrame, articles: DataFrame
) -> DataFrame:
    """Counts by bucket and age of the customers with recommendations for the week.

    Columns: bucket, age, published, buyers, hit (bought one of them), units and revenue of what was recommended,
    spent (all revenue of the buyers).

    Args:
        recommendations: the slice of the week's first day.
        bought: transactions of the week.
        customers: silver/customers.
        articles: silver/articles; picks count by the ids that articles go by today.
    """
    newest = articles.select("article_id", F.coalesce("replaced_by", "article_id").alias("newest_id"))
    picks = recommendations.join(F.broadcast(newest), "article_id").select(
        "customer_id", F.col("newest_id").alias("article_id")
    )
    people = (
        recommendations.where(F.col("rank") == 1)
        .select("customer_id", "bucket")
        .join(customers.select("customer_id", "age"), "customer_id")
    )
    sums = bought.groupBy("customer_id", "article_id").agg(F.count("*").alias("units"), F.sum("price").alias("revenue"))
    hits = (
        picks.join(F.broadcast(sums), ["customer_id", "article_id"])
        .distinct()  # two picks may be one article by now
        .groupBy("customer_id")
        .agg(F.sum("units").alias("units"), F.sum("revenue").alias("revenue"))
    )
    spent = bought.groupBy("customer_id").agg(F.sum("price").alias("spent"))
    return (
        people.join(spent, "customer_id", "left")
        .join(hits, "customer_id", "left")
        .groupBy("bucket", "age")
        .agg(
            F.count("*").alias("published"),
            F.count("spent").alias("buyers"),
            F.count("units").alias("hit"),
            F.coalesce(F.sum("units"), F.lit(0)).alias("units"),
            F.coalesce(F.sum("revenue"), F.lit(0.0)).alias("revenue"),
            F.coalesce(F.sum("spent"), F.lit(0.0)).alias("spent"),
        )
    )


def recommendation_metrics(counts: pl.DataFrame) -> pl.DataFrame:
    """Metrics of the recommendations for the week, of all, by bucket and by age band.

    Args:
        counts: see recommendation_counts.
    """
    counts = counts.with_columns(weeks_ago=pl.lit(0, pl.Int32), age_band=age_band(pl.col("age")))
    found = []
    for kind, segment in ((ALL, pl.lit(ALL)), ("bucket", pl.col("bucket")), ("age_band", pl.col("age_band"))):
        wide = by_segment(counts.with_columns(pl.col("bucket").cast(pl.String)), segment)
        sums = {
            "published_customers": pl.col("published").cast(pl.Float64),
            "recommended_units": pl.col("units").cast(pl.Float64),
            "recommended_revenue": pl.col("revenue"),
            "recommended_revenue_share": share("revenue", "spent"),
        }
        found.append(long(wide, kind, sums, pl.col("published")))
        for metric, trials in (("realised_hit_rate", "buyers"), ("conversion", "published")):
            low, high = wilson(pl.col("hit"), pl.col(trials))
            ends = wide.filter(pl.col(trials) > 0).select("segment", ci_low=low, ci_high=high)
            rates = long(wide, kind, {metric: share("hit", trials)}, pl.col(trials)).drop("ci_low", "ci_high")
            found.append(rates.join(ends, "segment").select(*LONG))
    return pl.concat(found)
