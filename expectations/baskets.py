"""gold/association_rules and gold/bought_together: what is bought in one basket more often than by chance."""

from expectations.articles import ARTICLES
from expectations.contract import Column, Contract, Reference, as_of_column

#: What the items of a rule are, the most exact first.
LEVELS = ("article", "product", "product_type")

_LEVEL = Column("level", "string", "What the rule's items are", allowed=LEVELS)
_MEASURES = (
    Column("basket_count", "bigint", "Baskets with both sides", minimum=1),
    Column("customer_count", "bigint", "Distinct customers who bought both in one basket", minimum=1),
    Column("first_date", "date", "First day on which both were in one basket"),
    Column("last_date", "date", "Last such day"),
    Column("support", "double", "Share of all baskets that hold both sides", minimum=0, maximum=1),
    Column("confidence", "double", "Share of the baskets with X that hold y too", minimum=0, maximum=1),
    Column("lift", "double", "Confidence over the share of all baskets with y; 1 by chance", minimum=0),
    Column("leverage", "double", "Support less what it would be by chance", minimum=-1, maximum=1),
    Column(
        "conviction",
        "double",
        "Share of baskets without y over that among baskets with X; null where the rule never fails",
        nullable=True,
        minimum=0,
    ),
    Column(
        "p_value",
        "double",
        "Fisher's exact test, one-sided, times the number of rules of that size that could be formed, at most 1: the"
        " chance that independent items of this level make any rule as strong",
        minimum=0,
        maximum=1,
    ),
    Column("score", "double", "confidence * (1 - 1 / lift), what lists are ordered by", minimum=-1, maximum=1),
)
_RUN = Column("run_id", "string", "Run that wrote the row")

ASSOCIATION_RULES = Contract(
    layer="gold",
    name="association_rules",
    description="Rules X -> y: baskets (a customer's distinct articles of one day) of the weeks before the as-of date "
    "that hold X hold y too. All rules above the run's thresholds, at every level.",
    columns=(
        as_of_column(),
        _LEVEL,
        Column("antecedent", "string", "X: ids of articles, products or product types; several with ' + ' between"),
        Column("antecedent_size", "int", "Number of items in X", minimum=1),
        Column("consequent", "string", "y: id of one more of the same level"),
        *_MEASURES,
        Column("antecedent_basket_count", "bigint", "Baskets with X", minimum=1),
        Column("consequent_basket_count", "bigint", "Baskets with y", minimum=1),
        _RUN,
    ),
    key=("as_of_date", "level", "antecedent", "consequent"),
    partition_by=("as_of_date",),
    min_rows=0,
)

BOUGHT_TOGETHER = Contract(
    layer="gold",
    name="bought_together",
    description="What to offer beside an article, best first: by rules of the article itself, then of its product, "
    "then of its product type, where the best-selling article of the other side stands for it. Of articles that were "
    "sold in the weeks before the as-of date and are listed.",
    columns=(
        as_of_column(),
        Column("article_id", "string", "Article"),
        Column("rank", "int", "1 is shown first", minimum=1),
        Column("other_article_id", "string", "Article to offer beside it; was sold in those weeks and is listed"),
        _LEVEL,
        *_MEASURES,
        _RUN,
    ),
    key=("as_of_date", "article_id", "other_article_id"),
    partition_by=("as_of_date",),
    min_rows=0,
    references=(Reference("article_id", ARTICLES), Reference("other_article_id", ARTICLES)),
)
