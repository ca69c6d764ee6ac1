"""Purchases as baskets with what came before and after them, and the counts of each week that follow from them.

A basket is all that a customer bought on one day. Days and weeks are counted back from the as-of date: the day before
it is 1, the week before it, from Wednesday to Tuesday, is 0. What a week's counts say was known when it ended.

Baskets are those of some customers, all of these customers' (jobs.reports.passes); counts of several such parts add up.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import polars as pl

#: A customer who buys nothing for longer than these days has churned.
CHURN_DAYS = 90
#: Days of a period of a cohort.
PERIOD_DAYS = 30
#: So many weeks after the week of the last basket a customer churns, by the day of the week.
CHURN_WEEKS = (CHURN_DAYS // 7, CHURN_DAYS // 7 + 1)
#: Days before the as-of date that customers' states are counted at: churn is learnt at the last, checked at the second.
HORIZONS = (0, CHURN_DAYS, 2 * CHURN_DAYS)
#: Upper ends of the bands that a churn probability depends on: days since the last basket, and baskets.
RECENCY_BANDS, FREQUENCY_BANDS = (7, 14, 30, 60, 90, 180, 365), (1, 2, 4, 9)
#: Baskets that a customer's count ends at.
MOST_BASKETS = 20
STORE, ONLINE = 1, 2
CHANNELS = {STORE: "store", ONLINE: "online"}
#: What is counted of a day.
DAILY = ("units", "revenue", "store_units", "store_revenue")
UNKNOWN = "unknown"
#: Columns of a line that are looked at.
LINE = ("customer_key", "article_key", "t_dat", "price", "sales_channel_id")

_day = pl.col("days_before")
_following, _previous, _first = pl.col("following"), pl.col("previous"), pl.col("first")


def weeks_ago(days_before: pl.Expr) -> pl.Expr:
    """The week of a day, 0 for the week before the as-of date."""
    return (days_before - 1) // 7


def known_lines(lines: pl.DataFrame, as_of_date: date, since: date | None = None) -> pl.DataFrame:
    """Lines before the as-of date: customer_key, article_key, price, is_store, days_before.

    Args:
        lines: columns LINE of silver/transactions.
        as_of_date: of the run.
        since: the first day; None: all.
    """
    day = pl.col("t_dat")
    is_known = day < as_of_date if since is None else (day < as_of_date) & (day >= since)
    days_before = (pl.lit(as_of_date) - day).dt.total_days().cast(pl.Int32)
    is_store = pl.col("sales_channel_id") == STORE
    columns = ("customer_key", "article_key", "price")
    return lines.filter(is_known).select(*columns, is_store=is_store, days_before=days_before)


def basket_sums(lines: pl.DataFrame) -> pl.DataFrame:
    """A row per customer and day: customer_key, days_before, and DAILY.

    Args:
        lines: see `known_lines`.
    """
    is_store = pl.col("is_store")
    return lines.group_by("customer_key", "days_before").agg(
        units=pl.len().cast(pl.Int64),
        revenue=pl.col("price").sum(),
        store_units=is_store.sum().cast(pl.Int64),
        store_revenue=pl.col("price").filter(is_store).sum(),
    )


def added_up(parts: list[pl.DataFrame], *by: str) -> pl.DataFrame:
    """The sums of all columns but `by` over the rows that agree in those."""
    return pl.concat(parts).group_by(by).agg(pl.exclude(by).sum())


def baskets(sums: pl.DataFrame, groups: pl.DataFrame, earlier_customers: pl.DataFrame | None = None) -> pl.DataFrame:
    """Each customer's baskets, the oldest first, with the customer's group and other baskets.

    Columns: customer_key, days_before, units, revenue, store_units, store_revenue, age_band, club_status; basket_count
    (1), number (1 for the first), spent (revenue until then). Then days_before of baskets, null where there is none:
    first, previous, following, previous_store, previous_online, and store_day, online_day (its own, with such units).

    What customers bought before those is one row for each of them, dated as the last of it: without units and revenue,
    with the number of the baskets and their revenue.

    Args:
        sums: see `basket_sums`.
        groups: see `customer_groups`.
        earlier_customers: `known_customers` as the sums begin; None: they begin with the first purchase.
    """
    each = sums.with_columns(
        basket_count=pl.lit(1, pl.Int32),
        amount=pl.col("revenue"),
        first_day=_day,
        store_day=pl.when(pl.col("store_units") > 0).then(_day),
        online_day=pl.when(pl.col("units") > pl.col("store_units")).then(_day),
    )
    if earlier_customers is not None:
        nothing = (pl.lit(0).cast(each.schema[name]).alias(name) for name in DAILY)
        each = pl.concat([each, earlier_customers.with_columns(nothing).select(each.columns)])
    each = each.sort("customer_key", "days_before", descending=[False, True])
    own = {
        "number": pl.col("basket_count").cum_sum(),
        "spent": pl.col("amount").cum_sum(),
        "first": pl.col("first_day").first(),
        "last_store": pl.col("store_day").forward_fill(),
        "last_online": pl.col("online_day").forward_fill(),
    }
    made = each.with_columns(**{name: found.over("customer_key") for name, found in own.items()}).with_columns(
        previous=_of_basket(_day, 1),
        following=_of_basket(_day, -1),
        previous_store=_of_basket(pl.col("last_store"), 1),
        previous_online=_of_basket(pl.col("last_online"), 1),
    )
    named = made.join(groups, "customer_key", how="left", maintain_order="left")
    return named.with_columns(pl.col("age_band", "club_status").fill_null(UNKNOWN)).drop(
        "amount", "first_day", "last_store", "last_online"
    )


def _of_basket(value: pl.Expr, before: int) -> pl.Expr:
    """The value of the customer's basket so many before, of sorted baskets; null where that is another customer's.

    A window over each customer takes ten times as long.
    """
    customer = pl.col("customer_key")
    return pl.when(customer == customer.shift(before)).then(value.shift(before))


def known_customers(made: pl.DataFrame, horizon: int) -> pl.DataFrame:
    """A row per customer with a basket more than `horizon` days before the as-of date, as `baskets` takes it.

    Columns: customer_key, days_before (of the last of these baskets), basket_count, amount (all that was spent),
    first_day, store_day, online_day (of the last with such units).
    """
    return made.filter(_is_last_before(horizon)).select(
        "customer_key",
        "days_before",
        basket_count=pl.col("number").cast(pl.Int32),
        amount="spent",
        first_day="first",
        **{f"{name}_day": pl.coalesce(f"{name}_day", f"previous_{name}") for name in CHANNELS.values()},
    )


def _is_last_before(horizon: int) -> pl.Expr:
    """The customer's last basket of those more than so many days before the as-of date."""
    return (_day > horizon) & (_following.is_null() | (_following <= horizon))


