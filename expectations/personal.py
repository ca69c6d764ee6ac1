"""gold/personal_picks and gold/personal_vectors: picks that follow from what a shopper met, customer or not."""

from expectations.articles import ARTICLES
from expectations.contract import Column, Contract, Reference, as_of_column
from expectations.recommendations import BUCKETS, MAX_RECOMMENDATIONS

_MODEL_VERSION = Column("model_version", "string", "Encoder version of the vectors compared; of user_based its name")

PERSONAL_PICKS = Contract(
    layer="gold",
    name="personal_picks",
    description="Picks by what a shopper met lately, without what they met: of customers by purchases "
    "and events, of visitors who are no customers by events alone. One slice per as-of date and system.",
    columns=(
        as_of_column(),
        Column("system", "string", "System, as in Settings.system"),
        Column("shopper_id", "string", "Whose, as session_id of silver/events begins: c: and a customer, v: a visitor"),
        Column("customer_id", "string", "The customer, known to silver/customers or new", nullable=True),
        Column("visitor_id", "string", "The device or browser of whom no customer is known", nullable=True),
        Column("rank", "int", "1 is the best", minimum=1, maximum=MAX_RECOMMENDATIONS),
        Column("article_id", "string", "Article; was on sale before the as-of date"),
        Column("score", "double", "The system's: higher is better, comparable within one shopper and system only"),
        Column("has_events", "boolean", "Events count for the shopper, not purchases alone"),
        _MODEL_VERSION,
        Column("bucket", "int", "Stable hash of customer or visitor, for A/B tests", minimum=0, maximum=BUCKETS - 1),
        Column("run_id", "string", "Run that wrote the row"),
    ),
    key=("as_of_date", "system", "shopper_id", "rank"),
    partition_by=("as_of_date", "system"),
    references=(Reference("article_id", ARTICLES),),
    min_rows=0,
)

PERSONAL_VECTORS = Contract(
    layer="gold",
    name="personal_vectors",
    description="Vectors by which the shop window picks for a visitor's last events, and what can be picked as of a "
    "date.",
    columns=(
        as_of_column(),
        Column("article_id", "string", "Article"),
        Column("vector", "array<float>", "Of length 1, in the space of gold/personal_picks", nullable=True),
        Column("is_available", "boolean", "Sold in the four weeks before the as-of date, and still listed then"),
        _MODEL_VERSION,
    ),
    key=("as_of_date", "article_id"),
    partition_by=("as_of_date",),
    references=(Reference("article_id", ARTICLES),),
    min_rows=0,
)
