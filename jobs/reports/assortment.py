"""Purchases by article and week, and the counts of the assortment, of channels and of what pictures show."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from jobs.reports.baskets import UNKNOWN, weeks_ago

#: Weeks that an article is new for, the first one included, and units by which it has then sold through.
NEW_WEEKS, SOLD_THROUGH_UNITS = 4, 10
#: Bins of a price for each tenfold of it.
BINS_PER_DECADE = 10
#: Days, weeks and product groups that "what sells together" and the rankings of articles look at.
TOGETHER_DAYS, RANKING_WEEKS, TOGETHER_GROUPS = 28, 52, 12


def article_weeks(lines: DataFrame) -> DataFrame:
    """A row per article and week with sales: article_key, weeks_ago, units, revenue, highest, first_week.

    `highest` is the highest price that the article was sold at until the end of that week, `first_week` the weeks_ago
    of its first sale.

    Args:
        lines: see baskets.known_lines.
    """
    sums = lines.groupBy("article_key", weeks_ago(F.col("days_before")).alias("weeks_ago")).agg(
        F.count("*").alias("units"), F.sum("price").alias("revenue"), F.max("price").alias("price")
    )
    in_order = Window.partitionBy("article_key").orderBy(F.desc("weeks_ago"))
    return sums.select(
        "article_key",
        "weeks_ago",
        "units",
        "revenue",
        F.max("price").over(in_order).alias("highest"),
        F.first("weeks_ago").over(in_order).alias("first_week"),
    )


def department_counts(sold: DataFrame, articles: DataFrame) -> DataFrame:
    """Counts by week and department: units, revenue, at_highest (revenue at the highest prices), articles_sold,
    new_articles, new_article_units.

    Args:
        sold: see article_weeks.
    """
    department = F.coalesce("department_name", F.lit(UNKNOWN)).alias("department")
    age = F.col("first_week") - F.col("weeks_ago")
    return (
        sold.join(articles.select("article_key", "department_name"), "article_key")
        .groupBy("weeks_ago", department)
        .agg(
            F.sum("units").alias("units"),
            F.sum("revenue").alias("revenue"),
            F.sum(F.col("units") * F.col("highest")).alias("at_highest"),
            F.count("*").alias("articles_sold"),
            F.count_if(age == 0).alias("new_articles"),
            F.sum(F.when(age < NEW_WEEKS, F.col("units")).otherwise(0)).alias("new_article_units"),
        )
    )


def sell_through(sold: DataFrame) -> DataFrame:
    """Articles by the week in which their fourth week ended: weeks_ago, articles, sold_through, units."""
    is_new = F.col("first_week") - F.col("weeks_ago") < NEW_WEEKS
    fourth = F.col("first_week") - (NEW_WEEKS - 1)
    of_article = sold.where((fourth >= 0) & is_new).groupBy("article_key", fourth.alias("week"))
    units = of_article.agg(F.sum("units").alias("units"))
    return units.groupBy(F.col("week").alias("weeks_ago")).agg(
        F.count("*").alias("articles"),
        F.count_if(F.col("units") >= SOLD_THROUGH_UNITS).alias("sold_through"),
        F.sum("units").alias("units"),
    )


def department_customers(lines: DataFrame, articles: DataFrame) -> DataFrame:
    """Customers of each department in the newest week: weeks_ago, department, customers."""
    department = F.coalesce("department_name", F.lit(UNKNOWN)).alias("department")
    return (
        lines.where(F.col("days_before") <= 7)
        .join(F.broadcast(articles.select("article_key", department)), "article_key")
        .groupBy(F.lit(0).alias("weeks_ago"), "department")
        .agg(F.count_distinct("customer_key").alias("customers"))
    )


def price_bin(price: Column) -> Column:
    """Lower end of a price's bin as tenths of its decimal logarithm; null for what costs nothing."""
    return F.floor(F.log10(F.nullif(price, F.lit(0.0))) * BINS_PER_DECADE).cast("int")


def daily_counts(lines: DataFrame) -> DataFrame:
    """Counts by day, channel and bin of the price: days_before, sales_channel_id, price_bin, units, revenue."""
    return lines.groupBy("days_before", "sales_channel_id", price_bin(F.col("price")).alias("price_bin")).agg(
        F.count("*").alias("units"), F.sum("price").alias("revenue")
    )


def lifetimes(sold: DataFrame) -> DataFrame:
    """Articles by the weeks from their first to their last sale: weeks, articles."""
    last = F.min("weeks_ago")
    weeks = sold.groupBy("article_key", "first_week").agg((F.col("first_week") - last + 1).alias("weeks"))
    return weeks.groupBy("weeks").agg(F.count("*").alias("articles"))


def label_units(sold: DataFrame, articles: DataFrame) -> DataFrame:
    """Units of the last year by each label of the articles: label_of, label, units."""
    units = sold.where(F.col("weeks_ago") < RANKING_WEEKS).groupBy("article_key").agg(F.sum("units").alias("units"))
    columns = ("product_type_name", "product_group_name", "colour_group_name")
    labels = F.explode(
        F.create_map(*(part for c in columns for part in (F.lit(c), F.coalesce(c, F.lit(UNKNOWN)))))
    ).alias("label_of", "label")
    return (
        units.join(articles.select("article_key", *columns), "article_key")
        .select("units", labels)
        .groupBy("label_of", "label")
        .agg(F.sum("units").alias("units"))
    )


def sold_together(lines: DataFrame, articles: DataFrame) -> DataFrame:
    """Baskets of the last four weeks with both of two product groups: one, other, baskets; one = other: with it."""
    group = F.coalesce("product_group_name", F.lit(UNKNOWN)).alias("product_group")
    there = (
        lines.where(F.col("days_before") <= TOGETHER_DAYS)
        .join(F.broadcast(articles.select("article_key", group)), "article_key")
        .groupBy("customer_key", "days_before")
        .agg(F.collect_set("product_group").alias("groups"))
    )
    one = there.select("groups", F.explode("groups").alias("one"))
    both = one.select("one", F.explode("groups").alias("other"))
    return both.groupBy("one", "other").agg(F.count("*").alias("baskets"))


def missing_shares(rows: DataFrame) -> DataFrame:
    """One row: of each column the share of rows without a value."""
    return rows.select(*(F.avg(F.col(name).isNull().cast("int")).alias(name) for name in rows.columns))