def customer_groups(customers: pl.DataFrame) -> pl.DataFrame:
    """customer_key, age_band and club_status of each customer, as last delivered."""
    club = pl.col("club_member_status").str.to_lowercase().fill_null(UNKNOWN)
    return customers.select("customer_key", age_band=age_band(pl.col("age")), club_status=club)


def age_band(age: pl.Expr) -> pl.Expr:
    """Ten years of age, such as 20-29; those under 20 in one, and those from 70 on."""
    tens = age // 10 * 10
    return (
        pl.when(age.is_null())
        .then(pl.lit(UNKNOWN))
        .when(age < 20)
        .then(pl.lit("under 20"))
        .when(age >= 70)
        .then(pl.lit("70 and over"))
        .otherwise(pl.format("{}-{}", tens, tens + 9))
    )


#: What `weekly_counts` counts by.
WEEKLY_KEY = ("weeks_ago", "age_band", "club_status", "is_new")


def weekly_counts(made: pl.DataFrame) -> pl.DataFrame:
    """Counts by week, age band, club status and whether the customers are new in that week.

    Columns: WEEKLY_KEY, active, retained (bought in the week before, too), baskets, units, revenue, second_baskets,
    won_back, store and online (customers who bought there), and churned_<n>: of those whose last basket for longer than
    CHURN_DAYS was in the week, who churned n weeks later.
    """
    week, churn_day, number = weeks_ago(_day), _day - CHURN_DAYS, pl.col("number")
    has_churned = (churn_day >= 1) & (_following.is_null() | (_following < churn_day))

    def is_first(previous: str) -> pl.Expr:
        """The customer's first basket of the week, where `previous` is the one before it."""
        return pl.col(previous).is_null() | (weeks_ago(pl.col(previous)) > week)

    counted = {
        "active": is_first("previous"),
        "retained": weeks_ago(_previous) == week + 1,
        "second_baskets": (number >= 2) & (number - pl.col("basket_count") < 2),
        "won_back": _previous - _day > CHURN_DAYS,
        "store": (pl.col("store_day") == _day) & is_first("previous_store"),
        "online": (pl.col("online_day") == _day) & is_first("previous_online"),
        **{f"churned_{later}": has_churned & (week - weeks_ago(churn_day) == later) for later in CHURN_WEEKS},
    }
    is_new = _previous.is_null() | (weeks_ago(_first) == week)
    return made.group_by(week.alias("weeks_ago"), "age_band", "club_status", is_new.alias("is_new")).agg(
        pl.len().cast(pl.Int64).alias("baskets"),
        pl.col("units", "revenue").sum(),
        **{name: condition.sum().cast(pl.Int64) for name, condition in counted.items()},
    )


