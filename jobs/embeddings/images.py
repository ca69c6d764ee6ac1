"""Image embeddings: one vector per article.

The first run fits the encoder (its PCA, and the catalogue's own network) and keeps it in the model registry; later
runs embed only pictures that are new or changed, by their checksums. A missing or broken picture becomes a flagged
row. One of a strange kind (CMYK, 16 bits, animated) is converted and embedded, worth more than none; its row
and the summary say so. What a killed run had embedded lies in the work folder (jobs.embeddings.feature_store), and the
next run goes on there.

Pictures are embedded on all GPUs, else on all cores; a network is fitted on one device, the first GPU where there is
one.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import mlflow
import numpy as np
import pyarrow as pa

from expectations.articles import ARTICLES
from expectations.embeddings import ARTICLE_EMBEDDINGS
from jobs.embeddings import outcomes
from jobs.embeddings.decode import CHANGED, ImageFile, Location, inspect_all
from jobs.embeddings.feature_store import FeatureStore, matrix, one_at_a_time
from jobs.embeddings.kinds import KINDS
from jobs.embeddings.product_lines import with_lines
from jobs.embeddings.versions import (
    ImageFolder,
    fitted_encoder,
    image_folder,
    no_folder,
    registry_name,
    slice_name,
)
from jobs.platform.errors import JobError
from jobs.platform.job import Job, run
from jobs.platform.schemas import arrow_schema
from jobs.platform.tracking import ModelVersion, find_versions, start_run, use_tracking

if TYPE_CHECKING:
    from jobs.embeddings.encoders import Encoder
    from jobs.embeddings.reduction import Reduction
    from jobs.embeddings.stream import Pictures

READS, WRITES = (ARTICLES,), (ARTICLE_EMBEDDINGS,)
#: What it reads of the retailer's delivery.
FILES = ("images",)
SETTINGS = (
    "accept_drift",
    "data",
    "mapping",
    "encoder",
    "weights_dir",
    "embedding_dim",
    "max_bad_image_share",
    "seed",
    "mlflow_tracking_uri",
)

_LOG = logging.getLogger(__name__)

COLUMNS = (
    "article_id",
    "product_code",
    "prod_name",
    "product_group_name",
    "product_type_name",
    "colour_group_name",
    "graphical_appearance_name",
)


class Images:
    """The catalogue's image files, in order of article id, and the vectors of those embedded so far, by checksum.

    Args:
        articles: COLUMNS of the articles.
        paths: where each article's image should be.
        files: what was found there.
    """

    def __init__(self, articles: pa.Table, paths: Sequence[Location], files: Sequence[ImageFile]) -> None:
        self.articles, self.paths, self.files = articles, list(paths), list(files)
        self.vectors: dict[str, np.ndarray] = {}

    def reuse(self, stored: pa.Table) -> None:
        """Take outcome and vector of every image that an earlier run's rows (article_embeddings) know."""
        vectors = iter(matrix(stored["image_embedding"]))
        rows = stored.select(["image_status", "image_error", "image_checksum"]).to_pylist()
        known = {}
        for row in rows:
            vector = next(vectors) if row["image_status"] == "ok" else None
            checksum = row["image_checksum"]
            if checksum and row["image_error"] != CHANGED:
                known[checksum] = ImageFile(row["image_status"], row["image_error"], checksum)
                if vector is not None:
                    self.vectors[checksum] = vector
        self.settle(known)

    def settle(self, known: Mapping[str, ImageFile]) -> None:
        """Note what became of images, by checksum."""
        self.files = outcomes.settled(self.files, known)

    def to_embed(self, known: Mapping[str, ImageFile]) -> list[int]:
        """One row of each different image that has no vector yet and is not `known`."""
        rows = {f.checksum: i for i, f in enumerate(self.files) if f.status == "ok" and f.checksum not in known}
        return [i for checksum, i in rows.items() if checksum not in self.vectors]

    def pictures(self, rows: Sequence[int], roots: Sequence[Location], encoder: Encoder) -> Pictures:
        """Those rows' files, to be prepared for the encoder."""
        from jobs.embeddings.stream import Pictures

        return Pictures([self.paths[i] for i in rows], [self.files[i].checksum for i in rows], roots, encoder)

    def table(self, encoder: str) -> pa.Table:
        """The rows of article_embeddings."""
        found = [self.vectors[f.checksum or ""] if f.status == "ok" else np.empty(0, np.float32) for f in self.files]
        lengths = np.array([len(vector) for vector in found], dtype=np.int32)
        offsets = np.concatenate([[0], lengths.cumsum()]).astype(np.int32)
        values = np.concatenate([np.empty(0, np.float32), *found])
        columns = {
            "encoder": pa.array([encoder] * len(found), pa.string()),
            "article_id": self.articles["article_id"],
            "image_status": pa.array([file.status for file in self.files], pa.string()),
            "image_error": pa.array([file.error for file in self.files], pa.string()),
            "image_checksum": pa.array([file.checksum for file in self.files], pa.string()),
            "image_embedding": pa.ListArray.from_arrays(pa.array(offsets), values, mask=pa.array(lengths == 0)),
        }
        return pa.table(columns).cast(arrow_schema(ARTICLE_EMBEDDINGS))


