"""Both stages applied: candidates of all sources for each customer, ordered by a ranker."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from rich.progress import track

from jobs.ranking.model import TwoStageModel
from jobs.ranking.retrieval import Candidates, Retrieval, blocks
from jobs.ranking.snapshot import Floats, Snapshot
from jobs.retrieval.purchases import NO_ARTICLE, Ints


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


class Recommender:
    """A model ready to rank for any customer as of one date; what depends on articles alone is computed once."""

    def __init__(self, model: TwoStageModel, snapshot: Snapshot) -> None:
        self._model = model
        self._retrieval = Retrieval(model.inputs, model.towers, snapshot)
        self._scorers = {name: ranker.scorer(model.inputs, snapshot) for name, ranker in model.rankers.items()}

    def candidates(self, customers: Ints, exclude_bought: bool = False) -> Candidates:
        """What the ranker gets to see for a block of customers; see Retrieval.of."""
        return self._retrieval.of(customers, exclude_bought)

    def rank(self, candidates: Candidates, count: int, ranker: str | None = None) -> Ranked:
        """The `count` best candidates by the named ranker, or the model's chosen one."""
        return self.rank_by(candidates, count, [ranker or self._model.chosen])[0]

    def rank_by(self, candidates: Candidates, count: int, rankers: list[str]) -> list[Ranked]:
        """The `count` best of the same candidates by each of several rankers."""
        merged = candidates.merged
        columns = self._retrieval.columns(candidates, *np.ogrid[tuple(map(slice, merged.articles.shape))])
        return [self._best(candidates, self._scorers[name](candidates, columns), count) for name in rankers]

    def _best(self, candidates: Candidates, scores: Floats, count: int) -> Ranked:
        merged = candidates.merged
        scores = np.where(merged.articles == NO_ARTICLE, -np.inf, scores)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :count]
        return Ranked(*(np.take_along_axis(part, order, axis=1) for part in (merged.articles, scores, merged.sources)))


def rank_customers(
    model: TwoStageModel,
    snapshot: Snapshot,
    customers: Ints,
    count: int,
    exclude_bought: bool = False,
    ranker: str | None = None,
) -> Ranked:
    """The `count` best articles of each customer, in blocks.

    Args:
        customers: customer codes, (n,).
        exclude_bought: leave out what the customer bought before.
        ranker: which of the model's; the chosen one if not named.
    """
    recommender = Recommender(model, snapshot)
    parts = [
        recommender.rank(recommender.candidates(block, exclude_bought), count, ranker)
        for block in track(blocks(customers), "ranking customers")
    ]
    if not parts:
        empty = np.empty((0, count), dtype=np.int32)
        return Ranked(empty, empty.astype(np.float32), empty)
    width = max(part.articles.shape[1] for part in parts)
    names = {"articles": NO_ARTICLE, "scores": -np.inf, "sources": 0}
    return Ranked(
        *(np.concatenate([_padded(getattr(p, name), width, fill) for p in parts]) for name, fill in names.items())
    )


def _padded(matrix: np.ndarray, width: int, fill: float) -> np.ndarray:
    return np.pad(matrix, ((0, 0), (0, width - matrix.shape[1])), constant_values=fill)
