"""Ranker: gradient-boosted trees (LightGBM) that learn the order of each customer's candidates.

LambdaMART (Burges 2010, "From RankNet to LambdaRank to LambdaMART"): the objective "lambdarank" weighs each pair of a
customer's candidates by what exchanging them changes in NDCG. The trees are given the pair features as counted, and
those of customer and article, without imputation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from jobs.ranking.fitted_inputs import Inputs
from jobs.ranking.inputs import INPUTS
from jobs.ranking.retrieval import Candidates
from jobs.ranking.snapshot import Floats, Snapshot
from jobs.ranking.training_set import WeekPairs
from jobs.retrieval.purchases import NO_ARTICLE

MAX_TREES, PATIENCE = 400, 30
#: What the first trees leave to the others, of each customer's candidates; see BoostedTrees.cascade.
FIRST_TREES, KEPT = 12, 40
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

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class BoostedTrees:
    """Fitted trees."""

    NAME: ClassVar[str] = "boosted_trees"
    FILE: ClassVar[str] = "boosted_trees.txt"

    booster: lgb.Booster

    @classmethod
    def fit(
        cls, weeks: Sequence[WeekPairs], validation: WeekPairs | None, inputs: Inputs, trees: int, seed: int
    ) -> BoostedTrees:
        """Trees fitted on these weeks.

        Args:
            validation: the week that says when to stop; None: all `trees` are grown.
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
        return cls(lgb.Booster(model_str=booster.model_to_string(num_iteration=best)))

    def save(self, folder: Path) -> None:
        """As LightGBM's own text."""
        self.booster.save_model(folder / self.FILE)

    @classmethod
    def load(cls, folder: Path) -> BoostedTrees:
        return cls(lgb.Booster(model_file=folder / cls.FILE))

    def scorer(self, inputs: Inputs, snapshot: Snapshot) -> Callable[[Candidates, dict[str, Floats]], Floats]:
        """A function that scores a block's candidates as of the snapshot's date, (n, w), larger is better.

        Its arguments: the candidates, and the pair features of all their places, (n, w) each.
        """
        articles = _articles(inputs, snapshot)

        def scores(candidates: Candidates, columns: dict[str, Floats]) -> Floats:
            article = candidates.merged.articles
            customers = _customers(inputs, snapshot, candidates.customers)[:, None]
            customers = np.broadcast_to(customers, (*article.shape, customers.shape[-1]))
            return self.cascade(_matrix(columns, customers, articles[np.maximum(article, 0)]), article != NO_ARTICLE)

        return scores

    def cascade(self, features: Floats, is_article: Mask) -> Floats:
        """Scores of candidates, (n, w): the first trees see all of them, the others the best KEPT of each customer.

        Those that are dropped stay behind all that are kept, in the order of the first trees. Trees are a sum, so the
        scores of the kept are those of all trees together.

        Args:
            features: (n, w, features).
            is_article: places that hold a candidate, (n, w).
        """
        first = _sum(self._parts[0], features.reshape(-1, features.shape[-1]))
        scores: Floats = np.where(is_article, first.reshape(is_article.shape), -np.inf)
        if self.booster.num_trees() <= FIRST_TREES or scores.shape[1] <= KEPT:
            is_kept = is_article
        else:
            is_kept = is_article & (scores >= -np.partition(-scores, KEPT - 1, axis=1)[:, KEPT - 1 : KEPT])
        is_dropped = is_article & ~is_kept
        scores[is_kept] += _sum(self._parts[1], features[is_kept])
        least = np.where(is_kept, scores, np.inf).min(axis=1, initial=np.inf)
        best = np.where(is_dropped, scores, -np.inf).max(axis=1, initial=-np.inf)
        scores[is_dropped] += (least - best - 1)[np.nonzero(is_dropped)[0]]
        return scores

    @cached_property
    def _parts(self) -> tuple[lgb.Booster, lgb.Booster]:
        """The first trees, and the others: a booster keeps the range of trees that a thread asks for, for all threads.

        Asked for two ranges by several threads at once, one booster would give sums of the wrong trees.
        """
        text = self.booster.model_to_string
        first, others = text(num_iteration=FIRST_TREES), text(start_iteration=FIRST_TREES, num_iteration=-1)
        return lgb.Booster(model_str=first), lgb.Booster(model_str=others)


def _sum(trees: lgb.Booster, rows: Floats) -> Floats:
    """Sum of the trees, (n,)."""
    if not trees.num_trees() or not len(rows):
        return np.zeros(len(rows), dtype=np.float32)
    return np.asarray(trees.predict(rows, raw_score=True, num_threads=1), dtype=np.float32)


def _matrix(columns: dict[str, Floats], customers: Floats, articles: Floats) -> Floats:
    """Pair features, then the customer's, then the article's, (*shape, features)."""
    names = INPUTS["pair"]
    matrix = np.empty((*articles.shape[:-1], len(names) + customers.shape[-1] + articles.shape[-1]), dtype=np.float32)
    for i, name in enumerate(names):
        matrix[..., i] = columns[name]
    end = len(names) + customers.shape[-1]
    matrix[..., len(names) : end] = customers
    matrix[..., end:] = articles
    return matrix


def _customers(inputs: Inputs, snapshot: Snapshot, customers: np.ndarray) -> Floats:
    """Features of these customers as counted, their categories as codes, (n, features)."""
    numeric = [values[customers] for values in snapshot.customers.numeric.values()]
    return np.column_stack([*numeric, inputs.customers.categories(snapshot.customers, customers)]).astype(np.float32)


def _articles(inputs: Inputs, snapshot: Snapshot) -> Floats:
    """Features of every article as counted, its categories as codes, (articles, features)."""
    codes = np.arange(len(snapshot.product))
    categories = inputs.articles.categories(snapshot.articles, codes)
    return np.column_stack([*snapshot.articles.numeric.values(), categories]).astype(np.float32)


def _dataset(weeks: Sequence[WeekPairs], inputs: Inputs, reference: lgb.Dataset | None = None) -> lgb.Dataset:
    parts, groups = [], []
    for week in weeks:
        customers = _customers(inputs, week.snapshot, week.buyers)
        parts.append(_matrix(week.features, customers[week.row], _articles(inputs, week.snapshot)[week.article]))
        groups.append(np.unique(week.row, return_counts=True)[1])
    labels = np.concatenate([week.label for week in weeks])
    return lgb.Dataset(
        np.concatenate(parts), labels, group=np.concatenate(groups), reference=reference, free_raw_data=True
    )
