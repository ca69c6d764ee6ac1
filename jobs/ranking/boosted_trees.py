"""Ranker: gradient-boosted trees (LightGBM) that learn the order of each customer's candidates.

LambdaMART (Burges 2010, "From RankNet to LambdaRank to LambdaMART"): the objective "lambdarank" weighs each pair of a
customer's candidates by what exchanging them changes in NDCG. The trees are given the pair features as counted, and
those of customer and article, without imputation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import lightgbm as lgb
import numpy as np

from jobs.ranking import booster_files
from jobs.ranking.candidate_retrieval import Candidates, Retrieval
from jobs.ranking.fitted_inputs import Inputs
from jobs.ranking.shortlist import Shortlist, append_rest, shortlist_mask
from jobs.ranking.snapshot import Floats, Snapshot
from jobs.ranking.training_set import WeekPairs
from jobs.ranking.tree_sums import TreeSums

MAX_TREES, PATIENCE = 400, 30
PARAMETERS: dict[str, Any] = {
    "objective": "lambdarank",
    "metric": "ndcg",
    "eval_at": [12],
    "learning_rate": 0.1,
    "num_leaves": 31,
    "min_data_in_leaf": 100,
    "feature_fraction": 0.7,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambdarank_truncation_level": 15,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}


@dataclass(frozen=True)
class BoostedTrees:
    """Fitted trees."""

    NAME: ClassVar[str] = "boosted_trees"
    FILE: ClassVar[str] = "boosted_trees.txt"

    shortlist: Shortlist
    booster: lgb.Booster

    @classmethod
    def fit(
        cls, weeks: Sequence[WeekPairs], validation: WeekPairs | None, inputs: Inputs, trees: int, seed: int
    ) -> BoostedTrees:
        """Trees fitted on these weeks.

        Args:
            validation: the week of early stopping; None: all `trees` are grown.
            trees: at most.
        """
        training = _dataset(weeks, inputs)
        booster = lgb.train(
            PARAMETERS | {"seed": seed},
            training,
            num_boost_round=trees,
            valid_sets=[_dataset([validation], inputs, training)] if validation else None,
            callbacks=[lgb.early_stopping(PATIENCE, verbose=False)] if validation else [],
        )
        best = booster.best_iteration if validation else trees
        fitted = lgb.Booster(model_str=booster.model_to_string(num_iteration=best))
        return cls(Shortlist.fit(weeks, PARAMETERS | {"seed": seed}), fitted)

    def save(self, folder: Path) -> None:
        """As LightGBM's own text."""
        self.shortlist.save(folder)
        booster_files.save(self.booster, folder / self.FILE)

    @classmethod
    def load(cls, folder: Path) -> BoostedTrees:
        return cls(Shortlist.load(folder), booster_files.load(folder / cls.FILE))

    def scorer(self, retrieval: Retrieval) -> Callable[[Candidates], Floats]:
        """A function that scores a block's candidates, (n, w): those on the shortlist by all trees, larger is better.

        The others stay behind them, in the shortlist's order.
        """
        inputs, snapshot = retrieval.inputs, retrieval.snapshot
        articles, sums = _articles(inputs, snapshot), TreeSums(self.booster)

        def scores(candidates: Candidates) -> Floats:
            first = self.shortlist.scores(retrieval, candidates)
            is_kept = shortlist_mask(first)
            row, column = np.nonzero(is_kept)
            customers = _customers(inputs, snapshot, candidates.customers).take(row, axis=1)
            article = articles.take(candidates.merged.articles[row, column], axis=1)
            rows = _matrix(retrieval.columns(candidates, row, column), customers, article)
            return append_rest(first, is_kept, sums.of(rows))

        return scores


def _matrix(columns: dict[str, Floats], customers: Floats, articles: Floats) -> Floats:
    """Pair features, then the customer's, then the article's, (features, n)."""
    return np.vstack([*columns.values(), customers, articles])


def _customers(inputs: Inputs, snapshot: Snapshot, customers: np.ndarray) -> Floats:
    """Features of these customers as counted, their categories as codes, (features, n)."""
    numeric = [values[customers] for values in snapshot.customers.numeric.values()]
    return np.vstack([*numeric, inputs.customers.categories(snapshot.customers, customers).T]).astype(np.float32)


def _articles(inputs: Inputs, snapshot: Snapshot) -> Floats:
    """Features of every article as counted, its categories as codes, (features, articles)."""
    codes = np.arange(len(snapshot.product))
    categories = inputs.articles.categories(snapshot.articles, codes)
    return np.vstack([*snapshot.articles.numeric.values(), categories.T]).astype(np.float32)


def _dataset(weeks: Sequence[WeekPairs], inputs: Inputs, reference: lgb.Dataset | None = None) -> lgb.Dataset:
    parts, groups = [], []
    for week in weeks:
        customers, articles = _customers(inputs, week.snapshot, week.buyers), _articles(inputs, week.snapshot)
        parts.append(_matrix(week.features, customers.take(week.row, axis=1), articles.take(week.article, axis=1)))
        groups.append(np.unique(week.row, return_counts=True)[1])
    rows, labels = np.concatenate(parts, axis=1).T, np.concatenate([week.label for week in weeks])
    return lgb.Dataset(rows, labels, group=np.concatenate(groups), reference=reference, free_raw_data=True)
