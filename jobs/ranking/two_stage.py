"""System: the product's own two-stage model, behind the interface of all others.

As of a date it is the *evaluated* fit of jobs.ranking.train: the newest week before the date picks rounds and ranker,
and the fit learns from the weeks before that one. The same fit has the same folds and figures in
jobs.evaluation.evaluate, which judges registered versions, each of their rankers and the funnel of the candidates.

With events a customer's history, which towers and rankers compare with the articles, has what the customer looked at or
put in the cart, too, as jobs.recommenders.interactions weighs it; repurchases are still those of purchases.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

from jobs.embeddings.versions import current_encoder
from jobs.features.label_weeks import with_training_weeks
from jobs.platform.codes import NO_ARTICLE, Ints
from jobs.platform.job import Job
from jobs.ranking.fit import Weeks
from jobs.ranking.model import TwoStageModel
from jobs.ranking.rank import Recommender
from jobs.ranking.snapshot import Snapshot, SnapshotLoader, require_features
from jobs.ranking.train import check_enough, fingerprint, fit_evaluated, validated_plan
from jobs.recommenders.recommender import TrainingContext
from jobs.retrieval.purchases import Purchases
from jobs.retrieval.source import TopK, empty_topk


@dataclass(frozen=True)
class RankedCandidates:
    """Picks of a fitted model as of one date, `count` of a customer at most, with or without history."""

    recommender: Recommender
    count: int

    def of(self, customers: Ints) -> TopK:
        found = empty_topk(len(customers), self.count)
        if len(customers):
            ranked = self.recommender.rank(self.recommender.candidates(customers), self.count)
            places = slice(ranked.articles.shape[1])
            found.articles[:, places] = ranked.articles
            found.scores[:, places] = np.where(ranked.articles == NO_ARTICLE, np.nan, ranked.scores)
        return found


@dataclass(frozen=True)
class TwoStage:
    """A fitted model, and the job through which it reads the feature tables, and events, of each date."""

    model: TwoStageModel
    job: Job
    with_events: bool = False

    def at(self, history: Purchases, as_of_date: date, count: int) -> RankedCandidates:
        return RankedCandidates(Recommender(self.model, self.snapshot(history, as_of_date)), count)

    def snapshot(self, history: Purchases, as_of_date: date) -> Snapshot:
        """What the model may know as of the date; raises JobError where its features are missing."""
        require_features(self.job, [as_of_date], ADVICE)
        return SnapshotLoader(self.job, history, self.model.inputs.encoder, as_of_date, self.with_events).at(as_of_date)


#: Where features are missing.
ADVICE = "run the weekly DAG as of the same date, with the same --training-weeks, first"


def fit(known: TrainingContext, job: Job, with_events: bool = False) -> TwoStage:
    """Raises JobError where features are missing, or where there is too little to learn from."""
    settings, history = with_training_weeks(job, job.settings), known.history
    plan = validated_plan(settings, known.as_of_date)
    starts = [start for start in (*plan.validated, *plan.weeks) if len(history.before(start))]
    require_features(job, starts, ADVICE)
    encoder = current_encoder(settings)
    weeks = Weeks(SnapshotLoader(job, history, encoder, known.as_of_date, with_events), history, known.seed)
    check_enough(weeks, plan)
    folder = known.folder / fingerprint(weeks, starts, encoder, settings)
    model, _, _ = fit_evaluated(plan, weeks, encoder, settings, folder)
    return TwoStage(model, job, with_events)
