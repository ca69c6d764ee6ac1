"""From counts by week and segment to the rows of gold/business_metrics: stocks, rates, intervals and changes.

Frames of metrics are long: weeks_ago, segment_type, segment, metric, value, customer_count, ci_low, ci_high.
"""

from __future__ import annotations

import calendar
from collections.abc import Mapping
from datetime import date, timedelta

import polars as pl

from expectations.business import ALL, BUSINESS_METRICS, RETENTION
from jobs.metrics.rates import wilson_bounds
from jobs.platform.settings import WEEK
from jobs.reports.assortment import FOURTH_WEEK, NEW_WEEKS
from jobs.reports.baskets import CHANNELS, CHURN_WEEKS, DAILY, PERIOD_DAYS

_KEY = ["weeks_ago", "segment_type", "segment", "metric"]
LONG = {
    "weeks_ago": pl.Int32, "segment_type": pl.String, "segment": pl.String, "metric": pl.String, "value": pl.Float64,
    "customer_count": pl.Int64, "ci_low": pl.Float64, "ci_high": pl.Float64,
}  # fmt: skip
#: Decimals of a value: sums of prices differ beyond them by the order that they are added in.
_DECIMALS = 9


def long(wide: pl.DataFrame, segment_type: str, values: Mapping[str, pl.Expr], customers: pl.Expr) -> pl.DataFrame:
    """A row for each week, segment and metric whose value is a number.

    Args:
        wide: weeks_ago, segment, and what the expressions need.
        customers: whom the values are about.
    """
    made = wide.select("weeks_ago", "segment", customers.cast(pl.Int64).alias("customer_count"), **values)
    rows = made.unpivot(index=["weeks_ago", "segment", "customer_count"], variable_name="metric", value_name="value")
    return rows.filter(pl.col("value").is_finite()).select(
        pl.col("weeks_ago").cast(pl.Int32),
        pl.lit(segment_type).alias("segment_type"),
        pl.col("segment").cast(pl.String),
        "metric",
        pl.col("value").round(_DECIMALS),
        "customer_count",
        pl.lit(None, pl.Float64).alias("ci_low"),
        pl.lit(None, pl.Float64).alias("ci_high"),
    )


def share(part: str, whole: str) -> pl.Expr:
    """One column over another."""
    return pl.col(part) / pl.col(whole)


def every_week(counts: pl.DataFrame, weeks: int) -> pl.DataFrame:
    """Counts of each segment in each of the weeks, the oldest first; 0 where there is no row."""
    grid = pl.DataFrame({"weeks_ago": range(weeks)}, schema={"weeks_ago": pl.Int32}).join(
        counts.select("segment").unique(), how="cross"
    )
    full = grid.join(counts.with_columns(pl.col("weeks_ago").cast(pl.Int32)), ["weeks_ago", "segment"], how="left")
    return full.fill_null(0).sort("segment", "weeks_ago", descending=[False, True])


def by_segment(counts: pl.DataFrame, segment: pl.Expr) -> pl.DataFrame:
    """Sums of the counts by week and segment."""
    return (
        counts.with_columns(segment.alias("segment"))
        .group_by("weeks_ago", "segment")
        .agg(pl.col(pl.Int64, pl.Float64).sum())
    )


def churned(weekly: pl.DataFrame) -> pl.DataFrame:
    """Customers by the week of their 90th day without a purchase: weeks_ago, age_band, club_status, churned.

    Args:
        weekly: see baskets.weekly_counts.
    """
    parts = [
        weekly.select(pl.col("weeks_ago") - later, "age_band", "club_status", churned=f"churned_{later}")
        for later in CHURN_WEEKS
    ]
    return pl.concat(parts).filter(pl.col("churned") > 0)


