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
#: What articles are counted by beside the week: columns, and how long and how fast they sold.
LABELS, LIFETIME, FOURTH_WEEK = ("product_type_name", "product_group_name", "colour_group_name"), "lifetime", "new"


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
        articles: silver/articles.
    """
    age = F.col("first_week") - F.col("weeks_ago")
    return (
        sold.join(F.broadcast(articles.select("article_key", _label("department_name"))), "article_key")
        .groupBy("weeks_ago", F.col("department_name").alias("department"))
        .agg(
            F.sum("units").alias("units"),
            F.sum("revenue").alias("revenue"),
            F.sum(F.col("units") * F.col("highest")).alias("at_highest"),
            F.count("*").alias("articles_sold"),
            F.count_if(age == 0).alias("new_articles"),
            F.sum(F.when(age < NEW_WEEKS, F.col("units")).otherwise(0)).alias("new_article_units"),
        )
    )


def article_counts(sold: DataFrame, articles: DataFrame) -> DataFrame:
    """Articles by how they sold and by what they are: of, label, articles, units, sold_through (with
    SOLD_THROUGH_UNITS units or more).

    `of` is a column of LABELS with units of the last RANKING_WEEKS; LIFETIME by the weeks from the first to the last
    sale with all units; or FOURTH_WEEK by the weeks_ago of the week in which an article was new last, with the units
    until then.

    Args:
        sold: see article_weeks.
        articles: silver/articles.
    """
    week, fourth = F.col("weeks_ago"), F.col("first_week") - (NEW_WEEKS - 1)
    each = sold.groupBy("article_key", "first_week").agg(
        F.sum("units").alias("units"),
        F.sum(F.when(week < RANKING_WEEKS, F.col("units")).otherwise(0)).alias("year_units"),
        F.sum(F.when(week >= fourth, F.col("units")).otherwise(0)).alias("new_units"),
        F.min("weeks_ago").alias("last_week"),
    )

    def counted(of: str, label: Column, units: str) -> Column:
        return F.struct(F.lit(of).alias("of"), label.cast("string").alias("label"), F.col(units).alias("units"))

    lifetime = F.col("first_week") - F.col("last_week") + 1
    kinds = [counted(name, F.col(name), "year_units") for name in LABELS]
    kinds += [counted(LIFETIME, lifetime, "units"), counted(FOURTH_WEEK, fourth, "new_units")]
    return (
        each.join(F.broadcast(articles.select("article_key", *map(_label, LABELS))), "article_key")
        .select(F.inline(F.array(*kinds)))
        .groupBy("of", "label")
        .agg(
            F.count("*").alias("articles"),
            F.sum("units").alias("units"),
            F.count_if(F.col("units") >= SOLD_THROUGH_UNITS).alias("sold_through"),
        )
    )


def _label(name: str) -> Column:
    return F.coalesce(name, F.lit(UNKNOWN)).alias(name)


def department_customers(lines: DataFrame, articles: DataFrame) -> DataFrame:
    """Customers of each department in the newest week: weeks_ago, department, customers."""
    return (
        lines.where(F.col("days_before") <= 7)
        .join(F.broadcast(articles.select("article_key", _label("department_name"))), "article_key")
        .groupBy(F.lit(0).alias("weeks_ago"), F.col("department_name").alias("department"))
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


def sold_together(lines: DataFrame, articles: DataFrame) -> DataFrame:
    """Baskets of the last four weeks with both of two product groups: one, other, baskets; one = other: with it."""
    there = (
        lines.where(F.col("days_before") <= TOGETHER_DAYS)
        .join(F.broadcast(articles.select("article_key", _label("product_group_name"))), "article_key")
        .groupBy("customer_key", "days_before")
        .agg(F.collect_set("product_group_name").alias("groups"))
    )
    one = there.select("groups", F.explode("groups").alias("one"))
    both = one.select("one", F.explode("groups").alias("other"))
    return both.groupBy("one", "other").agg(F.count("*").alias("baskets"))


def missing_counts(rows: DataFrame, *by: str) -> DataFrame:
    """Rows, and of each column those without a value, by some of the columns: rows, and the columns' own names."""
    missing = (F.count_if(F.col(name).isNull()).alias(name) for name in rows.columns if name not in by)
    return rows.groupBy(*by).agg(F.count("*").alias("rows"), *missing)


def place_counts(visitors: DataFrame) -> DataFrame:
    """Visitors by region and by age group: of, label, visitors; without those of whom it is unknown.

    Args:
        visitors: silver/visitors, of one date.
    """
    kinds = (F.struct(F.lit(name).alias("of"), F.col(name).alias("label")) for name in ("region", "age_group"))
    return (
        visitors.select(F.inline(F.array(*kinds)))
        .where(F.col("label").isNotNull())
        .groupBy("of", "label")
        .agg(F.count("*").alias("visitors"))
    )
