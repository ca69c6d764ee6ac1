"""Both stages applied: candidates of all sources for each customer, ordered by a ranker."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import faiss
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from jobs.platform.codes import NO_ARTICLE, Ints
from jobs.ranking.candidate_retrieval import Candidates, Retrieval, blocks, require_finite
from jobs.ranking.model import TwoStageModel
from jobs.ranking.rule import log_odds, popular_first
from jobs.ranking.snapshot import Floats, Snapshot
from jobs.retrieval.candidates import SOURCES
from jobs.retrieval.purchases import Purchases
from jobs.retrieval.recent import RecentPurchases

CORES = len(os.sched_getaffinity(0))
RANKED = pa.schema(
    {
        "customer_id": pa.string(),
        "rank": pa.int32(),
        "article_id": pa.string(),
        "score": pa.float64(),
        "source": pa.string(),
    }
)


@dataclass(frozen=True)
class Ranked:
    """The best articles of some customers, best first.

    Attributes:
        articles: article codes, (n, count), NO_ARTICLE where fewer candidates exist.
        scores: the ranker's, comparable within one customer, (n, count); -inf where no article.
        sources: index in jobs.retrieval.candidates.SOURCES, (n, count).
    """

    articles: Ints
    scores: Floats
    sources: Ints

    def table(self, purchases: Purchases, customers: Ints) -> pa.Table:
        """One row per article, of schema RANKED.

        Args:
            purchases: whose ids the codes stand for.
            customers: codes of those ranked for, (n,).
        """
        picked = self.articles != NO_ARTICLE
        rank = np.broadcast_to(np.arange(1, picked.shape[1] + 1, dtype=np.int32), picked.shape)
        return pa.table(
            {
                "customer_id": purchases.customer_ids.take(pa.array(np.repeat(customers, picked.sum(axis=1)))),
                "rank": pa.array(rank[picked]),
                "article_id": purchases.article_ids.take(pa.array(self.articles[picked])),
                "score": pa.array(self.scores[picked].astype(np.float64)),
                "source": pa.array(SOURCES).take(pa.array(self.sources[picked])),
            },
            schema=RANKED,
        )


class Recommender:
    """A model ready to rank for any customer as of one date; what depends on articles alone is computed once."""

    def __init__(self, model: TwoStageModel, snapshot: Snapshot) -> None:
        self._model = model
        self._retrieval = Retrieval(model.inputs, model.towers, model.systems, snapshot)
        self._scorers = {name: ranker.scorer(self._retrieval) for name, ranker in model.rankers.items()}

    @property
    def recent(self) -> RecentPurchases:
        """Every customer's articles before the as-of date."""
        return self._retrieval.recent

    def has_history(self, customers: Ints) -> npt.NDArray[np.bool_]:
        """Whether each customer bought something before the as-of date, or met something, where events count."""
        has_bought, events = self.recent.has_history(customers), self._retrieval.snapshot.events
        return has_bought if events is None else has_bought | (np.diff(events.indptr)[customers] > 0)

    def candidates(self, customers: Ints, exclude_bought: bool = False) -> Candidates:
        """The ranker's input for a block of customers; see Retrieval.of."""
        return self._retrieval.of(customers, exclude_bought)

    def rank(self, candidates: Candidates, count: int, ranker: str | None = None) -> Ranked:
        """The `count` best candidates by the named ranker, or the model's chosen one."""
        return self.rank_by(candidates, count, [ranker or self._model.chosen])[0]

    def rank_by(self, candidates: Candidates, count: int, rankers: list[str]) -> list[Ranked]:
        """The `count` best of the same candidates by each of several rankers."""
        return [self._best(name, candidates, self._scores(name, candidates), count) for name in rankers]

    def best_sellers_first(self, candidates: Candidates, count: int) -> Ranked:
        """The `count` best of the candidates by what they sell, and then those that the customer had before."""
        return self._best("best sellers", candidates, _by_sales(candidates), count)

    def _scores(self, ranker: str, candidates: Candidates) -> Floats:
        scores = self._scorers[ranker](candidates)
        if self._model.ranks_new_customers:
            return scores
        has_history = self.has_history(candidates.customers)[:, None]
        return np.where(has_history, scores, _by_sales(candidates))

    def _best(self, ranker: str, candidates: Candidates, scores: Floats, count: int) -> Ranked:
        merged = candidates.merged
        is_article = merged.articles != NO_ARTICLE
        require_finite(f"{ranker}: scores of candidates", scores[is_article])
        scores = np.where(is_article, scores, -np.inf)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :count]
        return Ranked(
            articles=np.take_along_axis(merged.articles, order, axis=1),
            scores=np.take_along_axis(scores, order, axis=1),
            sources=np.take_along_axis(merged.sources, order, axis=1),
        )


def _by_sales(candidates: Candidates) -> Floats:
    return log_odds(popular_first(candidates.merged))


def use_one_thread() -> None:
    """For threads that each work on something of their own."""
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)


def rank_blocks(
    recommender: Recommender, customers: Ints, count: int, exclude_bought: bool = False
) -> Iterator[tuple[Ints, Ranked]]:
    """Blocks of customers and their `count` best articles, in order; each core works on a block of its own.

    Args:
        customers: customer codes, (n,).
        exclude_bought: leave out what the customer bought before.
    """

    def ranked(block: Ints) -> tuple[Ints, Ranked]:
        return block, recommender.rank(recommender.candidates(block, exclude_bought), count)

    threads = torch.get_num_threads()
    waiting: deque[Future[tuple[Ints, Ranked]]] = deque()
    pool = ThreadPoolExecutor(CORES, initializer=use_one_thread)
    try:
        for block in blocks(customers):
            waiting.append(pool.submit(ranked, block))
            if len(waiting) > 2 * CORES:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)
