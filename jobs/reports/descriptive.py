"""Rows of gold/descriptive_statistics from counts: what the pictures of paper 000 and some more are drawn from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

import polars as pl

from expectations.business import DESCRIPTIVE_STATISTICS
from expectations.events import AGE_GROUPS
from jobs.reports.assortment import BINS_PER_DECADE, TOGETHER_GROUPS

#: Labels that a ranking shows, and weeks that an article's lifetime ends at.
TOP, MOST_WEEKS = 20, 52
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
#: Ranking -> the column that it is of.
RANKINGS = {
    "product_type": "product_type_name", "product_group": "product_group_name", "colour_group": "colour_group_name"
}  # fmt: skip

Row = tuple[str, str, int, str, float]


def daily_rows(daily: pl.DataFrame, as_of_date: date) -> Iterable[Row]:
    """Units and revenue of each day, and units by weekday and channel.

    Args:
        daily: see baskets.daily_counts.
    """
    first = daily["days_before"].max()
    for row in daily.iter_rows(named=True):
        day = as_of_date - timedelta(days=row["days_before"])
        for series in ("units", "revenue"):
            yield "daily_sales", series, first - row["days_before"], day.isoformat(), round(float(row[series]), 6)
    weekday = ((as_of_date.weekday() - pl.col("days_before")) % 7).alias("weekday")
    of_channel = {"store": pl.col("store_units"), "online": pl.col("units") - pl.col("store_units")}
    by_weekday = daily.group_by(weekday).agg(**{name: units.sum() for name, units in of_channel.items()})
    for channel in of_channel:
        for number, units in by_weekday.filter(pl.col(channel) > 0).select("weekday", channel).iter_rows():
            yield "weekday", channel, number, WEEKDAYS[number], units


def price_rows(prices: pl.DataFrame) -> Iterable[Row]:
    """Units by price.

    Args:
        prices: see assortment.price_counts.
    """
    least = prices["price_bin"].min()
    for price_bin, units in prices.iter_rows():
        yield "price", "units", price_bin - least, f"{10 ** (price_bin / BINS_PER_DECADE):.6g}", units


def ranking_rows(articles: pl.DataFrame) -> Iterable[Row]:
    """The labels that sold most in the last year.

    Args:
        articles: see assortment.article_counts.
    """
    sold = articles.filter(pl.col("units") > 0).sort(["units", "label"], descending=[True, False])
    for picture, column in RANKINGS.items():
        top = sold.filter(pl.col("of") == column).head(TOP)
        for place, (label, units) in enumerate(top.select("label", "units").iter_rows()):
            yield picture, "units", place, label, units


def place_rows(places: pl.DataFrame) -> Iterable[Row]:
    """Visitors by region, most first, and by age group, youngest first.

    Args:
        places: see assortment.place_counts.
    """
    most = places.sort(["visitors", "label"], descending=[True, False])
    regions = most.filter(pl.col("of") == "region").head(TOP).select("label", "visitors").iter_rows()
    for place, (label, visitors) in enumerate(regions):
        yield "region", "visitors", place, label, visitors
    groups = dict(most.filter(pl.col("of") == "age_group").select("label", "visitors").iter_rows())
    for place, label in enumerate(name for name in AGE_GROUPS if name in groups):
        yield "age_group", "visitors", place, label, groups[label]


def capped_rows(picture: str, counts: pl.DataFrame, most: int) -> Iterable[Row]:
    """Counts by a whole number from 1 on, all from `most` on in one.

    Args:
        counts: that number, and the count.
    """
    number, count = counts.columns
    for value, found in (
        counts.group_by(pl.col(number).clip(1, most).cast(pl.Int64)).agg(pl.col(count).sum()).sort(number).iter_rows()
    ):
        yield picture, count, value, f"{value} or more" if value == most else str(value), found


def age_rows(customers: pl.DataFrame) -> Iterable[Row]:
    """Customers by year of age.

    Args:
        customers: age and rows.
    """
    for age, count in customers.select("age", "rows").drop_nulls().sort("age").iter_rows():
        yield "age", "customers", age, str(age), count


def together_rows(pairs: pl.DataFrame) -> Iterable[Row]:
    """Of baskets with a product group the share that has each other one: a row of the matrix is a series.

    Args:
        pairs: see assortment.sold_together.
    """
    alone = pairs.filter(pl.col("one") == pl.col("other")).sort(["baskets", "one"], descending=[True, False])
    size = dict(alone.head(TOGETHER_GROUPS).select("one", "baskets").iter_rows())
    both = {(one, other): baskets for one, other, baskets in pairs.select("one", "other", "baskets").iter_rows()}
    for one in size:
        for place, other in enumerate(size):
            yield "sold_together", one, place, other, both.get((one, other), 0) / size[one]


def missing_rows(table: str, missing: pl.DataFrame, left_out: Sequence[str] = ()) -> Iterable[Row]:
    """Of a table's columns with missing values the share of rows.

    Args:
        table: its name.
        missing: rows, and of each column those without a value.
        left_out: columns whose null is no missing value.
    """
    counts = missing.sum().row(0, named=True)
    rows = counts.pop("rows")
    shares = sorted(((count / rows, c) for c, count in counts.items() if count and c not in left_out), reverse=True)
    for place, (share, column) in enumerate(shares):
        yield "missing_values", table, place, column, share


def statistics(rows: Iterable[Row], as_of_date: date, run_id: str) -> pl.DataFrame:
    """gold/descriptive_statistics."""
    schema = {
        "picture": pl.String, "series": pl.String, "position": pl.Int32, "label": pl.String, "value": pl.Float64
    }  # fmt: skip
    table = pl.DataFrame(list(rows), schema=schema, orient="row", strict=False)
    return table.with_columns(as_of_date=pl.lit(as_of_date), run_id=pl.lit(run_id)).select(
        *DESCRIPTIVE_STATISTICS.column_names
    )
