"""Purchases as baskets with what came before and after them, and the counts of each week that follow from them.

A basket is all that a customer bought on one day. Days and weeks are counted back from the as-of date: the day before
it is 1, the week before it, from Wednesday to Tuesday, is 0. What a week's counts say was known when it ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from itertools import product

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from expectations.business import CUSTOMER_SEGMENTS

#: A customer who buys nothing for longer than these days has churned.
CHURN_DAYS = 90
#: Days of a period of a cohort.
PERIOD_DAYS = 30
#: So many weeks after the week of the last basket a customer churns, by the day of the week.
CHURN_WEEKS = (CHURN_DAYS // 7, CHURN_DAYS // 7 + 1)
#: Days before the as-of date of customers' states: churn is learnt from the last and checked at the second.
HORIZONS = (0, CHURN_DAYS, 2 * CHURN_DAYS)
#: Upper ends of the bands of churn probabilities: days since the last basket, and baskets.
RECENCY_BANDS, FREQUENCY_BANDS = (7, 14, 30, 60, 90, 180, 365), (1, 2, 4, 9)
#: Baskets that a customer's count ends at.
MOST_BASKETS = 20
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


def baskets(lines: DataFrame, groups: DataFrame) -> DataFrame:
    """A row per customer and day, with the customer's group and other baskets.

    Columns: customer_key, days_before, units, revenue, has_store, has_online, age_band, club_status; number (1 for the
    first), spent (revenue until then); first, previous, following, and previous_store and previous_online (the
    days_before of that other basket; null where there is none).

    Args:
        lines: see `known_lines`.
        groups: see `customer_groups`.
    """
    is_store = F.col("sales_channel_id") == STORE
    sums = lines.groupBy("customer_key", "days_before").agg(
        F.count("*").alias("units"),
        F.sum("price").alias("revenue"),
        F.max(is_store).alias("has_store"),
        F.max(~is_store).alias("has_online"),
    )
    in_order = Window.partitionBy("customer_key").orderBy(F.desc("days_before"))
    earlier = in_order.rowsBetween(Window.unboundedPreceding, -1)
    day = F.col("days_before")
    return sums.join(groups.hint("shuffle_hash"), "customer_key", "left").select(
        *sums.columns,
        *(F.coalesce(name, F.lit(UNKNOWN)).alias(name) for name in ("age_band", "club_status")),
        F.row_number().over(in_order).alias("number"),
        F.sum("revenue").over(in_order.rowsBetween(Window.unboundedPreceding, 0)).alias("spent"),
        F.first(day).over(in_order).alias("first"),
        F.lag(day).over(in_order).alias("previous"),
        F.lead(day).over(in_order).alias("following"),
        F.min(F.when(F.col("has_store"), day)).over(earlier).alias("previous_store"),
        F.min(F.when(F.col("has_online"), day)).over(earlier).alias("previous_online"),
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


def weekly_counts(made: DataFrame) -> DataFrame:
    """Counts by week, age band, club status and whether the customers are new in that week.

    Columns: weeks_ago, age_band, club_status, is_new, active, retained (bought in the week before, too), baskets,
    units, revenue, second_baskets, won_back, store and online (customers who bought there), and churned_<n>: of those
    whose last basket for longer than CHURN_DAYS was in the week, who churned n weeks later.
    """
    day, week = F.col("days_before"), weeks_ago(F.col("days_before"))
    churn_day = day - CHURN_DAYS
    has_churned = (churn_day >= 1) & (F.col("following").isNull() | (F.col("following") < churn_day))

    def is_first(previous: str) -> Column:
        """The customer's first basket of the week, where `previous` is the one before it."""
        return F.col(previous).isNull() | (weeks_ago(F.col(previous)) > week)

    return made.groupBy(
        week.alias("weeks_ago"), "age_band", "club_status", (weeks_ago(F.col("first")) == week).alias("is_new")
    ).agg(
        F.count_if(is_first("previous")).alias("active"),
        F.count_if(weeks_ago(F.col("previous")) == week + 1).alias("retained"),
        F.count("*").alias("baskets"),
        F.sum("units").alias("units"),
        F.sum("revenue").alias("revenue"),
        F.count_if(F.col("number") == 2).alias("second_baskets"),
        F.count_if(F.col("previous") - day > CHURN_DAYS).alias("won_back"),
        F.count_if(F.col("has_store") & is_first("previous_store")).alias("store"),
        F.count_if(F.col("has_online") & is_first("previous_online")).alias("online"),
        *(
            F.count_if(has_churned & (week - weeks_ago(churn_day) == later)).alias(f"churned_{later}")
            for later in CHURN_WEEKS
        ),
    )


