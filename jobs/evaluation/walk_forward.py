"""The buyers of a walk-forward backtest pooled: each system over all weeks, and the model as it ages.

A customer of several weeks is drawn with all of them, and every difference is paired. An aged model is compared with
the fresh one on the same label weeks, never with itself in other weeks, so that seasons do not pass for ageing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from expectations.evaluation import BACKTEST_BUYERS
from jobs.evaluation.backtest import MAX_AGE
from jobs.evaluation.funnel import MERGED
from jobs.evaluation.protocol import CHALLENGER
from jobs.metrics.bootstrap import bootstrap_means, interval
from jobs.metrics.ranking_metrics import Floats, pair_keys
from jobs.platform.codes import Ints
from jobs.platform.errors import JobError
from jobs.retrieval.baselines import BASELINES, popularity_7d

AP, RECALL = "average_precision_at_12", "recall_at_100"


class Estimate(NamedTuple):
    """A figure with its 95 % customer-bootstrap interval."""

    value: float
    low: float
    high: float

    def __format__(self, number: str) -> str:
        return f"{self.value:{number}} ({self.low:{number}} to {self.high:{number}})"


class Buyers(NamedTuple):
    """Some buyer-weeks, ascending by `key`, which names label week and customer; one element each, (n,)."""

    key: npt.NDArray[np.int64]
    ap: Floats
    recall: Floats

    @property
    def fold(self) -> Ints:
        return (self.key >> 32).astype(np.int32)

    @property
    def customer(self) -> Ints:
        return (self.key & 0xFFFFFFFF).astype(np.int32)

    def like(self, other: Buyers) -> Buyers:
        """Those that `other` has, too; JobError where one is missing."""
        rows = np.searchsorted(self.key, other.key)
        if not np.array_equal(np.append(self.key, -1)[rows], other.key):
            raise JobError(
                f"{BACKTEST_BUYERS.path}: some buyers are judged by one system and not by the other (a baseline that is"
                " new, say); run evaluation.backtest for every week again"
            )
        return Buyers(self.key[rows], self.ap[rows], self.recall[rows])


@dataclass(frozen=True)
class Age:
    """A model of some age beside the fresh one and the best baseline, on the same buyer-weeks.

    Attributes:
        weeks, buyers: how many label weeks and buyer-weeks.
        aged, fresh, baseline: MAP@12.
        to_fresh, to_baseline: `aged` as a share of theirs.
    """

    weeks: int
    buyers: int
    aged: float
    fresh: float
    baseline: float
    to_fresh: Estimate
    to_baseline: Estimate


@dataclass(frozen=True)
class Backtest:
    """Everything that a backtest reports.

    Attributes:
        folds: first days of the label weeks, ascending.
        by_fold: MAP@12 of each label week by system, of the fresh model.
        ap, recall: MAP@12 and recall@100 by system, all weeks pooled.
        minus: the fresh model's MAP@12 less each other system's.
        best: the strongest baseline.
        ages: by age in weeks.
    """

    folds: Sequence[str]
    by_fold: Mapping[str, Floats]
    buyers: int
    ap: Mapping[str, Estimate]
    recall: Mapping[str, Estimate]
    minus: Mapping[str, Estimate]
    best: str
    ages: Mapping[int, Age]

    @property
    def recall_to_popularity(self) -> float:
        """Recall@100 of the merged candidates over that of the best sellers."""
        return ratio(self.recall[MERGED].value, self.recall[popularity_7d.__name__].value)


def ratio(part: float, whole: float) -> float:
    """How large a part is; NaN where the few buyers of a small shop leave nothing to compare it with."""
    return part / whole if whole else math.nan


def backtest_of(rows: pa.Table, seed: int) -> Backtest:
    """Pool the rows of backtest_buyers.

    Args:
        rows: of each label week every system at age 0, for the same buyers, and the model at any other age.
        seed: of the bootstrap.
    """
    folds = sorted(rows["fold"].unique().to_pylist())
    fold = pc.index_in(rows["fold"], value_set=pa.array(folds)).to_numpy()
    customer = pc.index_in(rows["customer_id"], value_set=rows["customer_id"].unique().sort()).to_numpy()
    key, age = pair_keys(fold, customer), rows["age_weeks"].to_numpy()
    columns = rows[AP].to_numpy(), rows[RECALL].to_numpy()

    def of(name: str, weeks: int = 0) -> Buyers:
        mine = np.flatnonzero(pc.equal(rows["system"], name).to_numpy() & (age == weeks))
        mine = mine[np.argsort(key[mine])]
        return Buyers(key[mine], columns[0][mine], columns[1][mine])

    fresh = of(CHALLENGER)
    systems = {name: of(name).like(fresh) for name in (CHALLENGER, *BASELINES, MERGED)}
    others = [name for name in systems if name != CHALLENGER]
    values = [buyers.ap for buyers in systems.values()] + [buyers.recall for buyers in systems.values()]
    values += [fresh.ap - systems[name].ap for name in others]
    estimates = iter(pooled(fresh.customer, np.column_stack(values), seed))
    ap, recall = ({name: next(estimates) for name in systems} for _ in range(2))
    count = np.bincount(fresh.fold)
    best = max(BASELINES, key=lambda name: ap[name].value)
    return Backtest(
        folds=folds,
        by_fold={name: np.bincount(buyers.fold, weights=buyers.ap) / count for name, buyers in systems.items()},
        buyers=len(fresh.key),
        ap=ap,
        recall=recall,
        minus={name: next(estimates) for name in others},
        best=best,
        ages={
            weeks: age_of(aged, fresh.like(aged), systems[best].like(aged), seed)
            for weeks in range(MAX_AGE + 1)
            if len((aged := of(CHALLENGER, weeks)).key)
        },
    )


def pooled(customers: Ints, values: Floats, seed: int) -> list[Estimate]:
    """Mean of each column over all buyer-weeks, with its interval."""
    low, high = interval(bootstrap_means(customers, values, seed))
    return [Estimate(*map(float, figures)) for figures in zip(values.mean(axis=0), low, high, strict=True)]


def age_of(aged: Buyers, fresh: Buyers, baseline: Buyers, seed: int) -> Age:
    """Ratios of means over the same buyer-weeks; their intervals are of the ratio, so paired."""
    values = np.column_stack([aged.ap, fresh.ap, baseline.ap])
    means, drawn = values.mean(axis=0), bootstrap_means(aged.customer, values, seed)
    with np.errstate(divide="ignore", invalid="ignore"):  # a system without any hit has no ratio
        ratios, (low, high) = means[0] / means[1:], interval(drawn[:, :1] / drawn[:, 1:])
    to_fresh, to_baseline = (Estimate(*map(float, figures)) for figures in zip(ratios, low, high, strict=True))
    return Age(
        weeks=len(np.unique(aged.fold)),
        buyers=len(aged.key),
        aged=float(means[0]),
        fresh=float(means[1]),
        baseline=float(means[2]),
        to_fresh=to_fresh,
        to_baseline=to_baseline,
    )
