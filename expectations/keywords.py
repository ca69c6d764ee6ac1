"""gold/article_keywords: what an article's description is about."""

from expectations.articles import ARTICLES
from expectations.contract import Column, Contract, Reference, RowChange

KEYWORD_METHODS = ("tfidf", "yake")

ARTICLE_KEYWORDS = Contract(
    layer="gold",
    name="article_keywords",
    description="Keywords and short phrases of each article's description, the most telling first; one slice per "
    "method. Articles without a description have none. As the catalogue itself, it has no dates.",
    columns=(
        Column("method", "string", "How they are found", allowed=KEYWORD_METHODS),
        Column("article_id", "string", "Article"),
        Column("rank", "int", "1 says most", minimum=1),
        Column("keyword", "string", "One to three words in lower case, as they stand in the description"),
        Column(
            "score", "double", "TF-IDF weight (higher says more) or YAKE's score (lower does), by method", minimum=0
        ),
        Column("language", "string", "ISO 639-1 code of the language whose stop words were left out"),
        Column("run_id", "string", "Run that found them"),
    ),
    key=("method", "article_id", "rank"),
    partition_by=("method",),
    min_rows=0,
    references=(Reference("article_id", ARTICLES),),
    row_change=RowChange(0.9, None, "as many as the descriptions, whose number grows with the catalogue"),
)
