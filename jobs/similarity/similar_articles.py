"""Similar articles: for each article those that are most like it, by one method: by picture, by text, or by both.

Every pair is compared (jobs.similarity.search), but where a method says otherwise (jobs.similarity.approximate). What
was computed from the same vectors is left as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.articles import ARTICLES
from expectations.embeddings import ARTICLE_EMBEDDINGS, ARTICLE_TEXT_EMBEDDINGS
from expectations.operations import FEATURE_SLICES
from expectations.similarity import SIMILAR_ARTICLES
from jobs.embeddings.versions import image_folder
from jobs.platform.job import Job, run
from jobs.platform.progress import ProgressReporter
from jobs.platform.schemas import arrow_schema
from jobs.platform.slices import record, recorded
from jobs.similarity.approximate import neighbours
from jobs.similarity.fusion import fuse
from jobs.similarity.methods import METHODS, Method, parts_of
from jobs.similarity.search import NO_NEIGHBOUR, nearest
from jobs.similarity.vectors import Vectors, load_vectors

READS, WRITES = (ARTICLES,), (SIMILAR_ARTICLES, FEATURE_SLICES)
#: Of which a method reads one or both.
READS_EARLIER_RUNS = (ARTICLE_EMBEDDINGS, ARTICLE_TEXT_EMBEDDINGS)
SETTINGS = (
    "accept_drift",
    "data",
    "mapping",
    "embedding_dim",
    "method",
    "mlflow_tracking_uri",
)

#: To be raised when the same vectors are to have other neighbours.
VERSION = 1
#: Picks of each of the methods that are fused: what two of them have far down may be the best of both.
FUSED_DEPTH = 50


def picks_of(name: str, method: Method, vectors: Vectors, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the k picks of each article, [n, k], and their scores; NO_NEIGHBOUR and NaN where there are fewer."""
    if method.is_approximate:
        return neighbours(vectors.values, k)
    with ProgressReporter(len(vectors), f"similar articles by {name}") as progress:
        found, scores = nearest(
            vectors.values,
            vectors.values,
            k,
            method.metric,
            exclude=np.arange(len(vectors)),
            progress=progress.advance,
        )
    if method.within is not None:
        found = np.where(scores <= method.limit(vectors.values), found, NO_NEIGHBOUR)
    return found, scores


def similar(name: str, method: Method, vectors: Vectors) -> pa.Table:
    """The rows of similar_articles: up to `method.picks` for each article, fewer where there are no more."""
    found, scores = picks_of(name, method, vectors, method.picks)
    return rows_of(name, vectors.article_ids, found, scores, vectors.encoder)


def fused(name: str, picks: int, parts: Sequence[tuple[Method, Vectors]]) -> pa.Table:
    """The rows of similar_articles of several methods' picks, fused by their ranks."""
    ids = pc.unique(pa.concat_arrays([vectors.article_ids for _, vectors in parts])).sort()
    lists = []
    for method, vectors in parts:
        row = pc.index_in(vectors.article_ids, value_set=ids).to_numpy()
        found, _ = picks_of(name, method, vectors, FUSED_DEPTH)
        there = np.full((len(ids), FUSED_DEPTH), NO_NEIGHBOUR, np.int64)
        there[row] = np.where(found == NO_NEIGHBOUR, NO_NEIGHBOUR, row[found])
        lists.append(there)
    return rows_of(name, ids, *fuse(lists, picks), "+".join(vectors.encoder for _, vectors in parts))


def rows_of(name: str, ids: pa.StringArray, found: np.ndarray, scores: np.ndarray, encoder: str) -> pa.Table:
    """Picks as rows of similar_articles."""
    article, place = np.nonzero(found != NO_NEIGHBOUR)
    columns = {
        "method": pa.repeat(name, len(article)),
        "article_id": ids.take(pa.array(article)),
        "rank": place + 1,
        "similar_article_id": ids.take(pa.array(found[article, place])),
        "score": scores[article, place],
        "encoder": pa.repeat(encoder, len(article)),
    }
    return pa.table(columns).cast(arrow_schema(SIMILAR_ARTICLES))


def digest(parts: Sequence[tuple[Method, Vectors]]) -> str:
    """SHA-256 of all that the picks follow from."""
    found = hashlib.sha256()
    for method, vectors in parts:
        found.update(repr((method, vectors.encoder)).encode())
        found.update("\n".join(vectors.article_ids.to_pylist()).encode())
        found.update(vectors.values.tobytes())
    return found.hexdigest()


def main(job: Job) -> str:
    name = job.settings.method
    asked = parts_of(job.settings)
    if any(method.takes_image for method, _ in asked) and image_folder(job.settings) is None:
        return f"no images for mapping {job.settings.mapping} in {job.settings.data}: no article looks like another"
    parts = [(method, load_vectors(job.read_arrow, method, settings)) for method, settings in asked]
    made_from = digest(parts)
    count = max(len(vectors) for _, vectors in parts)
    words = f"{count:,} articles, encoder {' and '.join(vectors.encoder for _, vectors in parts)}"
    if recorded(job, SIMILAR_ARTICLES, VERSION).get(name) == {made_from: 0}:
        return f"{name}: {words}: up to date"
    table = similar(name, *parts[0]) if not METHODS[name].parts else fused(name, METHODS[name].picks, parts)
    job.publish(SIMILAR_ARTICLES, table, replace={"method": [name]})
    record(job, SIMILAR_ARTICLES, VERSION, {name: {made_from: 0}})
    with_picks = len(table["article_id"].unique())
    return f"{name}: {table.num_rows:,} picks for {with_picks:,} of {words}"


if __name__ == "__main__":
    run(main, reads=READS + READS_EARLIER_RUNS, writes=WRITES, settings=SETTINGS)
