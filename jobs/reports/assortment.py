"""Purchases by article and week, and the counts of the assortment, of channels and of what pictures show.

Those of some articles, or of some customers, are all of these (jobs.reports.passes); counts of several such parts add
up.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl

from jobs.reports.baskets import UNKNOWN, weeks_ago

#: Weeks that an article is new for, the first one included, and units by which it has then sold through.
NEW_WEEKS, SOLD_THROUGH_UNITS = 4, 10
#: Bins of a price for each tenfold of it.
BINS_PER_DECADE = 10
#: Days, weeks and product groups that "what sells together" and the rankings of articles look at.
TOGETHER_DAYS, RANKING_WEEKS, TOGETHER_GROUPS = 28, 52, 12
#: What articles are counted by beside the week: columns, and how long and how fast they sold.
LABELS, LIFETIME, FOURTH_WEEK = ("product_type_name", "product_group_name", "colour_group_name"), "lifetime", "new"
#: Columns of silver/articles that are counted by.
COUNTED_BY = ("department_name", *LABELS)

_week, _first_week, _units = pl.col("weeks_ago"), pl.col("first_week"), pl.col("units")


def labels(articles: pl.DataFrame) -> pl.DataFrame:
    """article_key and COUNTED_BY of silver/articles."""
    return articles.select("article_key", pl.col(*COUNTED_BY).fill_null(UNKNOWN))


def price_bin(price: pl.Expr) -> pl.Expr:
    """Lower end of a price's bin as tenths of its decimal logarithm; null for what costs nothing."""
    # Polars divides natural logarithms, which misses powers of ten.
    tenths = price.map_batches(lambda some: np.log10(some.to_numpy()) * BINS_PER_DECADE, return_dtype=pl.Float64)
    return pl.when(price > 0).then(tenths.floor()).cast(pl.Int32)


#: What `article_prices` counts by.
PRICES_KEY = ("article_key", "weeks_ago", "price_bin")


def article_prices(lines: pl.DataFrame) -> pl.DataFrame:
    """Sales by article, week and bin of the price: PRICES_KEY, units, revenue, price (the highest).

    Args:
        lines: see baskets.known_lines.
    """
    price = pl.col("price")
    by_price = lines.group_by("article_key", weeks_ago(pl.col("days_before")).alias("weeks_ago"), "price").agg(
        units=pl.len().cast(pl.Int64)
    )
    return by_price.group_by("article_key", "weeks_ago", price_bin(price).alias("price_bin")).agg(
        _units.sum(), revenue=(price * _units).sum(), price=price.max()
    )


def article_weeks(prices: pl.DataFrame) -> pl.DataFrame:
    """A row per article and week with sales: article_key, weeks_ago, units, revenue, highest, first_week.

    `highest` is the highest price that the article was sold at until the end of that week, `first_week` the weeks_ago
    of its first sale.

    Args:
        prices: see `article_prices`; an article's week and bin may be in several rows.
    """
    sums = prices.group_by("article_key", "weeks_ago").agg(_units.sum(), pl.col("revenue").sum(), pl.col("price").max())
    in_order = sums.sort("article_key", "weeks_ago", descending=[False, True])
    return in_order.with_columns(
        highest=pl.col("price").cum_max().over("article_key"), first_week=_week.first().over("article_key")
    ).drop("price")


def department_counts(sold: pl.DataFrame, articles: pl.DataFrame) -> pl.DataFrame:
    """Counts by week and department: units, revenue, at_highest (revenue at the highest prices), articles_sold,
    new_articles, new_article_units.

    Args:
        sold: see `article_weeks`.
        articles: see `labels`.
    """
    age = _first_week - _week
    return (
        sold.join(articles, "article_key")
        .group_by("weeks_ago", department="department_name")
        .agg(
            _units.sum(),
            pl.col("revenue").sum(),
            at_highest=(_units * pl.col("highest")).sum(),
            articles_sold=pl.len().cast(pl.Int64),
            new_articles=(age == 0).sum().cast(pl.Int64),
            new_article_units=_units.filter(age < NEW_WEEKS).sum(),
        )
    )


