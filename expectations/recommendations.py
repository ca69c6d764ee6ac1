"""gold/candidates and gold/recommendations: what the model picked, and what customers see."""

from expectations.articles import ARTICLES
from expectations.contract import Column, Contract, Drift, Reference, RowChange, as_of_column
from expectations.customers import CUSTOMERS

_IDS = (Reference("customer_id", CUSTOMERS), Reference("article_id", ARTICLES))
_NEW_MODEL = "a new champion, or the first, moves it for good reason"

MAX_RECOMMENDATIONS = 30
BUCKETS = 100
#: The `model_version` of what no model made: fallbacks, and the baselines beside a model.
BASELINE = "baseline"

_SCORE = Column(
    "score",
    "double",
    "The ranker's: higher is better, comparable within one customer only; a fallback's is 1 / its place in its list",
)
_SOURCE = Column(
    "source", "string", "Candidate source that found the article (the first, where several did), or the fallback"
)
_IS_FALLBACK = Column("is_fallback", "boolean", "The champion left the place open, or there is none")
_MODEL_VERSION = Column("model_version", "string", f"Version in the model registry; '{BASELINE}' of a fallback")

CANDIDATES = Contract(
    layer="gold",
    name="candidates",
    description="The best articles for every customer, ranked: the champion's, then fallbacks; a baseline's when no "
    "model is champion.",
    columns=(
        as_of_column(),
        Column("customer_id", "string", "Customer"),
        Column("rank", "int", "1 is the best", minimum=1, maximum=MAX_RECOMMENDATIONS),
        Column("article_id", "string", "Article; was on sale before the as-of date"),
        _SCORE,
        _SOURCE,
        _IS_FALLBACK,
        _MODEL_VERSION,
        Column(
            "because_article_id",
            "string",
            "What the customer bought last of the same department; of source same_product, of that product",
            nullable=True,
        ),
        Column(
            "is_bought_by_age_band",
            "boolean",
            "Customers of the same age band bought the article in the days that best sellers are counted in (7 in a "
            "large shop); false where the age is unknown",
        ),
        Column("has_history", "boolean", "The customer bought something before the as-of date"),
        Column("run_id", "string", "Run that wrote the row"),
    ),
    key=("as_of_date", "customer_id", "article_id"),
    partition_by=("as_of_date",),
    references=_IDS,
    row_change=RowChange(0.9, None, "every customer has as many, with or without a champion"),
)

RECOMMENDATIONS = Contract(
    layer="gold",
    name="recommendations",
    description="The published picks: the same number of distinct articles for every customer, per as-of date; fewer "
    "where no more can be picked.",
    columns=(
        as_of_column(),
        Column("week_start_date", "date", "First day of the week that the picks are for: the as-of date"),
        Column("customer_id", "string", "Customer"),
        Column("rank", "int", "1 is shown first", minimum=1, maximum=MAX_RECOMMENDATIONS),
        Column("article_id", "string", "Article; exists in articles and was on sale before the as-of date"),
        _SCORE,
        _SOURCE,
        _IS_FALLBACK,
        Column("reason", "string", "Why, in a phrase a shopper could read"),
        _MODEL_VERSION,
        Column("run_id", "string", "Run that wrote the row"),
        Column("bucket", "int", "Stable hash of the customer, for A/B tests", minimum=0, maximum=BUCKETS - 1),
    ),
    key=("as_of_date", "customer_id", "rank"),
    partition_by=("as_of_date",),
    references=_IDS,
    row_change=RowChange(0.3, 3, "top-k for every customer, which the job checks; top-k may go from 12 to 30"),
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
