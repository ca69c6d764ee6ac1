"""Image embeddings of the articles by code, as sources, features and recommenders use them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.embeddings import ARTICLE_EMBEDDINGS
from jobs.platform.job import Job
from jobs.retrieval.purchases import encode
from jobs.retrieval.source import Floats


def slice_of(job: Job, encoder: str) -> str | None:
    """The newest version of an encoder by name, in the order of names, whose vectors there are; None without any."""
    if not job.exists(ARTICLE_EMBEDDINGS):
        return None
    versions = sorted(part["encoder"] for part in job.partitions(ARTICLE_EMBEDDINGS))
    return next((version for version in versions[::-1] if version.startswith(f"{encoder}-")), None)


def image_embeddings(job: Job, article_ids: pa.StringArray, encoder: str | None) -> Floats:
    """One row per id, (articles, d) float32, zero without an image; d is 0 where no article has a vector.

    Args:
        encoder: value of article_embeddings.encoder; None: there are no images.
    """
    none = np.zeros((len(article_ids), 0), dtype=np.float32)
    if encoder is None:
        return none
    columns = ["article_id", "image_embedding"]
    rows = job.read_arrow(ARTICLE_EMBEDDINGS, columns, where={"encoder": [encoder]})
    is_known = pc.is_in(rows["article_id"], value_set=article_ids)
    rows = rows.filter(pc.and_(pc.is_valid(rows["image_embedding"]), is_known))
    if not rows.num_rows:
        return none
    vectors = rows["image_embedding"].combine_chunks()
    matrix = vectors.flatten().to_numpy().reshape(len(vectors), -1)
    images = np.zeros((len(article_ids), matrix.shape[1]), dtype=np.float32)
    images[encode(rows["article_id"], article_ids, "article")] = matrix
    return images
