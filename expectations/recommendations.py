"""gold/candidates and gold/recommendations: what the model picked, and what customers see."""

from expectations.articles import ARTICLES
from expectations.contract import Column, Contract, Drift, Reference, RowChange, as_of_column
from expectations.customers import CUSTOMERS

_IDS = (Reference("customer_id", CUSTOMERS), Reference("article_id", ARTICLES))
_NEW_MODEL = "a new champion, or the first, moves it for good reason"

MAX_RECOMMENDATIONS = 30
BUCKETS = 100

CANDIDATES = Contract(
    layer="gold",
    name="candidates",
    description="The champion's best articles per customer, ranked; empty when no model is champion.",
    columns=(
        as_of_column(),
        Column("customer_id", "string", "Customer"),
        Column("rank", "int", "1 is the best", minimum=1),
        Column("article_id", "string", "Article"),
        Column("score", "double", "The ranker's score: higher is better, comparable within one customer only"),
        Column("source", "string", "Candidate source that found the article (the first, where several did)"),
        Column("model_version", "string", "Version in the model registry"),
        Column("run_id", "string", "Run that wrote the row"),
    ),
    key=("as_of_date", "customer_id", "article_id"),
    partition_by=("as_of_date",),
    min_rows=0,
    references=_IDS,
    row_change=RowChange(0.9, None, "every customer keeps as many; only a week without champion has none"),
)

RECOMMENDATIONS = Contract(
    layer="gold",
    name="recommendations",
    description="The published picks: the same number of distinct articles for every customer, per as-of date.",
    columns=(
        as_of_column(),
        Column("customer_id", "string", "Customer"),
        Column("rank", "int", "1 is shown first", minimum=1, maximum=MAX_RECOMMENDATIONS),
        Column("article_id", "string", "Article; exists in articles and was on sale before the as-of date"),
        Column(
            "score",
            "double",
            "The ranker's: higher is better within one customer; a fallback's is 1 / its place in its list",
        ),
        Column(
            "source",
            "string",
            "Candidate source that found the article (the first, where several did), or the fallback",
        ),
        Column("reason", "string", "Why, in a phrase a shopper could read"),
        Column("model_version", "string", "Version in the model registry, or 'baseline'"),
        Column("run_id", "string", "Run that wrote the row"),
        Column("bucket", "int", "Stable hash of the customer, for A/B tests", minimum=0, maximum=BUCKETS - 1),
    ),
    key=("as_of_date", "customer_id", "rank"),
    partition_by=("as_of_date",),
    references=_IDS,
    row_change=RowChange(0.3, 3, "exactly top-k for every customer, which the job checks; top-k may go from 12 to 30"),
    drifts=(Drift("source", 0.25, _NEW_MODEL, is_advisory=True),),
)

SYSTEM_RECOMMENDATIONS = Contract(
    layer="gold",
    name="system_recommendations",
    description="What each sequence or collaborative system picks for every customer, best first; one slice per as-of "
    "date and system.",
    columns=(
        as_of_column(),
        Column("system", "string", "System, as in Settings.system"),
        Column("customer_id", "string", "Customer"),
        Column("rank", "int", "1 is the best", minimum=1, maximum=MAX_RECOMMENDATIONS),
        Column("article_id", "string", "Article; was on sale before the as-of date"),
        Column(
            "score",
            "double",
            "The system's: higher is better, comparable within one customer only; null of the best sellers of the last "
            "7 days that fill up a list",
            nullable=True,
        ),
        Column("run_id", "string", "Run that wrote the row"),
    ),
    key=("as_of_date", "system", "customer_id", "article_id"),
    partition_by=("as_of_date", "system"),
    references=_IDS,
)
