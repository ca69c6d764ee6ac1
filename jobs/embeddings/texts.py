"""Text embeddings: one vector per article, of what the catalogue says of it.

A text is embedded once, however many articles have it, and again only when it or the encoder changes. What a killed run
had embedded lies in the work folder, and the next run goes on there. An article of which nothing is said has a flagged
row without a vector.
"""

from __future__ import annotations

import time

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.articles import ARTICLES
from expectations.embeddings import ARTICLE_TEXT_EMBEDDINGS
from jobs.embeddings import text_fitting
from jobs.embeddings.article_text import COLUMNS, checksums, full_text
from jobs.embeddings.feature_store import Chunks, matrix, one_at_a_time
from jobs.embeddings.text_encoders import TextEncoder
from jobs.embeddings.text_versions import fitted_text_encoder, slice_of
from jobs.platform.errors import JobError
from jobs.platform.job import Job, run
from jobs.platform.progress import ProgressReporter
from jobs.platform.schemas import arrow_schema
from jobs.platform.settings import Settings
from jobs.platform.tracking import ModelVersion, start_run, use_tracking

READS, WRITES = (ARTICLES,), (ARTICLE_TEXT_EMBEDDINGS,)
SETTINGS = ("accept_drift", "mapping", "text_encoder", "weights_dir", "seed", "mlflow_tracking_uri")

#: A chunk is kept after so many texts, or seconds.
CHUNK, KEEP_SECONDS = 1_024, 30


class TextStore(Chunks):
    """Vectors by checksum of their text, of one encoder."""

    @classmethod
    def of(cls, encoder: TextEncoder, settings: Settings) -> TextStore:
        return cls(settings.work_dir / "text_embeddings" / f"{encoder.kind}-{encoder.weights[:16]}")

    def keep(self, names: pa.StringArray, vectors: np.ndarray) -> None:
        self.add(pa.table({"checksum": names, "vector": lists(vectors)}))

    def found(self, dimensions: int) -> tuple[pa.StringArray, np.ndarray]:
        """All checksums and their vectors [n, dimensions]."""
        tables = list(self.tables())
        names = [chunk for table in tables for chunk in table["checksum"].chunks]
        vectors = [np.empty((0, dimensions), np.float32), *(matrix(table["vector"]) for table in tables)]
        return pa.concat_arrays([pa.array([], pa.string()), *names]), np.concatenate(vectors)


def lists(vectors: np.ndarray) -> pa.ListArray:
    """Rows of float32 [n, d] as a column of lists."""
    n, d = vectors.shape
    return pa.ListArray.from_arrays(pa.array(np.arange(n + 1, dtype=np.int32) * d), pa.array(vectors.ravel()))


