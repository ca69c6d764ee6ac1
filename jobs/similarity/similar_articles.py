"""Similar articles: for each article with a picture, those whose pictures look most like it, by one method.

Every pair of pictures is compared (jobs.similarity.search): nothing is approximated. What was computed from the same
vectors is left as it is.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa

from expectations.operations import FEATURE_SLICES
from expectations.similarity import SIMILAR_ARTICLES
from jobs.embeddings.versions import image_folder
from jobs.platform.job import Job, run
from jobs.platform.progress import ProgressReporter
from jobs.platform.schemas import arrow_schema
from jobs.platform.slices import record, recorded
from jobs.similarity.methods import Method, method_of
from jobs.similarity.search import NO_NEIGHBOUR, nearest
from jobs.similarity.vectors import VECTOR_TABLES, Vectors, load_vectors

READS, WRITES = VECTOR_TABLES, (SIMILAR_ARTICLES, FEATURE_SLICES)
SETTINGS = ("accept_drift", "data", "mapping", "embedding_dim", "method", "mlflow_tracking_uri")

#: To be raised when the same vectors are to have other neighbours.
VERSION = 1


def similar(name: str, method: Method, vectors: Vectors) -> pa.Table:
    """The rows of similar_articles: up to `method.picks` for each article, fewer where there are no more."""
    with ProgressReporter(len(vectors), f"similar articles by {name}") as progress:
        found, scores = nearest(
            vectors.values,
            vectors.values,
            method.picks,
            method.metric,
            exclude=np.arange(len(vectors)),
            progress=progress.advance,
        )
    is_pick = found != NO_NEIGHBOUR
    if method.within is not None:
        is_pick &= scores <= method.limit(vectors.values)
    article, place = np.nonzero(is_pick)
    columns = {
        "method": pa.repeat(name, len(article)),
        "article_id": vectors.article_ids.take(pa.array(article)),
        "rank": place + 1,
        "similar_article_id": vectors.article_ids.take(pa.array(found[is_pick])),
        "score": scores[is_pick],
        "encoder": pa.repeat(vectors.encoder, len(article)),
    }
    return pa.table(columns).cast(arrow_schema(SIMILAR_ARTICLES))


def digest(method: Method, vectors: Vectors) -> str:
    """SHA-256 of all that the picks follow from."""
    found = hashlib.sha256(repr((method, vectors.encoder)).encode())
    found.update("\n".join(vectors.article_ids.to_pylist()).encode())
    found.update(vectors.values.tobytes())
    return found.hexdigest()


def main(job: Job) -> str:
    name = job.settings.method
    method, settings = method_of(job.settings)
    if image_folder(settings) is None:
        return f"no images for mapping {settings.mapping} in {settings.data}: no article looks like another"
    vectors = load_vectors(job.read_arrow, method, settings)
    made_from = digest(method, vectors)
    words = f"{len(vectors):,} articles with a picture, encoder {vectors.encoder}"
    if recorded(job, SIMILAR_ARTICLES, VERSION).get(name) == {made_from: 0}:
        return f"{name}: {words}: up to date"
    table = similar(name, method, vectors)
    job.publish(SIMILAR_ARTICLES, table, replace={"method": [name]})
    record(job, SIMILAR_ARTICLES, VERSION, {name: {made_from: 0}})
    with_picks = len(table["article_id"].unique())
    return f"{name}: {table.num_rows:,} picks for {with_picks:,} of {words}"


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES, settings=SETTINGS)
