"""A system's lists as customers would see them: what it leaves open, the best sellers of the last 7 days fill up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date

import numpy as np
import pyarrow as pa

from expectations.recommendations import SYSTEM_RECOMMENDATIONS
from jobs.platform.codes import NO_ARTICLE, Ints
from jobs.platform.schemas import arrow_schema
from jobs.ranking.candidate_retrieval import blocks, written_together
from jobs.recommenders.recommender import Model
from jobs.retrieval.baselines import first_distinct
from jobs.retrieval.popularity import popular_articles
from jobs.retrieval.purchases import Purchases
from jobs.retrieval.source import Source, TopK, empty_topk


class Picks:
    """A fitted system ready to fill whole lists as of a date.

    Args:
        history: purchases before that date.
        count: places of a list.
    """

    def __init__(self, model: Model, history: Purchases, as_of_date: date, count: int) -> None:
        self._source: Source = model.at(history, as_of_date, count)
        self._count = count
        self._popular = popular_articles(history, as_of_date, count)

    def of(self, customers: Ints) -> tuple[TopK, TopK]:
        """Of these customers what the system found by itself, and the same filled up, without scores there.

        A customer without a list of the system's gets the best sellers alone.
        """
        own = self._source.of(customers)
        popular = np.broadcast_to(self._popular, (len(customers), len(self._popular)))
        filled = empty_topk(len(customers), self._count)
        filled.scores[:, : own.scores.shape[1]] = own.scores
        return own, filled._replace(articles=first_distinct(np.hstack([own.articles, popular]), self._count))


def rows(purchases: Purchases, customers: Ints, found: TopK, stamp: Mapping[str, object]) -> pa.Table:
    """Lists as rows of system_recommendations; `stamp` holds as_of_date, system and run_id."""
    picked, schema = found.articles != NO_ARTICLE, arrow_schema(SYSTEM_RECOMMENDATIONS)
    scores = found.scores[picked].astype(np.float64)
    columns = {name: pa.repeat(pa.scalar(value, schema.field(name).type), len(scores)) for name, value in stamp.items()}
    columns |= {
        "customer_id": purchases.customer_ids.take(pa.array(np.repeat(customers, picked.sum(axis=1)))),
        "rank": np.broadcast_to(np.arange(1, picked.shape[1] + 1, dtype=np.int32), picked.shape)[picked],
        "article_id": purchases.article_ids.take(pa.array(found.articles[picked])),
        "score": pa.array(scores, mask=np.isnan(scores)),
    }
    return pa.table(columns).select(schema.names).cast(schema)


def tables(purchases: Purchases, picks: Picks, stamp: Mapping[str, object]) -> Iterator[pa.Table]:
    """All customers' lists, with or without history, as rows of system_recommendations, some blocks at a time.

    The purchases end with the as-of date.
    """
    everyone = blocks(purchases.customers())
    return written_together(rows(purchases, block, picks.of(block)[1], stamp) for block in everyone)
