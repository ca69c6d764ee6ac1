"""The vectors that a method compares: those of article_embeddings, in the form that its metric takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.articles import ARTICLES
from expectations.embeddings import ARTICLE_EMBEDDINGS
from jobs.embeddings.encoder_fitting import load_reduction
from jobs.embeddings.reduction import Reduction
from jobs.embeddings.versions import fitted_encoder, slice_name
from jobs.platform.errors import JobError
from jobs.platform.settings import Settings
from jobs.platform.tracking import ModelVersion, use_tracking
from jobs.retrieval.purchases import still_there
from jobs.similarity.methods import Method
from jobs.similarity.search import Metric

#: The tables that `load_vectors` reads; a job that calls it declares them.
VECTOR_TABLES = (ARTICLES, ARTICLE_EMBEDDINGS)


@dataclass(frozen=True)
class Vectors:
    """The articles of the catalogue that have a readable picture, in order of id.

    Attributes:
        article_ids: their ids, [n].
        values: float32 [n, d], to be compared by the method's metric.
        encoder: the encoder version that made them.
    """

    article_ids: pa.StringArray
    values: np.ndarray
    encoder: str

    def __len__(self) -> int:
        return len(self.values)


def encoder_of(settings: Settings) -> ModelVersion:
    """The registered encoder that these settings choose; JobError when it was never fitted."""
    use_tracking(settings)
    fitted = fitted_encoder(settings)
    if fitted is None:
        raise JobError(
            f"method {settings.method}: its encoder {settings.encoder} was never fitted on these pictures;"
            f" run embeddings.images with --encoder {settings.encoder} first"
        )
    return fitted


def comparable(vectors: np.ndarray, metric: Metric, pca: Reduction) -> np.ndarray:
    """PCA's vectors [n, k] in the form that the metric takes: for cosine, with the features' own origin."""
    return pca.uncentred(vectors) if metric == "cosine" else vectors


def load_vectors(read: Callable[..., pa.Table], method: Method, settings: Settings) -> Vectors:
    """The vectors that the method compares.

    Args:
        read: Job.read_arrow or Warehouse.read_arrow.
        method: the method.
        settings: with the method's encoder (methods.method_of).

    Raises:
        JobError: the encoder was never fitted, or has no vector of any article.
    """
    fitted = encoder_of(settings)
    encoder = slice_name(fitted, settings)
    columns = ["article_id", "image_status", "image_embedding"]
    rows = read(ARTICLE_EMBEDDINGS, columns, where={"encoder": [encoder]})
    # An article that has left the catalogue since its picture was embedded is not picked.
    articles = still_there(read(ARTICLES, ["article_id", "delisted_date"]), "delisted_date", settings.as_of_date)
    present = pc.is_in(rows["article_id"], value_set=articles["article_id"].combine_chunks())
    rows = rows.filter(pc.and_(present, pc.equal(rows["image_status"], "ok"))).sort_by("article_id")
    if not rows.num_rows:
        raise JobError(
            f"method {settings.method}: {ARTICLE_EMBEDDINGS.path} has no vector of encoder {encoder};"
            f" run embeddings.images with --encoder {settings.encoder} first"
        )
    embeddings = rows["image_embedding"].combine_chunks()
    values = embeddings.flatten().to_numpy().reshape(len(embeddings), -1)
    values = comparable(values, method.metric, load_reduction(fitted))
    return Vectors(rows["article_id"].combine_chunks(), np.ascontiguousarray(values, np.float32), encoder)