def embed(
    job: Job, images: Images, roots: Sequence[Location], fitted: ModelVersion | None
) -> tuple[ModelVersion, FeatureStore, str]:
    """Embed what has no vector yet, with the fitted encoder or a new one.

    Returns the encoder's version, the store that may be removed once the vectors are published, and what to say.
    """
    # Seconds to import, which a run without new images is spared.
    from jobs.embeddings import encoder_fitting
    from jobs.embeddings.encoders import open_encoder, with_network

    settings, remark = job.settings, ""
    if fitted is not None:
        encoder, pca = encoder_fitting.load(fitted, settings)
        store, count = _compute(job, images, roots, encoder)
    else:
        with start_run(settings, job.name) as tracked:
            encoder, trained = open_encoder(settings.encoder, settings.weights_dir), None
            if settings.encoder in encoder_fitting.TRAINED:
                rows = images.to_embed({})
                pictures = images.pictures(rows, roots, encoder)
                trained = encoder_fitting.train(
                    settings, tracked.info.run_id, images.articles.take(pa.array(rows, pa.int64())), pictures
                )
                encoder = with_network(encoder, trained.network)
            store, count = _compute(job, images, roots, encoder)
            rows, features = _sample(images, store, settings.seed)
            mlflow.log_metric("images", len(images.to_embed({})))
            fitted, pca, remark = encoder_fitting.register(
                settings, encoder, features, images.articles.take(pa.array(rows, pa.int64())), trained
            )
    _take(images, store, pca, min(settings.embedding_dim, len(pca.components)))
    return fitted, store, f"{count:,} newly embedded" + (f"; {remark}" if remark else "")


def _compute(job: Job, images: Images, roots: Sequence[Location], encoder: Encoder) -> tuple[FeatureStore, int]:
    """Features of all images without a vector, in the store; those of a killed run are there already."""
    from jobs.embeddings import stream

    store, share = FeatureStore.of(encoder, job.settings), job.settings.max_bad_image_share
    known = {checksum: file for checksum, file in store.outcomes().items() if file.error != CHANGED}
    rows = images.to_embed(known)
    images.settle(known)
    if rows:
        stream.embed(images.pictures(rows, roots, encoder), store, outcomes.broken_allowed(images.files, share))
        images.settle(store.outcomes())
    outcomes.refuse_if_bad(images.files, images.paths, share)
    return store, len(rows)


