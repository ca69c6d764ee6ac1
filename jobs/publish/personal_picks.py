"""Personal picks of everybody who met something lately: customers, new ones too, and visitors who never signed in.

    python -m jobs.publish.personal_picks --as-of-date 2020-09-23

By user_based, and by embedding_joint; where there is no joint space of pictures and texts, by embedding_image, else by
embedding_text. Purchases alone count where there is no log. The vectors that were compared are published, too: with
them the shop window picks anew after each event (jobs.recommenders.personal).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from expectations.embeddings import ARTICLE_EMBEDDINGS, ARTICLE_TEXT_EMBEDDINGS
from expectations.events import EVENTS
from expectations.personal import PERSONAL_PICKS, PERSONAL_VECTORS
from jobs.platform.codes import NO_ARTICLE, Ints
from jobs.platform.errors import JobError
from jobs.platform.job import Job, run
from jobs.platform.schemas import arrow_schema
from jobs.publish.recommendations import with_buckets
from jobs.ranking.candidate_retrieval import blocks, written_together
from jobs.recommenders.article_vectors import ArticleVectors, Space, article_vectors
from jobs.recommenders.embedding_filtering import near_taste, shelf
from jobs.recommenders.interactions import CUSTOMER, Shoppers, events_before, shoppers
from jobs.recommenders.user_based import met_by_neighbours
from jobs.retrieval.purchases import PURCHASE_TABLES, Purchases, load_purchases
from jobs.retrieval.source import Source, TopK

READS, WRITES = (*PURCHASE_TABLES, ARTICLE_EMBEDDINGS), (PERSONAL_PICKS, PERSONAL_VECTORS)
READS_EARLIER_RUNS = (EVENTS, ARTICLE_TEXT_EMBEDDINGS)
SETTINGS = (
    "accept_drift",
    "data",
    "mapping",
    "encoder",
    "embedding_dim",
    "text_encoder",
    "top_k",
    "mlflow_tracking_uri",
)

#: Who met something in the last so many days has picks.
DAYS = 56
#: So many articles more than are shown are looked up: those that the shopper met are dropped.
SPARE = 100
#: The best first.
SPACES: tuple[Space, ...] = ("joint", "image", "text")

_LOG = logging.getLogger(__name__)


class System(NamedTuple):
    """A system ready for any shopper, and what its picks say made them."""

    name: str
    source: Source
    model_version: str


def best_vectors(job: Job, article_ids: pa.StringArray) -> tuple[Space, ArticleVectors] | None:
    """The vectors of the first space that there is; None, with a line in the log, where there is none."""
    for space in SPACES:
        try:
            return space, article_vectors(job, article_ids, space)
        except JobError as error:
            _LOG.warning("no picks in the space %s: %s", space, error)
    return None


def without_met(found: TopK, met: sparse.csr_matrix, count: int) -> TopK:
    """The first `count` of each row that its shopper did not meet, in the same order.

    Args:
        found: articles of each shopper.
        met: weight of what each met, (shoppers, articles).
    """
    row = np.arange(len(found.articles), dtype=np.int64)
    own = np.repeat(row, np.diff(met.indptr)) << 32 | met.indices
    is_kept = (found.articles != NO_ARTICLE) & ~np.isin(row[:, None] << 32 | found.articles, own)
    order = np.argsort(~is_kept, axis=1, kind="stable")[:, :count]
    kept = np.take_along_axis(is_kept, order, axis=1)
    articles = np.where(kept, np.take_along_axis(found.articles, order, axis=1), np.int32(NO_ARTICLE))
    return TopK(articles, np.where(kept, np.take_along_axis(found.scores, order, axis=1), np.float32(np.nan)))


def rows(
    found: TopK, block: Ints, met: Shoppers, history: Purchases, ids: pa.StringArray, stamp: Mapping[str, object]
) -> pa.Table:
    """Picks of a block of shoppers as rows of gold/personal_picks.

    Args:
        ids: every shopper's shopper_id by code.
        stamp: as_of_date, system, model_version and run_id.
    """
    is_picked, schema = found.articles != NO_ARTICLE, arrow_schema(PERSONAL_PICKS)
    of_row = np.repeat(np.arange(len(block)), is_picked.sum(axis=1))
    shopper = ids.take(pa.array(block))
    bare = pa.array([name[len(CUSTOMER) :] for name in shopper.to_pylist()])
    is_customer = pa.array([name.startswith(CUSTOMER) for name in shopper.to_pylist()])
    of_shopper = {
        "shopper_id": shopper,
        "customer_id": pc.if_else(is_customer, bare, None),
        "visitor_id": pc.if_else(is_customer, None, bare),
        "has_events": pa.array(met.has_events[block]),
        "bucket": pa.array(with_buckets(pa.chunked_array([bare]))["bucket"].to_arrow()),
    }
    columns = {name: values.take(pa.array(of_row)) for name, values in of_shopper.items()}
    columns |= {
        name: pa.repeat(pa.scalar(value, schema.field(name).type), len(of_row)) for name, value in stamp.items()
    }
    columns |= {
        "rank": np.broadcast_to(np.arange(1, is_picked.shape[1] + 1, dtype=np.int32), is_picked.shape)[is_picked],
        "article_id": history.article_ids.take(pa.array(found.articles[is_picked])),
        "score": found.scores[is_picked].astype(np.float64),
    }
    return pa.table(columns).select(schema.names).cast(schema)


def vector_rows(vectors: ArticleVectors, history: Purchases, job: Job) -> pa.Table:
    """Rows of gold/personal_vectors: every article that has a vector."""
    as_of_date = job.settings.as_of_date
    has = np.flatnonzero(vectors.values.any(axis=1))
    width = vectors.values.shape[1]
    offsets = pa.array(np.arange(len(has) + 1, dtype=np.int32) * width)
    columns = {
        "as_of_date": pa.repeat(pa.scalar(as_of_date, pa.date32()), len(has)),
        "article_id": history.article_ids.take(pa.array(has)),
        "vector": pa.ListArray.from_arrays(offsets, pa.array(vectors.values[has].ravel())),
        "is_available": pa.array(shelf(history, as_of_date)[has]),
        "model_version": pa.repeat(pa.scalar(vectors.encoder), len(has)),
    }
    schema = arrow_schema(PERSONAL_VECTORS)
    return pa.table(columns).select(schema.names).cast(schema)


def main(job: Job) -> str:
    settings = job.settings
    as_of_date, own = settings.as_of_date, {"as_of_date": [settings.as_of_date]}
    history = load_purchases(job, before=as_of_date)
    met = shoppers(history, events_before(job, as_of_date), as_of_date)
    count = settings.top_k + SPARE
    systems = [System("user_based", met_by_neighbours(met, history, as_of_date, count), "user_based")]
    chosen = best_vectors(job, history.article_ids)
    if chosen is not None:
        space, vectors = chosen
        near = near_taste(met, vectors.values, history, as_of_date, count)
        systems.append(System(f"embedding_{space}", near, vectors.encoder))
        job.publish(PERSONAL_VECTORS, vector_rows(vectors, history, job), own)
    customers = len(history.customer_ids)
    active = met.active(as_of_date, DAYS)
    active = active[(active >= customers) | np.isin(active, history.customers())]
    known = pc.binary_join_element_wise(CUSTOMER, history.customer_ids, "")
    ids = pa.concat_arrays([known, met.others])

    def tables() -> Iterator[pa.Table]:
        for system in systems:
            stamp = {"as_of_date": as_of_date, "run_id": settings.run_id}
            stamp |= {"system": system.name, "model_version": system.model_version}
            for block in blocks(active):
                found = without_met(system.source.of(block), met.weight[block], settings.top_k)
                yield rows(found, block, met, history, ids, stamp)

    slices = own | {"system": ["user_based", *(f"embedding_{space}" for space in SPACES)]}
    published = job.publish(PERSONAL_PICKS, written_together(tables()), slices)
    return (
        f"{published:,} picks by {' and '.join(system.name for system in systems)} for {len(active):,} shoppers of the"
        f" last {DAYS} days, {int((active >= customers).sum()):,} of them no customers;"
        f" events count for {int(met.has_events[active].sum()):,}"
    )


if __name__ == "__main__":
    run(main, reads=READS + READS_EARLIER_RUNS, writes=WRITES, settings=SETTINGS)
