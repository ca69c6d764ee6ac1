"""Purchases as baskets with what came before and after them, and the counts of each week that follow from them.

A basket is all that a customer bought on one day. Days and weeks are counted back from the as-of date: the day before
it is 1, the week before it, from Wednesday to Tuesday, is 0. What a week's counts say was known when it ended.
"""

from __future__ import annotations

from datetime import date

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from expectations.business import CUSTOMER_SEGMENTS

#: A customer who buys nothing for longer than these days has churned.
CHURN_DAYS = 90
#: Days of a period of a cohort.
PERIOD_DAYS = 30
STORE, ONLINE = 1, 2
UNKNOWN = "unknown"


def weeks_ago(days_before: Column) -> Column:
    """The week of a day, 0 for the week before the as-of date."""
    return F.floor((days_before - 1) / 7).cast("int")


def known_lines(transactions: DataFrame, as_of_date: date) -> DataFrame:
    """Lines before the as-of date: customer_key, article_key, price, sales_channel_id, days_before."""
    days_before = F.datediff(F.lit(as_of_date), "t_dat").alias("days_before")
    columns = ("customer_key", "article_key", "price", "sales_channel_id")
    return transactions.where(F.col("t_dat") < F.lit(as_of_date)).select(*columns, days_before)


def baskets(lines: DataFrame) -> DataFrame:
    """A row per customer and day, with the customer's other baskets.

    Columns: customer_key, days_before, units, revenue, has_store, has_online; number (1 for the first), first, previous
    and following (their days_before; null where there is none).

    Args:
        lines: see `known_lines`.
    """
    is_store = F.col("sales_channel_id") == STORE
    sums = lines.groupBy("customer_key", "days_before").agg(
        F.count("*").alias("units"),
        F.sum("price").alias("revenue"),
        F.max(is_store).alias("has_store"),
        F.max(~is_store).alias("has_online"),
    )
    in_order = Window.partitionBy("customer_key").orderBy(F.desc("days_before"))
    day = F.col("days_before")
    return sums.select(
        "*",
        F.row_number().over(in_order).alias("number"),
        F.first(day).over(in_order).alias("first"),
        F.lag(day).over(in_order).alias("previous"),
        F.lead(day).over(in_order).alias("following"),
    )


def customer_groups(customers: DataFrame) -> DataFrame:
    """customer_key, age_band and club_status of each customer, as last delivered."""
    tens = (F.floor(F.col("age") / 10) * 10).cast("int")
    band = (
        F.when(F.col("age").isNull(), UNKNOWN)
        .when(F.col("age") < 20, "under 20")
        .when(F.col("age") >= 70, "70 and over")
        .otherwise(F.concat(tens, F.lit("-"), tens + 9))
    )
    club = F.coalesce(F.lower("club_member_status"), F.lit(UNKNOWN))
    return customers.select("customer_key", band.alias("age_band"), club.alias("club_status"))


def weekly_counts(made: DataFrame, groups: DataFrame) -> DataFrame:
    """Counts by week, age band, club status and whether the customers are new in that week.

    Columns: weeks_ago, age_band, club_status, is_new, active, retained (bought in the week before, too), baskets,
    units, revenue, second_baskets, won_back.
    """
    week, before = weeks_ago(F.col("days_before")), weeks_ago(F.col("previous"))
    is_first_of_week = F.col("previous").isNull() | (before > week)
    return (
        made.join(groups, "customer_key", "left")
        .groupBy(
            week.alias("weeks_ago"),
            F.coalesce("age_band", F.lit(UNKNOWN)).alias("age_band"),
            F.coalesce("club_status", F.lit(UNKNOWN)).alias("club_status"),
            (weeks_ago(F.col("first")) == week).alias("is_new"),
        )
        .agg(
            F.count_if(is_first_of_week).alias("active"),
            F.count_if(before == week + 1).alias("retained"),
            F.count("*").alias("baskets"),
            F.sum("units").alias("units"),
            F.sum("revenue").alias("revenue"),
            F.count_if(F.col("number") == 2).alias("second_baskets"),
            F.count_if(F.col("previous") - F.col("days_before") > CHURN_DAYS).alias("won_back"),
        )
    )


def churn_counts(made: DataFrame, groups: DataFrame) -> DataFrame:
    """Customers by the week of their 90th day without a purchase: weeks_ago, age_band, club_status, churned."""
    churn_day = F.col("days_before") - CHURN_DAYS
    is_last = F.col("following").isNull() | (F.col("following") < churn_day)
    return (
        made.where((churn_day >= 1) & is_last)
        .join(groups, "customer_key", "left")
        .groupBy(
            weeks_ago(churn_day).alias("weeks_ago"),
            F.coalesce("age_band", F.lit(UNKNOWN)).alias("age_band"),
            F.coalesce("club_status", F.lit(UNKNOWN)).alias("club_status"),
        )
        .agg(F.count("*").alias("churned"))
    )


def cohort_counts(made: DataFrame, as_of_date: date) -> DataFrame:
    """Customers by the month of their first purchase and the 30-day period after it: cohort, period, customers.

    Period 0 has all customers of the cohort, since it begins with their first purchase.
    """
    first_day = F.date_sub(F.lit(as_of_date), F.col("first"))
    period = F.floor((F.col("first") - F.col("days_before")) / PERIOD_DAYS).cast("int")
    before = F.floor((F.col("first") - F.col("previous")) / PERIOD_DAYS).cast("int")
    cohort = F.date_format(first_day, "yyyy-MM").alias("cohort")
    return (
        made.where(F.col("previous").isNull() | (before < period))
        .groupBy(cohort, period.alias("period"))
        .agg(F.count("*").alias("customers"))
    )