def article_counts(sold: pl.DataFrame, articles: pl.DataFrame) -> pl.DataFrame:
    """Articles by how they sold and by what they are: of, label, articles, units, sold_through (with
    SOLD_THROUGH_UNITS units or more).

    `of` is a column of LABELS with units of the last RANKING_WEEKS; LIFETIME by the weeks from the first to the last
    sale with all units; or FOURTH_WEEK by the weeks_ago of the week in which an article was new last, with the units
    until then.

    Args:
        sold: see `article_weeks`.
        articles: see `labels`.
    """
    fourth = _first_week - (NEW_WEEKS - 1)
    each = (
        sold.group_by("article_key", "first_week")
        .agg(
            _units.sum(),
            year_units=_units.filter(_week < RANKING_WEEKS).sum(),
            new_units=_units.filter(_week >= fourth).sum(),
            last_week=_week.min(),
        )
        .join(articles, "article_key")
    )

    def counted(of: str, label: pl.Expr, units: str) -> pl.DataFrame:
        of_each = each.select(of=pl.lit(of), label=label.cast(pl.String), units=units)
        return of_each.group_by("of", "label").agg(
            _units.sum(),
            articles=pl.len().cast(pl.Int64),
            sold_through=(_units >= SOLD_THROUGH_UNITS).sum().cast(pl.Int64),
        )

    kinds = [counted(name, pl.col(name), "year_units") for name in LABELS]
    kinds.append(counted(LIFETIME, _first_week - pl.col("last_week") + 1, "units"))
    return pl.concat([*kinds, counted(FOURTH_WEEK, fourth, "new_units")])


def price_counts(prices: pl.DataFrame) -> pl.DataFrame:
    """Units by bin of the price, without those that cost nothing: price_bin, units.

    Args:
        prices: see `article_prices`.
    """
    return prices.drop_nulls("price_bin").group_by("price_bin").agg(_units.sum())


def recent_lines(lines: pl.DataFrame) -> pl.DataFrame:
    """Customer, day and article of what was bought in the last TOGETHER_DAYS.

    Args:
        lines: see baskets.known_lines.
    """
    return (
        lines.filter(pl.col("days_before") <= TOGETHER_DAYS)
        .select("customer_key", "days_before", "article_key")
        .unique()
    )


def department_customers(recent: pl.DataFrame, articles: pl.DataFrame) -> pl.DataFrame:
    """Customers of each department in the newest week: weeks_ago, department, customers.

    Args:
        recent: see `recent_lines`.
        articles: see `labels`.
    """
    week = recent.filter(pl.col("days_before") <= 7).join(articles, "article_key")
    customers = pl.col("customer_key").n_unique().cast(pl.Int64)
    return week.group_by(pl.lit(0, pl.Int32).alias("weeks_ago"), department="department_name").agg(customers=customers)


def sold_together(recent: pl.DataFrame, articles: pl.DataFrame) -> pl.DataFrame:
    """Baskets of the last four weeks with both of two product groups: one, other, baskets; one = other: with it.

    Args:
        recent: see `recent_lines`.
        articles: see `labels`.
    """
    there = (
        recent.join(articles, "article_key").select("customer_key", "days_before", one="product_group_name").unique()
    )
    both = there.join(there.rename({"one": "other"}), ["customer_key", "days_before"])
    return both.group_by("one", "other").agg(baskets=pl.len().cast(pl.Int64))


def missing_counts(parts: Iterable[pl.DataFrame], *by: str) -> pl.DataFrame:
    """Rows, and of each column those without a value, by some of the columns: rows, and the columns' own names.

    Args:
        parts: of the table.
        by: columns, which are not counted.
    """
    counted = [
        part.group_by(by).agg(pl.exclude(by).null_count().cast(pl.Int64), rows=pl.len().cast(pl.Int64))
        if by
        else part.select(pl.all().null_count().cast(pl.Int64), rows=pl.len().cast(pl.Int64))
        for part in parts
    ]
    return pl.concat(counted).group_by(by).agg(pl.exclude(by).sum()) if by else pl.concat(counted).sum()


def place_counts(visitors: pl.DataFrame) -> pl.DataFrame:
    """Visitors by region and by age group: of, label, visitors; without those of whom it is unknown.

    Args:
        visitors: region and age_group of silver/visitors, of one date.
    """
    kinds = (
        visitors.select(of=pl.lit(name), label=name)
        .drop_nulls()
        .group_by("of", "label")
        .agg(visitors=pl.len().cast(pl.Int64))
        for name in ("region", "age_group")
    )
    return pl.concat(kinds)
