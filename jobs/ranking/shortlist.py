"""The trees' shortlist: a few small trees on the cheapest features select the candidates that are scored in full.

A customer has some three hundred candidates, and nearly all are hopeless. The sources' ranks and scores, the affinities
and a few features of the article, all of them looked up, are enough to see that, at a fraction of the cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from jobs.platform.codes import NO_ARTICLE
from jobs.ranking import booster_files
from jobs.ranking.candidate_retrieval import Candidates, Retrieval, source_columns
from jobs.ranking.inputs import AFFINITY_NUMERIC, PAIR_NUMERIC
from jobs.ranking.pairs import affinity_columns
from jobs.ranking.snapshot import Floats
from jobs.ranking.training_set import WeekPairs
from jobs.ranking.tree_sums import TreeSums

#: Candidates of each customer that all trees rank: somewhat more than are published.
KEPT = 32
TREES = 10
ARTICLE_FEATURES = (
    "sales_count_7d",
    "trend",
    "rank_in_department",
    "rank_in_product_group",
    "days_on_sale",
    "days_since_last_sale",
)

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Shortlist:
    """Fitted trees of the shortlist."""

    FILE: ClassVar[str] = "shortlist.txt"

    booster: lgb.Booster

    @classmethod
    def fit(cls, weeks: Sequence[WeekPairs], start: Floats, parameters: dict[str, Any]) -> Shortlist:
        """Trees fitted on the pairs that the ranker learns from, half as large as its own, and from the same start."""
        said = (name for name in weeks[0].features if name not in PAIR_NUMERIC)
        features = np.column_stack(
            [
                *(np.concatenate([week.features[name] for week in weeks]) for name in (*said, *AFFINITY_NUMERIC)),
                *(
                    np.concatenate([week.snapshot.articles.numeric[name][week.article] for week in weeks])
                    for name in ARTICLE_FEATURES
                ),
            ]
        )
        label = np.concatenate([week.label for week in weeks])
        group = np.concatenate([np.unique(week.row, return_counts=True)[1] for week in weeks])
        smaller = parameters | {
            "num_leaves": parameters["num_leaves"] // 2,
            "learning_rate": 2 * parameters["learning_rate"],
        }
        data = lgb.Dataset(features, label, group=group, init_score=start)
        return cls(lgb.train(smaller, data, num_boost_round=TREES))

    @cached_property
    def _sums(self) -> TreeSums:
        return TreeSums(self.booster)

    def save(self, folder: Path) -> None:
        """As LightGBM's own text."""
        booster_files.save(self.booster, folder / self.FILE)

    @classmethod
    def load(cls, folder: Path) -> Shortlist:
        return cls(booster_files.load(folder / cls.FILE))

    def scores(self, retrieval: Retrieval, candidates: Candidates, start: Floats) -> Floats:
        """Scores of the candidates by these trees from their start (n, w) on, (n, w); -inf where there is none."""
        merged = candidates.merged
        article = np.maximum(merged.articles, 0)
        row = np.arange(len(article))[:, None]
        columns = source_columns(merged.ranks, merged.scores)
        columns |= affinity_columns(retrieval.snapshot, candidates.tastes, row, article)
        known = retrieval.snapshot.articles.numeric
        columns |= {name: known[name][article] for name in ARTICLE_FEATURES}
        features = np.empty((len(columns), article.size), dtype=np.float32)
        for own, values in zip(features, columns.values(), strict=True):
            own[:] = values.ravel()
        found = self._sums.of(features).reshape(article.shape)
        return np.where(merged.articles == NO_ARTICLE, -np.inf, found + start)


def shortlist_mask(scores: Floats) -> Mask:
    """The KEPT best of each customer and what is as good as the last of them, (n, w); never where the score is -inf."""
    if scores.shape[1] <= KEPT:
        return np.isfinite(scores)
    return np.isfinite(scores) & (scores >= -np.partition(-scores, KEPT - 1, axis=1)[:, KEPT - 1 : KEPT])


def append_rest(scores: Floats, is_kept: Mask, full: Floats) -> Floats:
    """The kept with their full scores, and behind them the others in the shortlist's order, (n, w).

    Args:
        scores: the shortlist's, (n, w); -inf where there is no candidate.
        full: of the kept, in the order of their places.
    """
    ranked: Floats = scores.copy()
    ranked[is_kept] = full
    is_dropped = np.isfinite(scores) & ~is_kept
    least = np.where(is_kept, ranked, np.inf).min(axis=1, initial=np.inf)
    best = np.where(is_dropped, scores, -np.inf).max(axis=1, initial=-np.inf)
    ranked[is_dropped] += (least - best - 1)[np.nonzero(is_dropped)[0]]
    return ranked
