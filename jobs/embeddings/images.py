"""Image embeddings: what each product picture looks like, as one vector per article.

The first run fits the encoder (its PCA, and the catalogue's own network) and keeps it in the model registry; later
runs embed only pictures that are new or changed. A missing or broken picture becomes a flagged row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.progress import track

from expectations.articles import ARTICLES
from expectations.embeddings import ARTICLE_EMBEDDINGS
from jobs.embeddings.decode import BLOCK, CPUS, ImageFile, decode_blocks, inspect_all
from jobs.embeddings.versions import fitted_encoder, image_folder, slice_name
from jobs.platform.errors import JobError
from jobs.platform.job import Job, run
from jobs.platform.schemas import arrow_schema
from jobs.platform.tracking import ModelVersion, use_tracking

if TYPE_CHECKING:
    from jobs.embeddings.encoders import Encoder
    from jobs.embeddings.fitting import Block

READS, WRITES = (ARTICLES,), (ARTICLE_EMBEDDINGS,)

COLUMNS = (
    "article_id",
    "product_code",
    "product_group_name",
    "product_type_name",
    "colour_group_name",
    "graphical_appearance_name",
)


class Images:
    """The catalogue's image files, in order of article id, and the vectors of those embedded so far.

    Args:
        articles: COLUMNS of the articles.
        paths: where each article's image should be.
        files: what was found there.
    """

    def __init__(self, articles: pa.Table, paths: Sequence[Path], files: Sequence[ImageFile]) -> None:
        self.articles, self.paths, self.files = articles, list(paths), list(files)
        self.vectors: dict[int, np.ndarray] = {}

    def reuse(self, stored: pa.Table) -> None:
        """Take status and vector from an earlier run's rows (article_embeddings) where the file is still the same."""
        vectors = iter(_matrix(stored))
        rows = stored.select(["article_id", "image_status", "image_error", "image_checksum"]).to_pylist()
        known = {row["article_id"]: (row, next(vectors) if row["image_status"] == "ok" else None) for row in rows}
        for i, article_id in enumerate(self.articles["article_id"].to_pylist()):
            row, vector = known.get(article_id, (None, None))
            if row is None or self.files[i].status != "ok" or row["image_checksum"] != self.files[i].checksum:
                continue
            if vector is None:
                self.files[i] = replace(self.files[i], status="broken", error=row["image_error"])
            else:
                self.vectors[i] = vector

    def to_embed(self) -> list[int]:
        """Rows whose image has no vector yet."""
        return [i for i, file in enumerate(self.files) if file.status == "ok" and i not in self.vectors]

    def decode(self, rows: Sequence[int], encoder: Encoder, max_bad_share: float) -> Iterator[Block]:
        """Prepared images of those rows, block by block; what cannot be decoded is marked as broken."""
        blocks = decode_blocks([self.paths[i] for i in rows], encoder.prepare, encoder.at_least)
        console = Console(stderr=True)
        total = -(-len(rows) // BLOCK)
        tracked = track(blocks, "images", total=total, console=console, disable=not console.is_terminal)
        for n, block in enumerate(tracked):
            good: list[int] = []
            images: list[np.ndarray] = []
            for i, result in zip(rows[n * BLOCK : (n + 1) * BLOCK], block, strict=True):
                if isinstance(result, str):
                    self.files[i] = replace(self.files[i], status="broken", error=result)
                else:
                    good.append(i)
                    images.append(result)
            self.refuse_if_bad(max_bad_share)
            yield good, images

    def refuse_if_bad(self, max_share: float) -> None:
        """Raise JobError when more than `max_share` of the images there are cannot be read."""
        broken = [i for i, file in enumerate(self.files) if file.status == "broken"]
        present = sum(file.status != "missing" for file in self.files)
        if len(broken) > max_share * present:
            raise JobError(
                f"{len(broken):,} of {present:,} images cannot be read, more than the share of {max_share:g}, such as "
                f"{self.paths[broken[0]]}: {self.files[broken[0]].error}; replace them or raise --max-bad-image-share"
            )

    def table(self, encoder: str) -> pa.Table:
        """The rows of article_embeddings."""
        n = len(self.files)
        lengths = np.array([len(self.vectors[i]) if i in self.vectors else 0 for i in range(n)], dtype=np.int32)
        values = np.concatenate([self.vectors[i] for i in sorted(self.vectors)] or [np.empty(0, np.float32)])
        offsets = np.concatenate([[0], lengths.cumsum()]).astype(np.int32)
        columns = {
            "encoder": pa.array([encoder] * n, pa.string()),
            "article_id": self.articles["article_id"],
            "image_status": pa.array([file.status for file in self.files], pa.string()),
            "image_error": pa.array([file.error for file in self.files], pa.string()),
            "image_checksum": pa.array([file.checksum for file in self.files], pa.string()),
            "image_embedding": pa.ListArray.from_arrays(pa.array(offsets), values, mask=pa.array(lengths == 0)),
        }
        return pa.table(columns).cast(arrow_schema(ARTICLE_EMBEDDINGS))

    def summary(self) -> str:
        counts = Counter(file.status for file in self.files)
        return f"{counts['ok']:,} images ok, {counts['missing']:,} missing, {counts['broken']:,} broken"


def _matrix(stored: pa.Table) -> np.ndarray:
    """The vectors of the rows that have one, float32 [n, k]."""
    vectors = stored["image_embedding"].combine_chunks().drop_null()
    return vectors.flatten().to_numpy().reshape(len(vectors), -1) if len(vectors) else np.empty((0, 0), np.float32)


def embed(job: Job, images: Images, rows: Sequence[int], fitted: ModelVersion | None) -> tuple[ModelVersion, str]:
    """Embed those rows, with the fitted encoder or a new one; returns its version, and a new one's figures in words."""
    # Seconds to import, which a run without new images is spared.
    import torch

    from jobs.embeddings import fitting

    settings, remark = job.settings, ""
    torch.set_num_threads(CPUS)
    if fitted is None:
        encoder = fitting.open_encoder(settings)
        blocks = images.decode(rows, encoder, settings.max_bad_image_share)
        fitted, pca, good, features, remark = fitting.fit(settings, job.name, images.articles, encoder, blocks)
    else:
        encoder, pca = fitting.load(fitted, settings)
        good, features = fitting.features_of(encoder, images.decode(rows, encoder, settings.max_bad_image_share))
    if good:
        vectors = pca.apply(features, min(settings.embedding_dim, len(pca.components)))
        images.vectors.update(zip(good, vectors, strict=True))
    return fitted, remark


def main(job: Job) -> str:
    settings = job.settings
    folder = image_folder(settings)
    if folder is None:
        return f"no images for mapping {settings.mapping} in {settings.data}: the model runs without them"
    articles = job.read_arrow(ARTICLES, COLUMNS).sort_by("article_id")
    paths = [folder.path(article_id) for article_id in articles["article_id"].to_pylist()]
    images = Images(articles, paths, inspect_all(paths, folder.root))
    use_tracking(settings)
    fitted = fitted_encoder(settings)
    stored = None
    if fitted is None and all(file.status == "missing" for file in images.files):
        return f"no images in {folder.root} for any article: the model runs without them"
    if fitted is not None and job.exists(ARTICLE_EMBEDDINGS):
        where = {"encoder": [slice_name(fitted, settings)]}
        stored = job.read_arrow(ARTICLE_EMBEDDINGS, ARTICLE_EMBEDDINGS.column_names, where).sort_by("article_id")
        stored = stored.cast(arrow_schema(ARTICLE_EMBEDDINGS))
        images.reuse(stored)
    images.refuse_if_bad(settings.max_bad_image_share)
    rows, remark = images.to_embed(), ""
    if rows or fitted is None:
        fitted, remark = embed(job, images, rows, fitted)
    encoder = slice_name(fitted, settings)
    table = images.table(encoder)
    summary = f"{images.summary()}; encoder {encoder}"
    if stored is not None and stored.equals(table):
        return f"{summary}: up to date"
    job.publish(ARTICLE_EMBEDDINGS, table, replace={"encoder": [encoder]})
    return f"{summary}, {len(rows):,} newly embedded" + (f"; {remark}" if remark else "")


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES)
