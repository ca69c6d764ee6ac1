"""gold/customer_features, gold/article_features, gold/interaction_features."""

from expectations.articles import ARTICLES
from expectations.contract import Column, Contract, Drift, Freshness, Reference, RowChange, as_of_column
from expectations.customers import CUSTOMERS
from expectations.transactions import MAX_PRICE

_GROWS = RowChange(0.9, None, "who has history keeps it: a tenth fewer rows is history that was lost")
_NO_WEEK_IS_SILENT = "no shop is silent for a week: a file is late"
_CALM = "0.15 at most in the weeks looked at; 0.25 is half a standard deviation"

CUSTOMER_FEATURES = Contract(
    layer="gold",
    name="customer_features",
    description="Purchase behaviour of each customer with history, as of a date; one slice per as-of date.",
    columns=(
        as_of_column(),
        Column("customer_id", "string", "Customer with at least one earlier purchase"),
        Column("transaction_count", "bigint", "Units bought", minimum=1),
        Column("first_purchase_date", "date", "First day of purchase"),
        Column("last_purchase_date", "date", "Last day of purchase"),
        Column("price_mean", "double", "Mean price over units", minimum=0, maximum=MAX_PRICE),
        Column("price_min", "double", "Lowest price paid", minimum=0, maximum=MAX_PRICE),
        Column("price_max", "double", "Highest price paid", minimum=0, maximum=MAX_PRICE),
        Column(
            "price_stddev",
            "double",
            "Sample standard deviation of price; null for one unit",
            nullable=True,
            minimum=0,
            maximum=MAX_PRICE,
        ),
        Column("total_spend", "double", "Sum of prices", minimum=0),
        Column("distinct_article_count", "bigint", "Different articles bought", minimum=1),
        Column("preferred_sales_channel_id", "int", "Most frequent channel; the smaller id on a tie"),
        Column("days_active", "int", "Days from first to last purchase", minimum=0),
        Column("purchase_frequency", "double", "transaction_count / max(days_active, 1)", minimum=0),
        Column("days_since_last_purchase", "int", "Days from the last purchase to the as-of date", minimum=1),
        Column("transaction_count_30d", "bigint", "Units in the 30 days before the as-of date", minimum=0),
        Column(
            "price_mean_30d",
            "double",
            "Mean price in those days; null if none",
            nullable=True,
            minimum=0,
            maximum=MAX_PRICE,
        ),
        Column("total_spend_30d", "double", "Spend in those days; 0 if none", minimum=0),
    ),
    key=("as_of_date", "customer_id"),
    partition_by=("as_of_date",),
    references=(Reference("customer_id", CUSTOMERS),),
    row_change=_GROWS,
    drifts=tuple(Drift(column, 0.25, _CALM) for column in ("transaction_count", "price_mean", "price_mean_30d")),
    freshness=Freshness("last_purchase_date", 7, _NO_WEEK_IS_SILENT),
)

ARTICLE_FEATURES = Contract(
    layer="gold",
    name="article_features",
    description="Sales of each article with history, as of a date; one slice per as-of date.",
    columns=(
        as_of_column(),
        Column("article_id", "string", "Article with at least one earlier sale"),
        Column("sales_count", "bigint", "Units sold", minimum=1),
        Column("first_sale_date", "date", "First day of sale"),
        Column("last_sale_date", "date", "Last day of sale"),
        Column("distinct_customer_count", "bigint", "Different customers", minimum=1),
        Column("price_mean", "double", "Mean price over units", minimum=0, maximum=MAX_PRICE),
        Column(
            "price_stddev",
            "double",
            "Sample standard deviation of price; null for one unit",
            nullable=True,
            minimum=0,
            maximum=MAX_PRICE,
        ),
        Column("price_median", "double", "Exact median price", minimum=0, maximum=MAX_PRICE),
        Column("preferred_sales_channel_id", "int", "Most frequent channel; the smaller id on a tie"),
        Column("days_on_sale", "int", "Days from the first sale to the as-of date", minimum=1),
        Column("sales_count_7d", "bigint", "Units in the 7 days before the as-of date", minimum=0),
        Column("sales_count_30d", "bigint", "Units in the 30 days before the as-of date", minimum=0),
        Column("distinct_customer_count_30d", "bigint", "Different customers in those 30 days", minimum=0),
    ),
    key=("as_of_date", "article_id"),
    partition_by=("as_of_date",),
    references=(Reference("article_id", ARTICLES),),
    row_change=_GROWS,
    drifts=(Drift("price_mean", 0.25, _CALM),),
    freshness=Freshness("last_sale_date", 7, _NO_WEEK_IS_SILENT),
)

INTERACTION_FEATURES = Contract(
    layer="gold",
    name="interaction_features",
    description="One row per unit bought with its calendar features, of the recent weeks that models learn from and no "
    "others; one slice per Wednesday week. Not the whole history: sum revenue over silver/transactions.",
    columns=(
        Column(
            "week_start_date", "date", "Wednesday that the week of the purchase starts on; older weeks are not here"
        ),
        Column("t_dat", "date", "Day of the purchase"),
        Column("customer_id", "string", "Who bought"),
        Column("article_id", "string", "What was bought"),
        Column("price", "double", "Price of one unit", minimum=0, maximum=MAX_PRICE),
        Column("sales_channel_id", "int", "1 store, 2 online"),
        Column("day_of_week", "int", "ISO: Monday 1 to Sunday 7", minimum=1, maximum=7),
        Column("month", "int", "1 to 12", minimum=1, maximum=12),
        Column("is_weekend", "boolean", "Saturday or Sunday"),
    ),
    partition_by=("week_start_date",),
    references=(Reference("customer_id", CUSTOMERS), Reference("article_id", ARTICLES)),
    row_change=RowChange(
        0.5,
        1.9,
        "whole weeks went from 0.74 to 1.65 of the week before; half a week is 0.5, a week taken in twice is 2",
        first_is_partial=True,
    ),
    drifts=(Drift("price", 0.25, "weeks moved by up to 0.17, sales included; 0.25 is prices off by a third"),),
    freshness=Freshness("t_dat", 7, _NO_WEEK_IS_SILENT),
)
