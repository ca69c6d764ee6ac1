"""gold/article_embeddings: what each product image looks like, in numbers."""

from expectations.articles import ARTICLES
from expectations.contract import Column, Contract, Drift, Reference, RowChange

ARTICLE_EMBEDDINGS = Contract(
    layer="gold",
    name="article_embeddings",
    description="Image embedding of each article after PCA, one slice per encoder version. "
    "Vectors of different encoder versions are not comparable.",
    columns=(
        Column("encoder", "string", "Encoder version: name and checksum of its weights and PCA"),
        Column("article_id", "string", "Article"),
        Column("image_status", "string", "ok, missing or broken", allowed=("ok", "missing", "broken")),
        Column(
            "image_error",
            "string",
            "Why a broken image could not be read; of an ok one what was converted (CMYK, 16 bits, animated)",
            nullable=True,
        ),
        Column("image_checksum", "string", "SHA-256 of the image file; null if missing", nullable=True),
        Column("image_embedding", "array<float>", "The vector; null unless image_status is ok", nullable=True),
    ),
    key=("encoder", "article_id"),
    partition_by=("encoder",),
    min_rows=0,
    references=(Reference("article_id", ARTICLES),),
    row_change=RowChange(0.9, None, "as many as the catalogue, which grows"),
    drifts=(Drift("image_status", 0.25, "with 1 % of the images missing, 0.25 is reached when a tenth is"),),
)
