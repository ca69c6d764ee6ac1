"""gold/article_embeddings and gold/article_text_embeddings: what articles look like, and what is said of them."""

from expectations.articles import ARTICLES
from expectations.contract import Column, Contract, Drift, Reference
from expectations.images import AS_MANY_AS_ARTICLES, IMAGE_FILE, MISSING_IMAGES

ARTICLE_EMBEDDINGS = Contract(
    layer="gold",
    name="article_embeddings",
    description="Image embedding of each article after PCA, one slice per encoder version. "
    "Vectors of different encoder versions are not comparable.",
    columns=(
        Column("encoder", "string", "Encoder version: name and checksum of its weights and PCA"),
        *IMAGE_FILE,
        Column("image_embedding", "array<float>", "The vector; null unless image_status is ok", nullable=True),
    ),
    key=("encoder", "article_id"),
    partition_by=("encoder",),
    min_rows=0,
    references=(Reference("article_id", ARTICLES),),
    row_change=AS_MANY_AS_ARTICLES,
    drifts=(MISSING_IMAGES,),
)

ARTICLE_TEXT_EMBEDDINGS = Contract(
    layer="gold",
    name="article_text_embeddings",
    description="Embedding of each article's text (name, colour and type, audience, department, description), one "
    "slice per text encoder version. Vectors of different versions are not comparable.",
    columns=(
        Column("encoder", "string", "Text encoder version: name, checksum of its weights, length of the vectors"),
        Column("article_id", "string", "Article"),
        Column("text_status", "string", "ok, or missing: nothing is said of it", allowed=("ok", "missing")),
        Column("text_checksum", "string", "SHA-256 of the text; null if missing", nullable=True),
        Column(
            "text_embedding",
            "array<float>",
            "The vector, of length 1, or 0 where tfidf knows no word of the text; null if missing",
            nullable=True,
        ),
    ),
    key=("encoder", "article_id"),
    partition_by=("encoder",),
    min_rows=0,
    references=(Reference("article_id", ARTICLES),),
    row_change=AS_MANY_AS_ARTICLES,
    drifts=(Drift("text_status", 0.25, "hardly an article is without name and type"),),
)
