"""gold/article_embeddings: image embeddings of the articles."""

from expectations.articles import ARTICLES
from expectations.contract import Column, Contract, Reference
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