def embed(texts: pa.StringArray, names: pa.StringArray, encoder: TextEncoder, store: TextStore) -> int:
    """Embed the distinct texts, of these checksums, that the store lacks; returns how many those were."""
    known, _ = store.found(encoder.dimensions)
    lacking = np.flatnonzero(~pc.is_in(names, value_set=known).to_numpy(zero_copy_only=False))
    # Of like length together: a short text then waits for no long one.
    lengths = pc.utf8_length(texts).to_numpy()[lacking]
    lacking = lacking[np.argsort(lengths, kind="stable")]
    kept, kept_at = 0, time.monotonic()
    vectors: list[np.ndarray] = []
    with ProgressReporter(len(lacking), "texts") as progress:
        for start in range(0, len(lacking), CHUNK // 4):
            rows = lacking[start : start + CHUNK // 4]
            vectors.append(encoder.encode(texts.take(pa.array(rows)).to_pylist()))
            end = start + len(rows)
            progress.advance(len(rows))
            if end - kept >= CHUNK or end == len(lacking) or time.monotonic() - kept_at > KEEP_SECONDS:
                store.keep(names.take(pa.array(lacking[kept:end])), np.concatenate(vectors))
                kept, kept_at, vectors = end, time.monotonic(), []
    return len(lacking)


def transform(
    article_ids: pa.StringArray, names: pa.StringArray, known: pa.StringArray, vectors: np.ndarray, encoder: str
) -> pa.Table:
    """The rows of article_text_embeddings.

    Args:
        article_ids: of the articles.
        names: checksum of each one's text, null for none.
        known: checksums that have vectors, among them all of `names`.
        vectors: those, float32 [n, d].
        encoder: the encoder's version.
    """
    place = pc.index_in(names, value_set=known)
    is_there = names.is_valid().to_numpy(zero_copy_only=False)
    found = vectors[place.drop_null().to_numpy()]
    offsets = np.append(0, (is_there * vectors.shape[1]).cumsum()).astype(np.int32)
    columns = {
        "encoder": pa.repeat(encoder, len(article_ids)),
        "article_id": article_ids,
        "text_status": pc.if_else(names.is_valid(), "ok", "missing"),
        "text_checksum": names,
        "text_embedding": pa.ListArray.from_arrays(pa.array(offsets), found.ravel(), mask=pa.array(~is_there)),
    }
    return pa.table(columns).cast(arrow_schema(ARTICLE_TEXT_EMBEDDINGS))


def stored_vectors(rows: pa.Table, dimensions: int) -> tuple[pa.StringArray, np.ndarray]:
    """Checksums and vectors of an earlier run's rows, each text once."""
    rows = rows.filter(pc.equal(rows["text_status"], "ok"))
    names, vectors = rows["text_checksum"].combine_chunks(), matrix(rows["text_embedding"])
    first = np.unique(names.dictionary_encode().indices.to_numpy(), return_index=True)[1]
    return names.take(pa.array(first)), vectors[first] if len(first) else np.empty((0, dimensions), np.float32)


def _fitted(job: Job, texts: list[str]) -> tuple[ModelVersion, TextEncoder | None]:
    """The encoder's version, and the encoder where it had to be opened for that."""
    use_tracking(job.settings)
    if fitted := fitted_text_encoder(job.settings):
        return fitted, None
    with start_run(job.settings, job.name):
        return text_fitting.register(job.settings, texts)


def main(job: Job) -> str:
    with one_at_a_time(job.settings, "text_embeddings"):
        return _main(job)


def _main(job: Job) -> str:
    settings = job.settings
    articles = job.read_arrow(ARTICLES, ["article_id", *COLUMNS]).sort_by("article_id")
    texts = full_text(articles)
    distinct = pc.unique(texts.drop_null())
    if not len(distinct):
        raise JobError(f"{ARTICLES.path}: {len(articles):,} articles, and none has a text in {', '.join(COLUMNS)}")
    names, distinct_names = checksums(texts), checksums(distinct)
    fitted, encoder = _fitted(job, distinct.to_pylist())
    version, dimensions = slice_of(fitted), int(fitted.tags["dimensions"])
    stored = None
    known, vectors = pa.array([], pa.string()), np.empty((0, dimensions), np.float32)
    if job.exists(ARTICLE_TEXT_EMBEDDINGS):
        found = job.read_arrow(ARTICLE_TEXT_EMBEDDINGS, ARTICLE_TEXT_EMBEDDINGS.column_names, {"encoder": [version]})
        stored = found.sort_by("article_id").cast(arrow_schema(ARTICLE_TEXT_EMBEDDINGS))
        known, vectors = stored_vectors(stored, dimensions)
    is_new = pc.invert(pc.is_in(distinct_names, value_set=known))
    count, store = 0, None
    if pc.any(is_new).as_py():
        encoder = encoder or text_fitting.load(fitted, settings)
        store = TextStore.of(encoder, settings)
        count = embed(distinct.filter(is_new), distinct_names.filter(is_new), encoder, store)
        more, found_vectors = store.found(dimensions)
        known, vectors = pa.concat_arrays([known, more]), np.concatenate([vectors, found_vectors])
    table = transform(articles["article_id"].combine_chunks(), names, known, vectors, version)
    missing = names.null_count
    summary = f"{len(names):,} articles, {len(distinct):,} different texts, {missing:,} without; encoder {version}"
    if stored is not None and stored.equals(table):
        return f"{summary}: up to date"
    job.publish(ARTICLE_TEXT_EMBEDDINGS, table, replace={"encoder": [version]})
    if store is not None:
        store.remove()
    return f"{summary}, {count:,} newly embedded"


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES, settings=SETTINGS)