def customer_metrics(weekly: pl.DataFrame, weeks: int) -> pl.DataFrame:
    """Metrics of all customers, by age band, club status, and new or returning.

    Args:
        weekly: see baskets.weekly_counts.
        weeks: since the first purchase.
    """
    churn = churned(weekly)
    sales = {
        "active_customers": pl.col("active").cast(pl.Float64),
        "baskets": pl.col("baskets").cast(pl.Float64),
        "units": pl.col("units").cast(pl.Float64),
        "revenue": pl.col("revenue"),
        "units_per_basket": share("units", "baskets"),
        "revenue_per_basket": share("revenue", "baskets"),
        "baskets_per_customer": share("baskets", "active"),
        "units_per_customer": share("units", "active"),
        "revenue_per_customer": share("revenue", "active"),
        "average_price": share("revenue", "units"),
    }
    new = pl.when(pl.col("is_new")).then(pl.col("active")).otherwise(0).alias("new")
    weekly = weekly.with_columns(new)
    found = []
    for kind, segment in ((ALL, pl.lit(ALL)), ("age_band", pl.col("age_band")), ("club_status", pl.col("club_status"))):
        gone = by_segment(churn, segment)
        wide = every_week(
            by_segment(weekly, segment).join(gone, ["weeks_ago", "segment"], how="full", coalesce=True), weeks
        )
        bought_lately = (pl.col("new") + pl.col("won_back") - pl.col("churned")).cum_sum().over("segment")
        wide = wide.with_columns(
            known=pl.col("new").cum_sum().over("segment"),
            repeaters=pl.col("second_baskets").cum_sum().over("segment"),
            active_before=pl.col("active").shift(1).over("segment"),
            lately_before=bought_lately.shift(1).over("segment"),
        )
        came = {
            "new_customers": pl.col("new").cast(pl.Float64),
            "returning_customers": (pl.col("active") - pl.col("new")).cast(pl.Float64),
            "won_back_customers": pl.col("won_back").cast(pl.Float64),
        }
        known = {
            "known_customers": pl.col("known").cast(pl.Float64), "repeat_purchase_rate": share("repeaters", "known")
        }  # fmt: skip
        gone_rate = {
            "churned_customers": pl.col("churned").cast(pl.Float64),
            "churn_rate_90d": share("churned", "lately_before"),
        }
        found += [
            long(wide, kind, sales | came, pl.col("active")),
            long(wide, kind, {"retention_7d": share("retained", "active_before")}, pl.col("active_before")),
            long(wide, kind, known, pl.col("known")),
            long(wide, kind, gone_rate, pl.col("lately_before")),
        ]
    lifecycle = pl.when(pl.col("is_new")).then(pl.lit("new")).otherwise(pl.lit("returning"))
    return pl.concat(
        [*found, long(every_week(by_segment(weekly, lifecycle), weeks), "lifecycle", sales, pl.col("active"))]
    )


def cohort_metrics(cohorts: pl.DataFrame, as_of_date: date) -> pl.DataFrame:
    """Retention of each cohort in each 30-day period, in the week in which its last customer had it behind them.

    Args:
        cohorts: see baskets.cohort_counts.
    """
    bought = {(cohort, period): count for cohort, period, count in cohorts["cohort", "period", "customers"].iter_rows()}
    rows = []
    for first, customers in cohorts.group_by("cohort").agg(pl.col("known").sum()).iter_rows():
        last = first.replace(day=calendar.monthrange(first.year, first.month)[1])
        period = 1
        while (over := last + timedelta(days=PERIOD_DAYS * (period + 1))) <= as_of_date:
            value = round(bought.get((first, period), 0) / customers, _DECIMALS)
            week, cohort = (as_of_date - over).days // 7, f"{first:%Y-%m}"
            rows.append((week, "cohort", cohort, f"{RETENTION}_{period}", value, customers, None, None))
            period += 1
    return pl.DataFrame(rows, schema=LONG, orient="row")


def assortment_metrics(
    departments: pl.DataFrame, articles: pl.DataFrame, customers: pl.DataFrame, weeks: int
) -> pl.DataFrame:
    """Metrics of the assortment, of all and by department.

    Args:
        departments: see assortment.department_counts.
        articles: see assortment.article_counts.
        customers: see assortment.department_customers.
        weeks: since the first purchase.
    """
    through = articles.filter(pl.col("of") == FOURTH_WEEK).with_columns(weeks_ago=pl.col("label").cast(pl.Int32))
    every = every_week(by_segment(departments, pl.lit(ALL)), weeks).with_columns(
        ever_sold=pl.col("new_articles").cum_sum().over("segment")
    )
    depth = {
        "discount_depth": 1 - share("revenue", "at_highest"),
        "articles_sold": pl.col("articles_sold").cast(pl.Float64),
        "new_articles": pl.col("new_articles").cast(pl.Float64),
        "new_article_unit_share": share("new_article_units", "units"),
    }
    no_customers = pl.lit(None, pl.Int64)
    coverage = {"catalogue_coverage": share("articles_sold", "ever_sold")}
    after_four = {
        f"new_article_sell_through_{NEW_WEEKS}w": share("sold_through", "articles"),
        f"new_article_units_{NEW_WEEKS}w": share("units", "articles"),
    }
    total = every.select("weeks_ago", all_units="units", all_revenue="revenue")
    by_department = every_week(by_segment(departments, pl.col("department")), weeks).join(total, "weeks_ago")
    people = customers.select(pl.col("weeks_ago").cast(pl.Int32), segment="department", customers="customers")
    by_department = by_department.join(people, ["weeks_ago", "segment"], how="left").filter(pl.col("units") > 0)
    of_department = {
        "active_customers": pl.col("customers").cast(pl.Float64),
        "units": pl.col("units").cast(pl.Float64),
        "revenue": pl.col("revenue"),
        "average_price": share("revenue", "units"),
        "revenue_share": share("revenue", "all_revenue"),
    }
    return pl.concat(
        [
            long(every, ALL, depth | coverage, no_customers),
            long(
                through.filter(pl.col("weeks_ago") >= 0).with_columns(segment=pl.lit(ALL)),
                ALL,
                after_four,
                no_customers,
            ),
            long(by_department, "department", of_department | depth, pl.col("customers")),
        ]
    )


