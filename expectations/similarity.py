"""gold/similar_articles: what is like what."""

from expectations.articles import ARTICLES
from expectations.contract import Column, Contract, Reference, RowChange

SIMILAR_ARTICLES = Contract(
    layer="gold",
    name="similar_articles",
    description="The articles most like an article by picture, by text or by both, best first; one slice per "
    "method. Only articles that have what the method compares, and never the article itself.",
    columns=(
        Column("method", "string", "What is compared and how, such as cosine_resnet50, minilm or joint"),
        Column("article_id", "string", "Article"),
        Column("rank", "int", "1 is the most similar", minimum=1),
        Column("similar_article_id", "string", "Article that is like it"),
        Column(
            "score",
            "double",
            "Cosine similarity (higher is nearer), Euclidean distance (lower is) or, fused, sum of 1 / (60 + rank)",
        ),
        Column(
            "encoder",
            "string",
            "Encoder version of the vectors, as in article_embeddings, article_text_embeddings or joint_encoder",
        ),
    ),
    key=("method", "article_id", "similar_article_id"),
    partition_by=("method",),
    min_rows=0,
    references=(Reference("article_id", ARTICLES), Reference("similar_article_id", ARTICLES)),
    row_change=RowChange(0.9, None, "as many as the pictures, whose number grows with the catalogue"),
)
