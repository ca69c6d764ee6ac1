"""gold/article_embeddings: what each product image looks like, in numbers."""

from expectations.contract import Column, Contract

ARTICLE_EMBEDDINGS = Contract(
    layer="gold",
    name="article_embeddings",
    description="Image embedding of each article after PCA, one slice per encoder version. "
    "Vectors of different encoder versions are not comparable.",
    columns=(
        Column("encoder", "string", "Encoder version: name and checksum of its weights and PCA"),
        Column("article_id", "string", "Article"),
        Column("image_status", "string", "ok, missing or broken", allowed=("ok", "missing", "broken")),
        Column("image_error", "string", "Why a broken image could not be read", nullable=True),
        Column("image_checksum", "string", "SHA-256 of the image file; null if missing", nullable=True),
        Column("image_embedding", "array<float>", "The vector; null unless image_status is ok", nullable=True),
    ),
    key=("encoder", "article_id"),
    partition_by=("encoder",),
    min_rows=0,
)
