"""Vectors of the articles by code in which tastes are compared: of pictures, of texts, or of both together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.embeddings import ARTICLE_EMBEDDINGS, ARTICLE_TEXT_EMBEDDINGS
from jobs.embeddings import joint
from jobs.embeddings.feature_store import matrix
from jobs.embeddings.text_encoders import unit
from jobs.embeddings.text_versions import fitted_text_encoder, slice_of
from jobs.embeddings.versions import current_encoder, version_name
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.settings import Settings
from jobs.platform.tracking import use_tracking
from jobs.retrieval.images import image_embeddings
from jobs.retrieval.purchases import encode
from jobs.retrieval.source import Floats

Space = Literal["image", "text", "joint"]
SPACES: tuple[Space, ...] = get_args(Space)
#: What `article_vectors` reads, where it is there; a job that calls it declares them.
VECTOR_TABLES = (ARTICLE_EMBEDDINGS, ARTICLE_TEXT_EMBEDDINGS)


class ArticleVectors(NamedTuple):
    """Vectors, zero where nothing is known of an article, (articles, d); and the encoder version."""

    values: Floats
    encoder: str


def article_vectors(job: Job, article_ids: pa.StringArray, space: Space) -> ArticleVectors:
    """The vectors of length 1 in a space, by the encoders of the settings; the joint space has those of its heads.

    Raises JobError where no article has one.
    """
    found = _OF[space](job, article_ids)
    if found is None or not found.values.any():
        raise JobError(
            f"no article has a vector in the space {space!r} of these settings' encoders; run the weekly DAG for"
            " pictures, catalogue_intelligence for texts and the joint space"
        )
    return found._replace(values=unit(found.values))


def _images(job: Job, article_ids: pa.StringArray, settings: Settings | None = None) -> ArticleVectors | None:
    encoder = current_encoder(settings or job.settings) if job.exists(ARTICLE_EMBEDDINGS) else None
    values = image_embeddings(job, article_ids, encoder)
    return ArticleVectors(values, encoder) if encoder and values.size else None


def _texts(job: Job, article_ids: pa.StringArray, settings: Settings | None = None) -> ArticleVectors | None:
    settings = settings or job.settings
    if not job.exists(ARTICLE_TEXT_EMBEDDINGS):
        return None
    use_tracking(settings)
    fitted = fitted_text_encoder(settings)
    if fitted is None:
        return None
    encoder = slice_of(fitted)
    rows = job.read_arrow(ARTICLE_TEXT_EMBEDDINGS, ["article_id", "text_embedding"], where={"encoder": [encoder]})
    is_known = pc.is_in(rows["article_id"], value_set=article_ids)
    rows = rows.filter(pc.and_(pc.is_valid(rows["text_embedding"]), is_known))
    if not rows.num_rows:
        return None
    found = matrix(rows["text_embedding"])
    values = np.zeros((len(article_ids), found.shape[1]), dtype=np.float32)
    values[encode(rows["article_id"], article_ids, "article")] = found
    return ArticleVectors(values, encoder)


def _joint(job: Job, article_ids: pa.StringArray) -> ArticleVectors | None:
    """The sum of each article's picture and text in the joint space; of one that lacks either, the other."""
    import torch  # not above: who compares pictures alone does without

    use_tracking(job.settings)
    version = joint.fitted_heads(job.settings)
    if version is None:
        return None
    below = joint.settings_of(version, job.settings)
    sides = (_images(job, article_ids, below), _texts(job, article_ids, below))
    trained_over = (version.tags["image_slice"], version.tags["text_slice"])
    if tuple(side and side.encoder for side in sides) != trained_over:
        raise JobError(
            f"the joint space was trained over {' and '.join(trained_over)}, fitted anew or gone since; run"
            " catalogue_intelligence first"
        )
    heads, both = joint.load(version), []
    with torch.inference_mode():
        for side, head in zip(sides, (heads.image_head, heads.text_head), strict=True):
            assert side is not None
            has = side.values.any(axis=1)
            values = np.zeros((len(article_ids), int(version.tags["dimensions"])), dtype=np.float32)
            values[has] = head(torch.from_numpy(side.values[has])).numpy()
            both.append(values)
    name = version_name("joint", version.tags["checksum"], int(version.tags["dimensions"]))
    return ArticleVectors(both[0] + both[1], name)


_OF: dict[Space, Callable[[Job, pa.StringArray], ArticleVectors | None]] = {
    "image": _images,
    "text": _texts,
    "joint": _joint,
}
