"""Both stages applied: candidates of all sources for each customer, ranked by the joined network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from jobs.ranking.model import ArticleInputs, TwoStageModel, as_tensor
from jobs.ranking.pairs import Tastes, pair_columns
from jobs.ranking.snapshot import Floats, Snapshot
from jobs.retrieval import two_tower
from jobs.retrieval.candidates import KnownSources, merge
from jobs.retrieval.purchases import NO_ARTICLE, Ints

BLOCK_SIZE = 1024


@dataclass(frozen=True)
class Ranked:
    """The best articles of some customers, best first.

    Attributes:
        articles: article codes, (n, count), NO_ARTICLE where fewer candidates exist.
        scores: log-odds of a purchase within the week, (n, count); -inf where no article.
        sources: index in jobs.retrieval.candidates.SOURCES, (n, count).
    """

    articles: Ints
    scores: Floats
    sources: Ints


class Recommender:
    """A model ready to rank for any customer as of one date; what depends on articles alone is computed once."""

    def __init__(self, model: TwoStageModel, snapshot: Snapshot) -> None:
        self._model, self._snapshot = model, snapshot
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._network = model.network.to(self._device).eval()
        self._known = KnownSources(snapshot.facts)
        self._articles: ArticleInputs = model.inputs.article_inputs(snapshot)
        numeric = self._tensor(np.concatenate([self._articles.numeric, self._articles.images], axis=1))
        categories = self._tensor(self._articles.categories)
        with torch.inference_mode():
            items: Tensor = self._network.item_tower(numeric, categories)
            self._branch: Tensor = self._network.ranker.article_branch(numeric, categories)
        self._nearest = two_tower.NearestArticles(items.cpu().numpy(), snapshot.on_sale)

    def rank(self, customers: Ints, count: int, exclude_bought: bool = False) -> Ranked:
        """Rank the candidates of a block of customers; see rank_customers."""
        snapshot, inputs = self._snapshot, self._model.inputs
        tastes = Tastes.of(snapshot, customers)
        customer_numeric, customer_categories = inputs.customer_inputs(snapshot, tastes)
        numeric, categories = self._tensor(customer_numeric), self._tensor(customer_categories)
        with torch.inference_mode():
            queries = self._network.query_tower(numeric, categories).cpu().numpy()
            excluded = self._known.recent.of(customers) if exclude_bought else None
            found = {two_tower.SOURCE: self._nearest.of(queries, excluded)}
            found |= self._known.of(customers)
            articles, sources, _, _ = merge(found)
            if exclude_bought:
                units = snapshot.bought.units_of(customers[:, None], np.maximum(articles, 0))
                articles = np.where(units > 0, NO_ARTICLE, articles)
            codes = np.maximum(articles, 0)
            row = np.broadcast_to(np.arange(len(customers))[:, None], codes.shape)
            pair = inputs.pairs.standardised(pair_columns(snapshot, tastes, row, codes))
            branch = self._network.ranker.customer_branch(numeric, categories)
            scores = self._network.ranker.join(
                branch[:, None, :], self._branch[self._tensor(codes)], self._tensor(pair)
            ).masked_fill(self._tensor(articles == NO_ARTICLE), float("-inf"))
            best, position = scores.sort(dim=1, descending=True, stable=True)
        order = position.cpu().numpy()[:, :count]
        return Ranked(
            articles=np.take_along_axis(articles, order, axis=1),
            scores=cast(Floats, best.cpu().numpy()[:, :count]),
            sources=np.take_along_axis(sources, order, axis=1),
        )

    def _tensor(self, array: np.ndarray) -> Tensor:
        return as_tensor(array).to(self._device)


def rank_customers(
    model: TwoStageModel, snapshot: Snapshot, customers: Ints, count: int, exclude_bought: bool = False
) -> Ranked:
    """The `count` best articles of each customer, in blocks.

    Args:
        customers: customer codes, (n,).
        exclude_bought: leave out what the customer bought before; retrieval then reaches further down, so that as
            many remain as the catalogue allows.
    """
    recommender = Recommender(model, snapshot)
    blocks = [customers[start : start + BLOCK_SIZE] for start in range(0, len(customers), BLOCK_SIZE)]
    parts = [recommender.rank(block, count, exclude_bought) for block in track(blocks, "ranking customers")]
    if not parts:
        empty = np.empty((0, count), dtype=np.int32)
        return Ranked(empty, empty.astype(np.float32), empty)
    return Ranked(
        articles=np.concatenate([part.articles for part in parts]),
        scores=np.concatenate([part.scores for part in parts]),
        sources=np.concatenate([part.sources for part in parts]),
    )