def _sample(images: Images, store: FeatureStore, seed: int) -> tuple[list[int], np.ndarray]:
    """Rows and features [n, d] of the images that PCA is fitted on: all, or a sample of many."""
    from jobs.embeddings.encoder_fitting import sample
    from jobs.embeddings.reduction import MAX_FIT_IMAGES

    found = images.to_embed({})
    rows = [found[i] for i in sample(len(found), MAX_FIT_IMAGES, seed)]
    wanted = [images.files[i].checksum or "" for i in rows]
    place = {checksum: n for n, checksum in enumerate(wanted)}
    features = np.empty((0, 0), np.float32)
    for names, block in store.blocks(wanted):
        if not len(features):
            features = np.empty((len(wanted), block.shape[1]), np.float32)
        features[[place[name] for name in names]] = block
    return rows, features


def _take(images: Images, store: FeatureStore, pca: Reduction, dimensions: int) -> None:
    wanted = [images.files[i].checksum or "" for i in images.to_embed({})]
    for names, features in store.blocks(wanted):
        images.vectors.update(zip(names, pca.apply(features, dimensions), strict=True))


def require_store(job: Job) -> None:
    """Raise JobError where the table has vectors of such an encoder and MLflow's store none at all: it is lost.

    A new encoder's vectors compare with none of those. A run that accepts drift fits one.
    """
    settings, kind = job.settings, KINDS[job.settings.encoder]
    published = [part["encoder"] for part in job.partitions(ARTICLE_EMBEDDINGS)]
    made = [name for name in published if name.startswith(f"{kind}-")]
    if not made or find_versions(registry_name(settings)):
        return
    lost = (
        f"{ARTICLE_EMBEDDINGS.path} has vectors of {made[0]}, but the MLflow store {settings.tracking_uri} has no"
        f" {registry_name(settings)}: it is lost, or another one"
    )
    if not settings.accept_drift:
        raise JobError(
            f"{lost}; bring it back from a backup, give the right one by --mlflow-tracking-uri, or fit a new encoder by"
            " --accept-drift true"
        )
    _LOG.error("%s; accepted", lost)


def main(job: Job) -> str:
    folder = image_folder(job.settings)
    if folder is None:
        return f"{no_folder(job.settings)}: the model runs without images"
    with one_at_a_time(job.settings):
        return _main(job, folder)


def _main(job: Job, folder: ImageFolder) -> str:
    settings = job.settings
    articles = with_lines(job.read_arrow(ARTICLES, COLUMNS).sort_by("article_id"))
    paths = [folder.path(article_id) for article_id in articles["article_id"].to_pylist()]
    images = Images(articles, paths, inspect_all(paths, folder.roots))
    use_tracking(settings)
    fitted = fitted_encoder(settings)
    stored = None
    if fitted is None:
        require_store(job)
    if fitted is None and all(file.status == "missing" for file in images.files):
        return f"{folder.without(paths[0] if paths else None)}: the model runs without images"
    if fitted is not None and job.exists(ARTICLE_EMBEDDINGS):
        where = {"encoder": [slice_name(fitted, settings)]}
        stored = job.read_arrow(ARTICLE_EMBEDDINGS, ARTICLE_EMBEDDINGS.column_names, where).sort_by("article_id")
        stored = stored.cast(arrow_schema(ARTICLE_EMBEDDINGS))
        images.reuse(stored)
    outcomes.refuse_if_bad(images.files, paths, settings.max_bad_image_share)
    store, said = None, "0 newly embedded"
    if images.to_embed({}) or fitted is None:
        fitted, store, said = embed(job, images, folder.roots, fitted)
    encoder = slice_name(fitted, settings)
    table = images.table(encoder)
    summary = f"{outcomes.summary(images.files)}; encoder {encoder}"
    if stored is not None and stored.equals(table):
        return f"{summary}: up to date"
    job.publish(ARTICLE_EMBEDDINGS, table, replace={"encoder": [encoder]})
    if store is not None:
        store.remove()
    return f"{summary}, {said}"


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES, settings=SETTINGS)