def channel_metrics(daily: pl.DataFrame, weekly: pl.DataFrame) -> pl.DataFrame:
    """Metrics of each channel.

    Args:
        daily: see baskets.daily_counts.
        weekly: see baskets.weekly_counts.
    """
    week = ((pl.col("days_before") - 1) // 7).cast(pl.Int32).alias("weeks_ago")
    sums = daily.group_by(week).agg(pl.col(*DAILY).sum()).rename({"units": "all_units", "revenue": "all_revenue"})
    store = {"units": pl.col("store_units"), "revenue": pl.col("store_revenue")}
    of_channel = (store, {name: pl.col(f"all_{name}") - part for name, part in store.items()})
    parts = [
        sums.with_columns(segment=pl.lit(name), **of) for name, of in zip(CHANNELS.values(), of_channel, strict=True)
    ]
    customers = weekly.group_by(pl.col("weeks_ago").cast(pl.Int32)).agg(pl.col(*CHANNELS.values()).sum())
    people = customers.unpivot(index="weeks_ago", variable_name="segment", value_name="customers")
    wide = pl.concat(parts).filter(pl.col("units") > 0).join(people, ["weeks_ago", "segment"])
    values = {
        "active_customers": pl.col("customers").cast(pl.Float64),
        "units": pl.col("units").cast(pl.Float64),
        "revenue": pl.col("revenue"),
        "average_price": share("revenue", "units"),
        "unit_share": share("units", "all_units"),
        "revenue_share": share("revenue", "all_revenue"),
    }
    return long(wide, "channel", values, pl.col("customers"))


def wilson(successes: pl.Expr, trials: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    """Wilson's 95 % interval of a rate (Wilson, JASA 22, 1927)."""
    low, high = wilson_bounds(successes, trials)
    return low.clip(0.0), high.clip(upper_bound=1.0)


def metric_rows(
    metrics: pl.DataFrame, published: pl.DataFrame, as_of_date: date, run_id: str, weeks: list[int]
) -> pl.DataFrame:
    """Rows of gold/business_metrics of some weeks, with the changes to the weeks before.

    Args:
        metrics: of all weeks, long.
        published: as_of_date, segment_type, segment, metric and value of weeks that the table has; they stay as they
            are, and changes are to them.
        weeks: weeks_ago of those wanted; of departments only the run's own week is.
    """
    key = ["as_of_date", *_KEY[1:]]
    dated = metrics.with_columns(as_of_date=pl.lit(as_of_date) - pl.duration(days=7) * pl.col("weeks_ago"))
    values = pl.concat([published.select(*key, "value"), dated.select(*key, "value")]).unique(key, keep="first")
    is_detail = (pl.col("segment_type") == "department") & (pl.col("weeks_ago") > 0)
    rows = dated.filter(pl.col("weeks_ago").is_in(weeks) & ~is_detail)
    for column, count in (("change", 1), ("change_52w", 52)):
        earlier = values.select(pl.col("as_of_date") + count * WEEK, *_KEY[1:], pl.col("value").alias("earlier"))
        rows = rows.join(earlier, key, how="left").with_columns((pl.col("value") - pl.col("earlier")).alias(column))
        rows = rows.drop("earlier")
    return rows.with_columns(week_start_date=pl.col("as_of_date") - WEEK, run_id=pl.lit(run_id)).select(
        *BUSINESS_METRICS.column_names
    )