def channel_customers(made: DataFrame) -> DataFrame:
    """Customers of each channel by week: weeks_ago, store, online."""
    week = weeks_ago(F.col("days_before")).alias("weeks_ago")
    of_customer = made.groupBy("customer_key", week).agg(
        F.max("has_store").alias("has_store"), F.max("has_online").alias("has_online")
    )
    return of_customer.groupBy("weeks_ago").agg(
        F.count_if("has_store").alias("store"), F.count_if("has_online").alias("online")
    )


def customer_states(made: DataFrame) -> DataFrame:
    """Recency, frequency and money of each customer, and what they were 90 and 180 days before.

    Columns: customer_key, recency_0, frequency_0, revenue; recency_<h> and frequency_<h> of the purchases that were
    known h days before the as-of date (null where there was none), bought_<h>: whether the customer bought in the 90
    days after that.
    """
    day = F.col("days_before")
    earlier = []
    for horizon in (CHURN_DAYS, 2 * CHURN_DAYS):
        was_known = day > horizon
        earlier += [
            F.min(F.when(was_known, day - horizon)).alias(f"recency_{horizon}"),
            F.nullif(F.count_if(was_known), F.lit(0)).alias(f"frequency_{horizon}"),
            F.max(~was_known & (day > horizon - CHURN_DAYS)).alias(f"bought_{horizon}"),
        ]
    return made.groupBy("customer_key").agg(
        F.min(day).alias("recency_0"),
        F.count("*").alias("frequency_0"),
        F.sum("revenue").alias("revenue"),
        *earlier,
    )


def _band(value: str, limits: tuple[int, ...]) -> Column:
    """How many of the limits the value is above."""
    found = F.lit(0)
    for limit in limits:
        found = found + (F.col(value) > limit).cast("int")
    return found


#: Upper ends of the bands that a churn probability is told by: days since the last basket, and baskets.
RECENCY_BANDS, FREQUENCY_BANDS = (7, 14, 30, 60, 90, 180, 365), (1, 2, 4, 9)
_CELL = ["recency_band", "frequency_band"]


def _cells(states: DataFrame, horizon: int) -> DataFrame:
    """The customers known then with their bands, as columns of _CELL."""
    recency, frequency = _band(f"recency_{horizon}", RECENCY_BANDS), _band(f"frequency_{horizon}", FREQUENCY_BANDS)
    return states.where(F.col(f"recency_{horizon}").isNotNull()).select(
        "*", recency.alias("recency_band"), frequency.alias("frequency_band")
    )


def churn_shares(states: DataFrame, horizon: int) -> DataFrame:
    """Share of each cell who bought nothing in the 90 days after `horizon` days before the as-of date."""
    bought = F.col(f"bought_{horizon}").cast("int")
    return _cells(states, horizon).groupBy(*_CELL).agg(F.avg(1 - bought).alias("churn_probability"))


def churn_check(states: DataFrame) -> DataFrame:
    """The probabilities as of 90 days ago, learnt from the 90 days before that, beside what then happened.

    Columns: recency_band, customers, and sums over them: probability, churned, squared_error.
    """
    learnt = churn_shares(states, 2 * CHURN_DAYS)
    churned = 1 - F.col(f"bought_{CHURN_DAYS}").cast("int")
    error = F.col("churn_probability") - churned
    return (
        _cells(states, CHURN_DAYS)
        .join(F.broadcast(learnt), _CELL)
        .groupBy("recency_band")
        .agg(
            F.count("*").alias("customers"),
            F.sum("churn_probability").alias("probability"),
            F.sum(churned).alias("churned"),
            F.sum(error * error).alias("squared_error"),
        )
    )


def segments(states: DataFrame, customers: DataFrame, as_of_date: date, run_id: str) -> DataFrame:
    """gold/customer_segments: scores by fixed limits, and the first rule of RFM_SEGMENTS that holds."""
    mean = states.agg(F.avg("revenue").alias("mean_revenue"))
    share = F.col("revenue") / F.col("mean_revenue")
    money = F.lit(1)
    for limit in (0.25, 0.5, 1, 2):
        money = money + (share >= limit).cast("int")
    r, f, m = F.col("r_score"), F.col("f_score"), F.col("m_score")
    rules = (
        F.when((r >= 4) & (f >= 4) & (m >= 4), "champion")
        .when((r >= 3) & (f >= 4), "loyal")
        .when((r >= 4) & (f == 1), "new")
        .when(r >= 3, "promising")
        .when((f >= 4) & (m >= 4), "cannot lose")
        .when((r == 2) & (f >= 2), "at risk")
        .when(r == 2, "hibernating")
        .otherwise("lost")
    )
    return (
        _cells(states, 0)
        .join(F.broadcast(churn_shares(states, CHURN_DAYS)), _CELL, "left")
        .crossJoin(F.broadcast(mean))
        .join(customers.select("customer_key", "customer_id"), "customer_key")
        .withColumn("r_score", 5 - _band("recency_0", (14, 30, 90, 180)))
        .withColumn("f_score", 1 + _band("frequency_0", FREQUENCY_BANDS))
        .withColumn("m_score", money)
        .withColumn("segment", rules)
        .withColumns({"as_of_date": F.lit(as_of_date), "run_id": F.lit(run_id)})
        .withColumnsRenamed({"recency_0": "recency_days", "frequency_0": "basket_count"})
        .select(*CUSTOMER_SEGMENTS.column_names)
    )