def cohort_counts(made: DataFrame, as_of_date: date) -> DataFrame:
    """Customers by the month of their first purchase and the 30-day period after it: cohort, period, customers.

    `cohort` is the month's first day. Period 0 has all customers of it, since it begins with their first purchase.
    """
    month = F.trunc(F.date_sub(F.lit(as_of_date), F.col("first")), "month").alias("cohort")
    period = F.floor((F.col("first") - F.col("days_before")) / PERIOD_DAYS).cast("int")
    before = F.floor((F.col("first") - F.col("previous")) / PERIOD_DAYS).cast("int")
    return (
        made.where(F.col("previous").isNull() | (before < period))
        .groupBy(month, period.alias("period"))
        .agg(F.count("*").alias("customers"))
    )


def state_counts(made: DataFrame) -> DataFrame:
    """Customers by what was known of them at each of HORIZONS, days before the as-of date, and what they then did.

    Columns: horizon, recency_band (days since the last basket, see RECENCY_BANDS), frequency (baskets, from
    MOST_BASKETS on in one), has_bought (in the CHURN_DAYS after that), customers, revenue (until then).
    """
    day, following = F.col("days_before"), F.col("following")
    states = []
    for horizon in HORIZONS:
        is_last_known = (day > horizon) & (following.isNull() | (following <= horizon))
        state = F.struct(
            F.lit(horizon).alias("horizon"),
            _band(day - horizon, RECENCY_BANDS).alias("recency_band"),
            F.least("number", F.lit(MOST_BASKETS)).alias("frequency"),
            F.coalesce(following > horizon - CHURN_DAYS, F.lit(False)).alias("has_bought"),
            F.col("spent"),
        )
        states.append(F.when(is_last_known, state))
    return (
        made.select(F.inline(F.array(*states)))
        .where(F.col("horizon").isNotNull())
        .groupBy("horizon", "recency_band", "frequency", "has_bought")
        .agg(F.count("*").alias("customers"), F.sum("spent").alias("revenue"))
    )


def _band(value: Column, limits: tuple[int, ...]) -> Column:
    """How many of the limits the value is above."""
    found = F.lit(0)
    for limit in limits:
        found = found + (value > limit).cast("int")
    return found


def segments(
    made: DataFrame,
    customers: DataFrame,
    shares: Mapping[tuple[int, int], float],
    mean_revenue: float,
    as_of_date: date,
    run_id: str,
) -> DataFrame:
    """gold/customer_segments: scores by fixed limits, and the first rule of RFM_SEGMENTS that holds.

    Args:
        made: see `baskets`.
        customers: silver/customers.
        shares: churn probability by recency and frequency band.
        mean_revenue: of all customers.
        as_of_date, run_id: of the run.
    """
    recency, frequency = _band(F.col("days_before"), RECENCY_BANDS), _band(F.col("number"), FREQUENCY_BANDS)
    table = F.array(
        *(F.lit(shares.get((r, f))).cast("double") for r, f in product(_bands(RECENCY_BANDS), _bands(FREQUENCY_BANDS)))
    )
    money = F.lit(1)
    for limit in (0.25, 0.5, 1, 2):
        money = money + (F.col("spent") >= limit * mean_revenue).cast("int")
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
        made.where(F.col("following").isNull())
        .join(customers.select("customer_key", "customer_id"), "customer_key")
        .select(
            "customer_id",
            F.col("days_before").alias("recency_days"),
            F.col("number").cast("bigint").alias("basket_count"),
            F.col("spent").alias("revenue"),
            table[recency * len(_bands(FREQUENCY_BANDS)) + frequency].alias("churn_probability"),
            (5 - _band(F.col("days_before"), (14, 30, 90, 180))).alias("r_score"),
            (1 + frequency).alias("f_score"),
            money.alias("m_score"),
            F.lit(as_of_date).alias("as_of_date"),
            F.lit(run_id).alias("run_id"),
        )
        .withColumn("segment", rules)
        .select(*CUSTOMER_SEGMENTS.column_names)
    )


def _bands(limits: tuple[int, ...]) -> range:
    return range(len(limits) + 1)