def daily_counts(made: pl.DataFrame) -> pl.DataFrame:
    """Sales by day: days_before, and DAILY."""
    return made.filter(pl.col("units") > 0).group_by("days_before").agg(pl.col(*DAILY).sum())


def cohort_counts(made: pl.DataFrame, as_of_date: date) -> pl.DataFrame:
    """Customers by the month of their first purchase and the 30-day period after it: cohort, period, customers, known.

    `cohort` is the month's first day; `known` adds up to all customers of it, over the periods.
    """
    month = (pl.lit(as_of_date) - pl.duration(days=_first)).cast(pl.Date).dt.truncate("1mo")
    period, before = (_first - _day) // PERIOD_DAYS, (_first - _previous) // PERIOD_DAYS
    return (
        made.filter(_previous.is_null() | (before < period))
        .group_by(month.alias("cohort"), period.alias("period"))
        .agg(customers=pl.len().cast(pl.Int64), known=_previous.is_null().sum().cast(pl.Int64))
    )


#: What `state_counts` counts by.
STATES_KEY = ("horizon", "recency_band", "frequency", "has_bought")


def state_counts(made: pl.DataFrame) -> pl.DataFrame:
    """Customers by what was known of them at each of HORIZONS, days before the as-of date, and what they then did.

    Columns: STATES_KEY (horizon, recency_band: days since the last basket, see RECENCY_BANDS, frequency: baskets, from
    MOST_BASKETS on in one, has_bought: in the CHURN_DAYS after that), customers, revenue (until then).
    """
    return pl.concat(
        made.filter(_is_last_before(horizon))
        .group_by(
            pl.lit(horizon).alias("horizon"),
            band(_day - horizon, RECENCY_BANDS).alias("recency_band"),
            pl.col("number").clip(upper_bound=MOST_BASKETS).alias("frequency"),
            (_following > horizon - CHURN_DAYS).fill_null(value=False).alias("has_bought"),
        )
        .agg(customers=pl.len().cast(pl.Int64), revenue=pl.col("spent").sum())
        for horizon in HORIZONS
    )


def band(value: pl.Expr, limits: tuple[int, ...]) -> pl.Expr:
    """How many of the limits the value is above."""
    return pl.sum_horizontal((value > limit).cast(pl.Int32) for limit in limits)


def segments(known: pl.DataFrame, shares: Mapping[tuple[int, int], float], mean_revenue: float) -> pl.DataFrame:
    """Rows of gold/customer_segments without date and run: scores by fixed limits, and the first rule that holds.

    Args:
        known: `known_customers` as of the date, with customer_id.
        shares: churn probability by recency and frequency band.
        mean_revenue: of all customers.
    """
    recency, frequency, spent = _day, pl.col("basket_count"), pl.col("amount")
    probabilities = pl.DataFrame(
        [(*cell, share) for cell, share in shares.items()],
        schema={"recency": pl.Int32, "frequency": pl.Int32, "churn_probability": pl.Float64},
        orient="row",
    )
    scored = known.with_columns(
        recency=band(recency, RECENCY_BANDS),
        frequency=band(frequency, FREQUENCY_BANDS),
        r_score=5 - band(recency, (14, 30, 90, 180)),
        m_score=1 + pl.sum_horizontal((spent >= limit * mean_revenue).cast(pl.Int32) for limit in (0.25, 0.5, 1, 2)),
    ).with_columns(f_score=1 + pl.col("frequency"))
    r, f, m = pl.col("r_score"), pl.col("f_score"), pl.col("m_score")
    rules = {
        "champion": (r >= 4) & (f >= 4) & (m >= 4),
        "loyal": (r >= 3) & (f >= 4),
        "new": (r >= 4) & (f == 1),
        "promising": r >= 3,
        "cannot lose": (f >= 4) & (m >= 4),
        "at risk": (r == 2) & (f >= 2),
        "hibernating": r == 2,
    }
    segment = pl.coalesce(*(pl.when(rule).then(pl.lit(name)) for name, rule in rules.items()), pl.lit("lost"))
    return scored.join(probabilities, ["recency", "frequency"], how="left").select(
        "customer_id",
        "r_score",
        "f_score",
        "m_score",
        "churn_probability",
        recency_days=recency,
        basket_count=frequency.cast(pl.Int64),
        revenue=spent,
        segment=segment,
    )
