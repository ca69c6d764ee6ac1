"""Fit the two stages on label weeks: retrieval on the older half, then the rankers on the newer half.

Whatever scores the labels of a week, at either stage, was fitted on earlier weeks: the ranker's candidates come from
towers, and from systems where any are sources, that know nothing of its weeks. The same then serve, so the ranker meets
what it learned from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger

from jobs.platform.lightning import Module, batch_size_for, fit
from jobs.platform.settings import WEEK, Settings
from jobs.ranking.boosted_trees import MAX_TREES, BoostedTrees
from jobs.ranking.candidate_retrieval import Retrieval, require_finite
from jobs.ranking.fitted_inputs import Inputs
from jobs.ranking.model import Ranker as FittedRanker
from jobs.ranking.model import TwoStageModel
from jobs.ranking.network import Network
from jobs.ranking.preprocessing import Preprocessing
from jobs.ranking.snapshot import Columns, Snapshot, SnapshotLoader
from jobs.ranking.training_set import WeekPairs, buyers_of, candidate_pairs, pair_tensors, purchase_pairs
from jobs.recommenders.persistence import fit_sources
from jobs.recommenders.recommender import Model, Persistable
from jobs.retrieval.purchases import Purchases
from lightning_modules.pairs import PairDataModule
from lightning_modules.ranker import Ranker
from lightning_modules.two_tower import TwoTower

#: Preprocessing of pairs is fitted on about as many of a week: every n-th.
MOST_FITTED = 100_000
TOWERS = "two_tower"
#: What each network's early stopping looks at.
STOPPED_BY = {TOWERS: "val/retrieval_loss", Network.NAME: "val/ranking_loss"}


class Weeks:
    """The label weeks of a run: what was known before each, and what was bought in it; each read once.

    Attributes:
        purchases: everything before the as-of date.
    """

    def __init__(self, loader: SnapshotLoader, purchases: Purchases, seed: int) -> None:
        self._loader, self.purchases, self._seed = loader, purchases, seed
        self._snapshots: dict[date, Snapshot] = {}

    def snapshot(self, start: date) -> Snapshot:
        """What was known at the start of the week."""
        if start not in self._snapshots:
            self._snapshots[start] = self._loader.at(start)
        return self._snapshots[start]

    def labels(self, start: date) -> Purchases:
        """What was bought in the week."""
        return self.purchases.between(start, start + WEEK)

    def positives(self, start: date) -> int:
        """Distinct purchases of the week that could have been recommended."""
        return len(buyers_of(self.snapshot(start), self.labels(start))[1])

    def counted(self, starts: Sequence[date]) -> dict[str, int]:
        """Distinct purchases that could have been recommended, and of how many customers and articles."""
        purchases, customers, articles = 0, [], []
        for start in starts:
            snapshot = self.snapshot(start)
            buyers, pairs = buyers_of(snapshot, self.labels(start))
            purchases += len(pairs)
            customers.append(buyers)
            articles.append(pairs % len(snapshot.product))
        distinct = (len(np.unique(np.concatenate(some))) for some in (customers, articles))
        return dict(zip(("purchases", "customers", "articles"), (purchases, *distinct), strict=True))

    def purchase_pairs(self, starts: Sequence[date]) -> list[WeekPairs]:
        """Pairs that towers learn from, of the weeks that have any."""
        pairs = [purchase_pairs(self.snapshot(s), self.labels(s), self._random(s)) for s in starts if self.positives(s)]
        return [week for week in pairs if len(week.row)]

    def candidate_pairs(
        self, starts: Sequence[date], inputs: Inputs, towers: TwoTower, systems: Mapping[str, Model]
    ) -> list[WeekPairs]:
        """Pairs that rankers learn from, of the weeks that have any."""
        retrievals = (Retrieval(inputs, towers, systems, self.snapshot(s)) for s in starts)
        pairs = [candidate_pairs(r, self.labels(s), self._random(s)) for s, r in zip(starts, retrievals, strict=True)]
        return [week for week in pairs if len(week.row)]

    def _random(self, start: date) -> np.random.Generator:
        return np.random.default_rng([self._seed, start.toordinal()])


class Fits(NamedTuple):
    """Both fits of a run.

    Attributes:
        evaluated: all rankers, one of them chosen on the validation week.
        final: that ranker alone, after as many rounds, on the newest weeks.
        rounds: of each part.
        scores: MAP@12 of each ranker on the weeks that chose.
        judged: how many weeks these are.
    """

    evaluated: TwoStageModel
    final: TwoStageModel
    rounds: dict[str, int]
    scores: dict[str, float]
    judged: int


@dataclass(frozen=True)
class Plan:
    """What is fitted on which label weeks, given by their starts, and for how long.

    Attributes:
        name: of the fit, in logs and among the saved files.
        weeks: to learn from, the newest first, at least two.
        validation: the week by which each part stops early; None: each part takes its `rounds`.
        rounds: epochs or trees of each part at most.
        rankers: names of those to fit.
        for_few_buyers: how trees are fitted; None: as follows from the number of buyers.
    """

    name: str
    weeks: Sequence[date]
    validation: date | None
    rounds: Mapping[str, int]
    rankers: Sequence[str]
    for_few_buyers: bool | None = None

    @property
    def newer(self) -> Sequence[date]:
        """The weeks of the rankers."""
        return self.weeks[: -(-len(self.weeks) // 2)]

    @property
    def older(self) -> Sequence[date]:
        """The weeks of the towers, whose end is also that of the systems' history."""
        return self.weeks[-(-len(self.weeks) // 2) :]

    @property
    def stages(self) -> dict[str, Sequence[date]]:
        """The weeks of each stage."""
        return {"retrieval": self.older, "ranking": self.newer}

    @property
    def validated(self) -> list[date]:
        return [] if self.validation is None else [self.validation]


def longest(settings: Settings) -> dict[str, int]:
    """Rounds that no part exceeds."""
    return {TOWERS: settings.max_epochs, Network.NAME: settings.max_epochs, BoostedTrees.NAME: MAX_TREES}


class Retrieved(NamedTuple):
    """The first stage of a fit, and what the second learns from.

    Attributes:
        purchases: pairs of the towers' weeks.
        inputs: preprocessing of customers and articles.
        candidates, held_out: of the rankers' weeks, the newest first, and of the week that validates.
        rounds: of the towers.
    """

    purchases: list[WeekPairs]
    inputs: Inputs
    towers: TwoTower
    systems: Mapping[str, Persistable]
    candidates: list[WeekPairs]
    held_out: list[WeekPairs]
    rounds: dict[str, int]

    def rehearsed(self, judged: int) -> Retrieved:
        """Without the rankers' newest weeks, so many of which are to be judged; the one before these validates."""
        return self._replace(candidates=self.candidates[judged + 1 :], held_out=self.candidates[judged : judged + 1])


def fit_two_stage(
    plan: Plan, weeks: Weeks, encoder: str | None, settings: Settings, folder: Path, logger: Logger | None = None
) -> tuple[TwoStageModel, dict[str, int]]:
    """Fit both stages, from their last checkpoints in `folder` if a killed run left any.

    Returns:
        The model, its first ranker chosen, and how many rounds each part took.
    """
    found = fit_retrieval(plan, weeks, encoder, settings, folder, logger)
    return fit_rankers(plan, found, settings, folder, logger)


def fit_retrieval(
    plan: Plan, weeks: Weeks, encoder: str | None, settings: Settings, folder: Path, logger: Logger | None = None
) -> Retrieved:
    """The first stage, on the plan's older weeks."""
    purchases, held_out = weeks.purchase_pairs(plan.older), weeks.purchase_pairs(plan.validated)
    inputs = fit_entities(purchases, encoder)
    print(f"{plan.name}: sources look at {weeks.snapshot(plan.newer[0]).windows}")
    sizes = inputs.sizes(purchases[0].snapshot.images.shape[1])
    towers, epochs = _fit_network(
        plan, TOWERS, partial(TwoTower, **sizes), purchases, held_out, inputs, settings, folder, logger
    )
    systems = fit_sources(settings.extra_sources, weeks.purchases, plan.older[0] + WEEK, settings, folder)
    candidates = weeks.candidate_pairs(plan.newer, inputs, towers, systems)
    held_out = weeks.candidate_pairs(plan.validated, inputs, towers, systems)
    return Retrieved(purchases, inputs, towers, systems, candidates, held_out, {TOWERS: epochs})


def fit_rankers(
    plan: Plan, found: Retrieved, settings: Settings, folder: Path, logger: Logger | None = None
) -> tuple[TwoStageModel, dict[str, int]]:
    """The second stage, on the candidates found; as fit_two_stage."""
    inputs, rounds = with_ranges(found.inputs, found.purchases, found.candidates), dict(found.rounds)
    sizes = inputs.sizes(found.purchases[0].snapshot.images.shape[1])
    rankers: dict[str, FittedRanker] = {}
    for name in plan.rankers:
        if name == Network.NAME:
            build = partial(Ranker, **sizes, pair_size=len(inputs.pairs.means))
            network, rounds[name] = _fit_network(
                plan, name, build, found.candidates, found.held_out, inputs, settings, folder, logger
            )
            rankers[name] = Network(network)
        else:
            validation = found.held_out[0] if found.held_out else None
            trees = BoostedTrees.fit(
                found.candidates, validation, inputs, plan.rounds[name], settings.seed, plan.for_few_buyers
            )
            rankers[name], rounds[name] = trees, trees.trees
            print(f"{plan.name} {name}: {rounds[name]} trees")
    return TwoStageModel(inputs, found.towers, found.systems, rankers, plan.rankers[0]), rounds


def _fit_network(
    plan: Plan,
    part: str,
    build: Callable[[], Module],
    training: list[WeekPairs],
    held_out: list[WeekPairs],
    inputs: Inputs,
    settings: Settings,
    folder: Path,
    logger: Logger | None,
) -> tuple[Module, int]:
    """A network of either stage, and its epochs; the week held out, if any, says when to stop."""
    pl.seed_everything(settings.seed, verbose=False)  # before the first weights are drawn
    pairs, validation = pair_tensors(training, inputs), pair_tensors(held_out, inputs) if held_out else None
    print(f"{plan.name} {part}: {len(pairs):,} pairs of {len(training)} weeks")
    data = PairDataModule(pairs, validation, batch_size_for(len(pairs)), settings.seed)
    stop_by = STOPPED_BY[part] if validation else None
    fitted, epochs = fit(build(), data, plan.rounds[part], folder / part, stop_by, logger)
    require_finite(f"{plan.name} {part}: weights", *fitted.state_dict().values())
    return fitted, epochs


def fit_entities(weeks: Sequence[WeekPairs], encoder: str | None) -> Inputs:
    """Preprocessing of customers and articles, fitted on the towers' weeks and on nothing later; that of pairs follows.

    Statistics of customers are over the buyers of each week, those of articles over the articles on sale before it,
    those of images over the articles on sale before the newest.
    """
    newest = weeks[0].snapshot
    present = newest.images[newest.images.any(axis=1) & newest.on_sale]
    return Inputs(
        customers=Preprocessing.fit((week.snapshot.customers, week.buyers.astype(np.int64)) for week in weeks),
        articles=Preprocessing.fit((week.snapshot.articles, np.flatnonzero(week.snapshot.on_sale)) for week in weeks),
        pairs=Preprocessing(),
        image_scale=float(present.std()) if present.size else 1.0,
        image_limit=float(np.abs(present).max(initial=0.0)),
        encoder=encoder if present.size else None,
    )


def with_ranges(inputs: Inputs, purchases: Sequence[WeekPairs], candidates: Sequence[WeekPairs]) -> Inputs:
    """With preprocessing of the rankers' pairs, and the ranges of all that towers and rankers learn from.

    None of the weeks they learn from is clipped by them, nor are the towers' candidates that rankers learn from.
    """
    weeks = [*purchases, *candidates]
    pairs = [(Columns(week.features, {}), every_nth(len(week.row))) for week in candidates]
    return replace(
        inputs,
        customers=inputs.customers.seen((week.snapshot.customers, week.buyers) for week in weeks),
        articles=inputs.articles.seen((week.snapshot.articles, week.snapshot.on_sale) for week in weeks),
        pairs=Preprocessing.fit(pairs).seen((columns, slice(None)) for columns, _ in pairs),
    )


def every_nth(rows: int) -> npt.NDArray[np.int64]:
    """Positions of about MOST_FITTED of so many rows, evenly spaced."""
    return np.arange(0, rows, max(1, rows // MOST_FITTED))
