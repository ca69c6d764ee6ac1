"""gold/business_metrics, customer_segments and descriptive_statistics: what the business and its analysts look at."""

from expectations.contract import Column, Contract, Reference, as_of_column
from expectations.customers import CUSTOMERS

#: What `segment_type` holds beside the segments' own names; ALL has one segment, of the same name.
ALL = "all"
SEGMENT_TYPES = {
    ALL: "everything",
    "age_band": "age of the customer as last delivered",
    "club_status": "club membership as last delivered",
    "lifecycle": "new: first purchase in this week; returning: bought before",
    "channel": "sales channel: store, online",
    "department": "department of the article; only in the slices that a run of that date wrote",
    "bucket": "A/B bucket of the customer, of recommendation metrics",
    "cohort": "month of a customer's first purchase, YYYY-MM",
    "recency_band": "days since the last purchase, of the churn probability",
}

#: What `metric` holds.
METRICS = {
    "active_customers": "customers who bought in the week",
    "new_customers": "of these, those whose first purchase it was",
    "returning_customers": "of these, those who bought before the week",
    "retention_7d": "share of the week before's customers who bought again",
    "known_customers": "customers who ever bought",
    "repeat_purchase_rate": "share of the known customers with purchases on two days or more",
    "churned_customers": "customers whose 90th day without a purchase fell into the week",
    "churn_rate_90d": "churned_customers over the customers who, as the week began, had bought in the 90 days before",
    "won_back_customers": "customers who bought after more than 90 days without a purchase",
    "baskets": "baskets: all that a customer bought on one day is one",
    "units": "units sold",
    "revenue": "sum of the prices paid, in the retailer's unit",
    "units_per_basket": "units over baskets",
    "revenue_per_basket": "revenue over baskets",
    "baskets_per_customer": "baskets over active customers",
    "units_per_customer": "units over active customers",
    "revenue_per_customer": "revenue over active customers",
    "average_price": "revenue over units",
    "unit_share": "share of the week's units",
    "revenue_share": "share of the week's revenue",
    "discount_depth": "how far the prices paid are below the highest that the article was ever sold at until then, "
    "weighted by revenue; no list prices are delivered",
    "articles_sold": "distinct articles sold",
    "catalogue_coverage": "share of the articles ever sold until then that sold in the week",
    "new_articles": "articles whose first sale was in the week",
    "new_article_unit_share": "share of the units that were of articles first sold in this week or the three before",
    "new_article_sell_through_4w": "of the articles first sold three weeks before, the share with ten units or more in "
    "those four weeks; no stock is delivered, so that units on hand are unknown",
    "new_article_units_4w": "of the same articles, units sold in those four weeks, per article",
    "churn_probability": "mean probability, as of 90 days before, that a customer would buy nothing for 90 days",
    "churn_realised": "share of these customers who then bought nothing for 90 days",
    "churn_brier": "mean squared error of that probability",
    "click_through_rate": "share of what the list of recommendations showed in the week that was clicked before the "
    "as-of date, where the shop keeps a log",
    "published_customers": "customers with recommendations for the week",
    "realised_hit_rate": "share of the buyers with recommendations who bought one of them",
    "conversion": "share of the customers with recommendations who bought one of them",
    "recommended_units": "units bought of an article recommended to the customer for the week",
    "recommended_revenue": "revenue of these",
    "recommended_revenue_share": "share of the revenue of customers with recommendations that these are",
}
RETENTION = "retention_30d"  # and the number of the period: retention_30d_1

_METRIC = (
    "; ".join(f"{name}: {meaning}" for name, meaning in METRICS.items())
    + f"; {RETENTION}_<n>: share of a cohort who bought from day 30 n to 30 n + 29 after their first purchase, in the "
    "slice in which the last of them has got there"
)

