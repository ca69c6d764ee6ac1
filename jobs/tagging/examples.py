"""The articles that a tagger learns from and tags: their vectors and labels, as the tables have them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.articles import ARTICLES
from expectations.embeddings import ARTICLE_EMBEDDINGS
from expectations.events import ARTICLE_ATTRIBUTES
from jobs.embeddings.feature_store import matrix
from jobs.embeddings.product_lines import COLUMNS, product_lines
from jobs.embeddings.versions import current_encoder, image_folder, no_folder
from jobs.ingest.mapping import load_mapping
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.tagging.labels import Examples, labels_of

#: The tables that are read here; a job that calls `load` declares them.
EXAMPLE_TABLES = (ARTICLES, ARTICLE_ATTRIBUTES, ARTICLE_EMBEDDINGS)


@dataclass(frozen=True)
class Catalogue:
    """The articles with a readable picture, in order of id.

    Attributes:
        article_ids: [n].
        examples: their vectors and labels.
        lines: product line of each.
        encoder: the version of the vectors.
        checksums: of the pictures.
    """

    article_ids: pa.StringArray
    examples: Examples
    lines: Sequence[str]
    encoder: str
    checksums: Sequence[str]

    @property
    def digest(self) -> str:
        """Changes with whatever a tagger is fitted on."""
        labels = self.examples.labels
        found = hashlib.sha256(repr((self.encoder, dict(labels.classes))).encode())
        found.update("\n".join(self.article_ids.to_pylist() + list(self.lines)).encode())
        found.update(self.examples.vectors.tobytes())
        found.update(labels.codes.tobytes())
        return found.hexdigest()[:16]


def why_no_pictures(job: Job) -> str | None:
    """What is said where the retailer has no pictures; None where it has."""
    return None if image_folder(job.settings) else f"{no_folder(job.settings)}: there is nothing to tag"


def load(job: Job) -> Catalogue:
    """All that the settings' encoder has vectors of; JobError where it has none, or no label can be learned."""
    settings = job.settings
    encoder = current_encoder(settings)
    advice = f"run embeddings.images with --encoder {settings.encoder} first"
    if encoder is None:
        raise JobError(f"encoder {settings.encoder} was never fitted on these pictures; {advice}")
    article_ids, vectors, checksums = vectors_of(job, encoder)
    if not len(article_ids):
        raise JobError(f"{ARTICLE_EMBEDDINGS.path} has no vector of encoder {encoder}: no picture could be read")
    names = load_mapping(settings.mapping).labels
    labels = labels_of(columns(job, article_ids, names))
    lines = product_lines(pa.table(columns(job, article_ids, COLUMNS)))
    return Catalogue(article_ids, Examples(vectors, labels), lines, encoder, checksums)


def vectors_of(job: Job, encoder: str) -> tuple[pa.StringArray, np.ndarray, list[str]]:
    """Ids [n] of the articles in order, their vectors float32 [n, d] by that encoder version, pictures' checksums."""
    names = ["article_id", "image_status", "image_checksum", "image_embedding"]
    rows = job.read_arrow(ARTICLE_EMBEDDINGS, names, where={"encoder": [encoder]})
    rows = rows.filter(pc.equal(rows["image_status"], "ok")).sort_by("article_id")
    vectors = np.array(matrix(rows["image_embedding"]), np.float32)  # a copy: torch wants to be able to write
    return rows["article_id"].combine_chunks(), vectors, rows["image_checksum"].to_pylist()


def columns(job: Job, article_ids: pa.StringArray, names: Sequence[str]) -> dict[str, pa.ChunkedArray]:
    """Columns of silver/articles, or attributes, of these articles; of several values of one attribute the first."""
    own = [name for name in names if name in ARTICLES.column_names]
    articles = job.read_arrow(ARTICLES, list(dict.fromkeys(["article_id", *own])))
    place = pc.index_in(article_ids, value_set=articles["article_id"].combine_chunks())
    found = {name: articles[name].take(place) for name in own}
    others = [name for name in names if name not in found]
    if others:
        rows = job.read_arrow(ARTICLE_ATTRIBUTES, ["article_id", "name", "value"], where={"name": others})
        for name in others:
            some = rows.filter(pc.equal(rows["name"], name)).sort_by("value")
            place = pc.index_in(article_ids, value_set=some["article_id"].combine_chunks())
            found[name] = some["value"].take(place)
    return {name: found[name] for name in names}
