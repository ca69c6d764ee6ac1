"""Ranker: gradient-boosted trees (LightGBM) that learn the order of each customer's candidates.

LambdaMART (Burges 2010, "From RankNet to LambdaRank to LambdaMART"): the objective "lambdarank" weighs each pair of a
customer's candidates by what exchanging them changes in NDCG. The trees are given the pair features as counted, and
those of customer and article, without imputation. They start from a rule's order (jobs.ranking.rule) and add to it: how
much, and by how large trees, follows from how many buyers there are to learn from.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import lightgbm as lgb
import numpy as np

from jobs.platform.codes import NO_ARTICLE
from jobs.platform.errors import JobError
from jobs.ranking import booster_files
from jobs.ranking.candidate_retrieval import Candidates, Retrieval
from jobs.ranking.fitted_inputs import Inputs
from jobs.ranking.rule import RULES, best_rule, log_odds
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
#: With fewer buyers to learn from (those who bought one of their candidates) trees are small, many and alike: each sees
#: a part of the features, and of several seeds' trees the mean counts. They score every candidate in full: a shortlist
#: by a few such trees would hardly leave the rule, and drop what the others bring ahead.
FEW_BUYERS = 5_000
OF_FEW = {"learning_rate": 0.05, "num_leaves": 7, "min_data_in_leaf": 200, "feature_fraction": 0.3}
SEEDS_OF_FEW = 4
#: Customers whose candidates are described together where all are.
TOGETHER = 512
#: Trees of few buyers, at least, and for the square root of their number: one week's buyers cannot say how many.
TREES_OF_FEW, TREES_OF_ROOT = 80, 4.5


@dataclass(frozen=True)
class BoostedTrees:
    """Fitted trees.

    Attributes:
        shortlist: None where every candidate is scored in full.
        rule: name of the rule that they start from.
        boosters: one per seed; their mean is added to the rule's log-odds.
    """

    NAME: ClassVar[str] = "boosted_trees"
    FILE: ClassVar[str] = "boosted_trees.txt"
    START: ClassVar[str] = "boosted_trees.json"

    shortlist: Shortlist | None
    rule: str
    boosters: tuple[lgb.Booster, ...]

    @classmethod
    def fit(
        cls,
        weeks: Sequence[WeekPairs],
        validation: WeekPairs | None,
        inputs: Inputs,
        trees: int,
        seed: int,
        for_few_buyers: bool | None = None,
    ) -> BoostedTrees:
        """Trees fitted on these weeks.

        Args:
            validation: the week of early stopping; None: all `trees` are grown.
            trees: at most.
            for_few_buyers: fitted as for few buyers; None: if there are fewer than FEW_BUYERS.
        """
        rule = best_rule([week.label for week in weeks], [week.places for week in weeks])
        buyers = sum(len(np.unique(week.row)) for week in weeks)
        is_few = buyers < FEW_BUYERS if for_few_buyers is None else for_few_buyers
        parameters = PARAMETERS | (OF_FEW if is_few else {})
        if is_few:
            validation, trees = None, min(trees, max(TREES_OF_FEW, int(TREES_OF_ROOT * math.sqrt(buyers))))
        start = _start(weeks, rule)
        training = _dataset(weeks, inputs, start)
        held_out = [_dataset([validation], inputs, _start([validation], rule), training)] if validation else None
        boosters = []
        for number in range(SEEDS_OF_FEW if is_few else 1):
            booster = lgb.train(
                parameters | {"seed": seed + number},
                training,
                num_boost_round=trees,
                valid_sets=held_out,
                callbacks=[lgb.early_stopping(PATIENCE, verbose=False)] if validation else [],
            )
            best = booster.best_iteration if validation else trees
            boosters.append(lgb.Booster(model_str=booster.model_to_string(num_iteration=best)))
        print(f"boosted_trees: from {rule}, {buyers:,} buyers, {len(boosters)} x {boosters[0].num_trees()} trees")
        shortlist = None if is_few else Shortlist.fit(weeks, start, parameters | {"seed": seed})
        return cls(shortlist, rule, tuple(boosters))

    @property
    def trees(self) -> int:
        """Trees of each seed."""
        return int(self.boosters[0].num_trees())

    @property
    def for_few_buyers(self) -> bool:
        """Whether they were fitted as for few buyers."""
        return self.shortlist is None

    @property
    def booster(self) -> lgb.Booster:
        """The first seed's."""
        return self.boosters[0]

    def save(self, folder: Path) -> None:
        """As LightGBM's own text, a file per seed, and where they start."""
        if self.shortlist:
            self.shortlist.save(folder)
        for number, booster in enumerate(self.boosters):
            booster_files.save(booster, folder / _file(self.FILE, number))
        start = {"rule": self.rule, "seeds": len(self.boosters), "has_shortlist": self.shortlist is not None}
        (folder / self.START).write_text(json.dumps(start))

    @classmethod
    def load(cls, folder: Path) -> BoostedTrees:
        """Read what `save` wrote; raises JobError where it is damaged or of an older version."""
        try:
            start = json.loads((folder / cls.START).read_text())
        except (OSError, ValueError) as error:
            raise JobError(f"{folder / cls.START}: cannot be read ({error}); run ranking.train again") from None
        boosters = [booster_files.load(folder / _file(cls.FILE, number)) for number in range(start["seeds"])]
        shortlist = Shortlist.load(folder) if start.get("has_shortlist", True) else None
        return cls(shortlist, start["rule"], tuple(boosters))

    def scorer(self, retrieval: Retrieval) -> Callable[[Candidates], Floats]:
        """A function that scores a block's candidates, (n, w): larger is better.

        With a shortlist those on it are scored by all trees, and the others stay behind them, in the shortlist's order.
        """
        inputs, snapshot = retrieval.inputs, retrieval.snapshot
        articles, sums = _articles(inputs, snapshot), [TreeSums(booster) for booster in self.boosters]

        def added(candidates: Candidates, row: np.ndarray, column: np.ndarray) -> Floats:
            """What the trees add to the candidates at these places."""
            customers = _customers(inputs, snapshot, candidates.customers).take(row, axis=1)
            article = articles.take(candidates.merged.articles[row, column], axis=1)
            rows = _matrix(retrieval.columns(candidates, row, column), customers, article)
            return np.mean([trees.of(rows) for trees in sums], axis=0, dtype=np.float32)

        def scores(candidates: Candidates) -> Floats:
            start = log_odds(RULES[self.rule](candidates.merged))
            if self.shortlist:
                first = self.shortlist.scores(retrieval, candidates, start)
                is_kept = shortlist_mask(first)
                return append_rest(first, is_kept, start[is_kept] + added(candidates, *np.nonzero(is_kept)))
            is_article = candidates.merged.articles != NO_ARTICLE
            found = np.where(is_article, start, -np.inf)
            for first_row in range(0, len(found), TOGETHER):
                row, column = np.nonzero(is_article[first_row : first_row + TOGETHER])
                found[row + first_row, column] += added(candidates, row + first_row, column)
            return found

        return scores


def _file(name: str, number: int) -> str:
    """The first seed's file has LightGBM's plain name."""
    return name if not number else name.replace(".", f"_{number}.")


def _start(weeks: Sequence[WeekPairs], rule: str) -> Floats:
    return np.concatenate([log_odds(week.places[rule]) for week in weeks])


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


def _dataset(
    weeks: Sequence[WeekPairs], inputs: Inputs, start: Floats, reference: lgb.Dataset | None = None
) -> lgb.Dataset:
    parts, groups = [], []
    for week in weeks:
        customers, articles = _customers(inputs, week.snapshot, week.buyers), _articles(inputs, week.snapshot)
        parts.append(_matrix(week.features, customers.take(week.row, axis=1), articles.take(week.article, axis=1)))
        groups.append(np.unique(week.row, return_counts=True)[1])
    rows, labels = np.concatenate(parts, axis=1).T, np.concatenate([week.label for week in weeks])
    return lgb.Dataset(
        rows, labels, group=np.concatenate(groups), init_score=start, reference=reference, free_raw_data=True
    )
