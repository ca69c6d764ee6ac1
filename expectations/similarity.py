"""gold/similar_articles: what looks like what."""

from expectations.articles import ARTICLES
from expectations.contract import Column, Contract, Reference, RowChange

SIMILAR_ARTICLES = Contract(
    layer="gold",
    name="similar_articles",
    description="The articles whose pictures look most like an article's, best first; one slice per method. "
    "Only articles with a readable picture, and never the article itself.",
    columns=(
        Column("method", "string", "How pictures are compared: metric and encoder, such as cosine_resnet50"),
        Column("article_id", "string", "Article"),
        Column("rank", "int", "1 is the most similar", minimum=1),
        Column("similar_article_id", "string", "Article that looks like it"),
        Column("score", "double", "Cosine similarity (higher is nearer) or Euclidean distance (lower is), by method"),
        Column("encoder", "string", "Encoder version of the vectors, as in article_embeddings"),
    ),
    key=("method", "article_id", "similar_article_id"),
    partition_by=("method",),
    min_rows=0,
    references=(Reference("article_id", ARTICLES), Reference("similar_article_id", ARTICLES)),
    row_change=RowChange(0.9, None, "as many as the pictures, whose number grows with the catalogue"),
)
