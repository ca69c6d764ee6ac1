"""The vectors that a method compares, in the form that its metric takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.articles import ARTICLES
from expectations.contract import Contract
from expectations.embeddings import ARTICLE_EMBEDDINGS, ARTICLE_TEXT_EMBEDDINGS
from jobs.embeddings.feature_store import matrix
from jobs.embeddings.text_encoders import unit
from jobs.embeddings.text_versions import fitted_text_encoder, slice_of
from jobs.embeddings.versions import fitted_encoder, slice_name, version_name
from jobs.platform.errors import JobError
from jobs.platform.settings import Settings
from jobs.platform.tracking import ModelVersion, use_tracking
from jobs.retrieval.purchases import still_there
from jobs.similarity.methods import Method

if TYPE_CHECKING:
    from jobs.embeddings.reduction import Reduction
    from jobs.similarity.search import Metric
    from lightning_modules.joint_heads import JointHeads

#: The tables that `load_vectors` reads; a job that calls it declares them.
VECTOR_TABLES = (ARTICLES, ARTICLE_EMBEDDINGS, ARTICLE_TEXT_EMBEDDINGS)
Read = Callable[..., pa.Table]


@dataclass(frozen=True)
class Vectors:
    """The articles of the catalogue that have what is compared, in order of id.

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


def text_encoder_of(settings: Settings) -> ModelVersion:
    """The registered text encoder that these settings choose; JobError when there is none."""
    use_tracking(settings)
    fitted = fitted_text_encoder(settings)
    if fitted is None:
        raise JobError(
            f"method {settings.method}: its text encoder {settings.text_encoder} was never fitted on these texts;"
            f" run embeddings.texts with --text-encoder {settings.text_encoder} first"
        )
    return fitted


@dataclass(frozen=True)
class Heads:
    """The newest joint heads, their name as in `Vectors.encoder`, and settings with the encoders below them."""

    heads: JointHeads
    name: str
    settings: Settings


def heads_of(settings: Settings) -> Heads:
    """The joint heads; JobError when they were never trained, or their encoders have been fitted anew since."""
    from jobs.embeddings import joint

    use_tracking(settings)
    version = joint.fitted_heads(settings)
    if version is None:
        raise JobError(f"method {settings.method}: its heads were never trained; run embeddings.joint first")
    below = joint.settings_of(version, settings)
    trained_over = version.tags["image_slice"], version.tags["text_slice"]
    if (slice_name(encoder_of(below), below), slice_of(text_encoder_of(below))) != trained_over:
        raise JobError(
            f"method {settings.method}: its heads were trained over {' and '.join(trained_over)}, fitted anew since;"
            f" run embeddings.joint with --encoder {below.encoder} first"
        )
    name = version_name("joint", version.tags["checksum"], int(version.tags["dimensions"]))
    return Heads(joint.load(version), name, below)


def comparable(vectors: np.ndarray, metric: Metric, pca: Reduction) -> np.ndarray:
    """PCA's vectors [n, k] in the form that the metric takes: for cosine, with the features' own origin."""
    return pca.uncentred(vectors) if metric == "cosine" else vectors


def load_vectors(read: Read, method: Method, settings: Settings) -> Vectors:
    """The vectors that the method compares. An article that has left the catalogue has none.

    Args:
        read: Job.read_arrow or Warehouse.read_arrow.
        method: the method, one that fuses no others.
        settings: with the method's encoders (methods.method_of).

    Raises:
        JobError: an encoder was never fitted, or has no vector of any article.
    """
    if method.is_joint:
        found = heads_of(settings)
        image = _images(read, method, found.settings, centred=True) if method.side != "text" else None
        text = _texts(read, found.settings) if method.side != "image" else None
        import torch

        with torch.inference_mode():
            made = [
                Vectors(some.article_ids, head(torch.tensor(some.values)).numpy(), found.name)
                for some, head in ((image, found.heads.image_head), (text, found.heads.text_head))
                if some is not None
            ]
        return made[0] if len(made) == 1 else summed(*made)
    if method.side == "text":
        return _texts(read, settings)
    images = _images(read, method, settings)
    if method.side == "image":
        return images
    texts = _texts(read, settings)
    pca = _reduction(encoder_of(settings))
    in_space = pca.coordinates(texts.values, images.values.shape[1] - 1)
    return summed(images, Vectors(texts.article_ids, in_space, texts.encoder))


def summed(images: Vectors, texts: Vectors) -> Vectors:
    """The sum of each article's picture and text, both of length 1; of one that lacks either, the other."""
    ids = pc.unique(pa.concat_arrays([images.article_ids, texts.article_ids])).sort()
    values = np.zeros((len(ids), images.values.shape[1]), np.float32)
    for some in (images, texts):
        values[pc.index_in(some.article_ids, value_set=ids).to_numpy()] += unit(some.values)
    names = dict.fromkeys((images.encoder, texts.encoder))
    return Vectors(ids, unit(values), "+".join(names))


def _reduction(fitted: ModelVersion) -> Reduction:
    from jobs.embeddings.encoder_fitting import load_reduction  # seconds to import

    return load_reduction(fitted)


def _images(read: Read, method: Method, settings: Settings, centred: bool = False) -> Vectors:
    fitted = encoder_of(settings)
    encoder = slice_name(fitted, settings)
    columns = ["article_id", "image_status", "image_embedding"]
    rows = read(ARTICLE_EMBEDDINGS, columns, where={"encoder": [encoder]})
    ids, values = _present(read, rows, "image", ARTICLE_EMBEDDINGS, encoder, settings)
    if not centred:
        values = comparable(values, method.metric, _reduction(fitted))
    return Vectors(ids, np.ascontiguousarray(values, np.float32), encoder)


def _texts(read: Read, settings: Settings) -> Vectors:
    encoder = slice_of(text_encoder_of(settings))
    columns = ["article_id", "text_status", "text_embedding"]
    rows = read(ARTICLE_TEXT_EMBEDDINGS, columns, where={"encoder": [encoder]})
    ids, values = _present(read, rows, "text", ARTICLE_TEXT_EMBEDDINGS, encoder, settings)
    says_something = values.any(axis=1)  # tfidf may know no word of a text: it is like nothing
    return Vectors(ids.filter(pa.array(says_something)), values[says_something], encoder)


def _present(
    read: Read, rows: pa.Table, what: str, table: Contract, encoder: str, settings: Settings
) -> tuple[pa.StringArray, np.ndarray]:
    """Ids and vectors of the rows with one, of articles that are still in the catalogue."""
    # An article that has left the catalogue since it was embedded is not picked.
    articles = still_there(read(ARTICLES, ["article_id", "delisted_date"]), "delisted_date", settings.as_of_date)
    present = pc.is_in(rows["article_id"], value_set=articles["article_id"].combine_chunks())
    rows = rows.filter(pc.and_(present, pc.equal(rows[f"{what}_status"], "ok"))).sort_by("article_id")
    if not rows.num_rows:
        how = f"images with --encoder {settings.encoder}"
        if what == "text":
            how = f"texts with --text-encoder {settings.text_encoder}"
        raise JobError(
            f"method {settings.method}: {table.path} has no vector of encoder {encoder}; run embeddings.{how} first"
        )
    return rows["article_id"].combine_chunks(), matrix(rows[f"{what}_embedding"])