BUSINESS_METRICS = Contract(
    layer="gold",
    name="business_metrics",
    description="Figures of each week for the business, by segment. A week's rows follow from what was sold before its "
    "as-of date, and stay as they are.",
    columns=(
        as_of_column(),
        Column("week_start_date", "date", "First day of the week, which ends before the as-of date"),
        Column(
            "segment_type",
            "string",
            "; ".join(f"{name}: {meaning}" for name, meaning in SEGMENT_TYPES.items()),
            allowed=tuple(SEGMENT_TYPES),
        ),
        Column("segment", "string", "Segment of that type; 'unknown' where the retailer does not say"),
        Column("metric", "string", _METRIC),
        Column("value", "double", "Its value"),
        Column("change", "double", "Value less that of the week before; null without one", nullable=True),
        Column("change_52w", "double", "Value less that of 52 weeks before; null without one", nullable=True),
        Column("ci_low", "double", "Of recommendations' rates: lower end of Wilson's 95 % interval", nullable=True),
        Column("ci_high", "double", "Upper end of it", nullable=True),
        Column(
            "customer_count",
            "bigint",
            "Customers whom the value is about; null where it is about articles. A report folds groups under ten",
            nullable=True,
            minimum=0,
        ),
        Column("run_id", "string", "Run that wrote the row"),
    ),
    key=("as_of_date", "segment_type", "segment", "metric"),
    partition_by=("as_of_date",),
)

#: Named segments with their rules, in order: the first that holds is the customer's. `r`, `f`, `m` are the scores.
RFM_SEGMENTS = {
    "champion": "r >= 4, f >= 4, m >= 4",
    "loyal": "r >= 3, f >= 4",
    "new": "r >= 4, f = 1",
    "promising": "r >= 3",
    "cannot lose": "f >= 4, m >= 4",
    "at risk": "r = 2, f >= 2",
    "hibernating": "r = 2",
    "lost": "all others",
}

CUSTOMER_SEGMENTS = Contract(
    layer="gold",
    name="customer_segments",
    description="Recency, frequency and money of every customer who bought before the as-of date, and the segment that "
    "follows. Fixed rules, so that a customer moves by what they buy and not by what others do.",
    columns=(
        as_of_column(),
        Column("customer_id", "string", "Customer"),
        Column("recency_days", "int", "Days from the last purchase to the as-of date", minimum=1),
        Column("basket_count", "bigint", "Days with a purchase", minimum=1),
        Column("revenue", "double", "Sum of the prices paid", minimum=0),
        Column(
            "r_score",
            "int",
            "5: last purchase at most 14 days ago; 4: 30; 3: 90; 2: 180; 1: longer",
            minimum=1,
            maximum=5,
        ),
        Column("f_score", "int", "Baskets: 1: one; 2: two; 3: up to 4; 4: up to 9; 5: more", minimum=1, maximum=5),
        Column(
            "m_score",
            "int",
            "Revenue over the mean of all customers: 1: below 1/4; 2: below 1/2; 3: below 1; 4: below 2; 5: more",
            minimum=1,
            maximum=5,
        ),
        Column(
            "segment",
            "string",
            "The first that holds; " + "; ".join(f"{name}: {rule}" for name, rule in RFM_SEGMENTS.items()),
            allowed=tuple(RFM_SEGMENTS),
        ),
        Column(
            "churn_probability",
            "double",
            "That the customer buys nothing for 90 days: the share of those with the same recency and frequency "
            "90 days before who did; null where there is no such history",
            nullable=True,
            minimum=0,
            maximum=1,
        ),
        Column("run_id", "string", "Run that wrote the row"),
    ),
    key=("as_of_date", "customer_id"),
    partition_by=("as_of_date",),
    references=(Reference("customer_id", CUSTOMERS),),
)

DESCRIPTIVE_STATISTICS = Contract(
    layer="gold",
    name="descriptive_statistics",
    description="What the pictures of a run's page are drawn from: counts over all purchases before the as-of date, "
    "and over articles and customers as last delivered.",
    columns=(
        as_of_column(),
        Column("picture", "string", "age, daily_sales, price, product_type, product_group, colour_group, ..."),
        Column("series", "string", "Which of the picture's series; of a matrix, the row"),
        Column("position", "int", "Place along the picture's axis", minimum=0),
        Column("label", "string", "What stands there: a day, a value's lower end, a name"),
        Column("value", "double", "Count, or share for missing values"),
        Column("run_id", "string", "Run that wrote the row"),
    ),
    key=("as_of_date", "picture", "series", "position"),
    partition_by=("as_of_date",),
)
