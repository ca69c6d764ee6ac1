"""Train the two-stage recommender and register it.

Two fits, because a model may not be judged on weeks that it was fitted on. The *evaluated* fit stops before the
validation week, which picks its rounds and its ranker; the folds after that week judge it. The *final* fit, published
if the gate agrees, learns the newest weeks up to the as-of date, for as many rounds and with the ranker that the
evaluated fit chose.

Networks are fitted on one device, the first GPU where there is one; trees on the processor.

A shop with less than a model needs trains none: the run goes on without, and `model_decisions` says what is missing.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import mlflow
import numpy as np
import pandas as pd
from pytorch_lightning.loggers import Logger

from expectations.evaluation import MODEL_DECISIONS
from expectations.tagging import ARTICLE_TAGS
from jobs.embeddings.versions import current_encoder
from jobs.features.label_weeks import with_training_weeks
from jobs.platform.code import code_digest
from jobs.platform.errors import JobError
from jobs.platform.job import Job, run
from jobs.platform.lightning import RunLogger
from jobs.platform.locks import only_run
from jobs.platform.settings import EVALUATION_FOLDS, WEEK, Settings
from jobs.platform.tracking import end_without_result, find_versions, log_pyfunc, start_run
from jobs.ranking import pyfunc
from jobs.ranking.boosted_trees import BoostedTrees
from jobs.ranking.fit import Fits, Plan, Weeks, fit_rankers, fit_retrieval, fit_two_stage, longest
from jobs.ranking.inputs import INPUTS_DIGEST
from jobs.ranking.model import EVALUATED, FINAL, FITS, RANKERS, TwoStageModel
from jobs.ranking.model_card import model_card
from jobs.ranking.model_registry import damage, promotions
from jobs.ranking.snapshot import SNAPSHOT_TABLES, SnapshotLoader
from jobs.ranking.validation import K, Validated, validated
from jobs.recommenders.persistence import SYSTEMS_CODE
from jobs.recommenders.registry import SYSTEMS
from jobs.retrieval.purchases import load_purchases

READS, WRITES = SNAPSHOT_TABLES, ()
#: The verdicts of earlier runs name versions that the registry must have; tags fill in missing attributes.
READS_EARLIER_RUNS = (MODEL_DECISIONS, ARTICLE_TAGS)
SETTINGS = (
    "accept_drift",
    "data",
    "mapping",
    "encoder",
    "embedding_dim",
    "training_weeks",
    "max_epochs",
    "extra_sources",
    "system_epochs",
    "seed",
    "top_k",
    "mlflow_tracking_uri",
    "model_name",
)

#: What each stage needs in its weeks at least: distinct purchases of articles already on sale, their customers and
#: articles. With fewer articles than these every list holds nearly all of them, whatever a model says.
NEEDED = {"purchases": 50, "customers": 10, "articles": 20}
#: Code that makes a model without extra sources.
FITTING_CODE = ("jobs/ranking/*.py", "jobs/retrieval/*.py", "jobs/platform/lightning.py", "lightning_modules/*.py")
#: With fewer purchases to be found in the validation week, more weeks choose the ranker.
ENOUGH_TO_CHOOSE = 10_000


def validated_plan(settings: Settings, end: date) -> Plan:
    """A fit on the weeks before `end`, the newest of which validates it."""
    assert settings.training_weeks, "jobs.features.label_weeks.with_training_weeks gives the number"
    weeks = [end - j * WEEK for j in range(1, settings.training_weeks + 2)]
    return Plan(EVALUATED, weeks[1:], weeks[0], longest(settings), list(RANKERS))


def evaluated_plan(settings: Settings) -> Plan:
    """The evaluated fit's weeks: those before all folds."""
    return validated_plan(settings, settings.as_of_date - EVALUATION_FOLDS * WEEK)


class Choice(NamedTuple):
    """What chose the ranker: MAP@12 of each on the judged weeks together, and how many weeks these are."""

    scores: dict[str, float]
    weeks: int


def fit_evaluated(
    plan: Plan, weeks: Weeks, encoder: str | None, settings: Settings, folder: Path, logger: Logger | None = None
) -> tuple[TwoStageModel, dict[str, int], Choice]:
    """All rankers, one of them chosen by what they made of weeks that they had not seen; rounds as in Fits.

    Those are the validation week and, where it has few buyers, the newest third of the rankers' own weeks, as ranked
    after the other two thirds alone: a rehearsal, with the same towers and the same kind of trees. They also decide
    whether it ranks for customers without history. See fit_two_stage.
    """
    assert plan.validation, "the evaluated fit picks rounds and ranker"
    found = fit_retrieval(plan, weeks, encoder, settings, folder, logger)
    evaluated, rounds = fit_rankers(plan, found, settings, folder, logger)
    judges = [(plan.validation, evaluated)]
    if weeks.positives(plan.validation) < ENOUGH_TO_CHOOSE and (more := len(found.candidates) // 3):
        rehearsal = replace(plan, name=f"{plan.name}, rehearsal", for_few_buyers=_is_for_few_buyers(evaluated))
        rehearsed, _ = fit_rankers(rehearsal, found.rehearsed(more), settings, folder / "rehearsal")
        judges += [(week.snapshot.as_of_date, rehearsed) for week in found.candidates[:more]]
    judged = Validated.joined([validated(model, weeks.snapshot(start), weeks.labels(start)) for start, model in judges])
    chosen = judged.chosen_ranker(settings.seed)
    is_ranked = judged.ranks_new_customers(chosen, settings.seed)
    print(f"customers without history: {f'{chosen} ranks' if is_ranked else 'the best sellers come first'}")
    scores = {name: float(values.mean()) for name, values in judged.rankers.items()}
    return replace(evaluated, chosen=chosen, ranks_new_customers=is_ranked), rounds, Choice(scores, len(judges))


def final_plan(settings: Settings, rounds: Mapping[str, int], rankers: Sequence[str]) -> Plan:
    """The final fit's weeks: the newest."""
    return Plan(FINAL, settings.snapshot_dates[1 : settings.training_weeks + 1], None, rounds, rankers)


def fit_both(
    plan: Plan, weeks: Weeks, encoder: str | None, settings: Settings, place: Path, logger: Logger | None = None
) -> Fits:
    """The evaluated fit by its plan, then the final one as it says; see fit_two_stage for `place`.

    The final trees are fitted as the evaluated ones were, for few buyers or for many: the rounds are theirs.
    """
    evaluated, rounds, choice = fit_evaluated(plan, weeks, encoder, settings, place / EVALUATED, logger)
    newest = replace(final_plan(settings, rounds, [evaluated.chosen]), for_few_buyers=_is_for_few_buyers(evaluated))
    final, _ = fit_two_stage(newest, weeks, encoder, settings, place / FINAL)
    final = replace(final, ranks_new_customers=evaluated.ranks_new_customers)
    return Fits(evaluated, final, rounds, *choice)


def _is_for_few_buyers(model: TwoStageModel) -> bool:
    """Whether its trees were fitted as for few buyers."""
    trees = model.rankers[BoostedTrees.NAME]
    return isinstance(trees, BoostedTrees) and trees.for_few_buyers


def fingerprint(weeks: Weeks, starts: Sequence[date], encoder: str | None, settings: Settings) -> str:
    """Digest of everything a fit depends on: purchases, what was known before each week, settings, code.

    The same digest means the same model, whatever was delivered for later dates and however often tables were written.
    """
    limits = (settings.seed, settings.training_weeks, settings.max_epochs)
    extra = [*settings.extra_sources, settings.system_epochs] if settings.extra_sources else []
    digest = hashlib.sha256(json.dumps([str(settings.as_of_date), *limits, encoder, *extra]).encode())
    digest.update(code_digest(SYSTEMS_CODE if extra else FITTING_CODE))
    for array in chain(weeks.purchases.known(), *(weeks.snapshot(start).known() for start in starts)):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def parameters(
    job: Job, settings: Settings, encoder: str | None, rounds: dict[str, int], chosen: str
) -> dict[str, Any]:
    """What is logged beside the metrics: settings, table versions read, encoder."""
    names = ("as_of_date", "training_weeks", "max_epochs", "seed", "mapping")
    versions = {f"version/{table}": version for table, version in sorted(job.warehouse.versions_read.items())}
    values = {name: getattr(settings, name) for name in names} | {f"rounds/{k}": v for k, v in rounds.items()}
    sources = ", ".join(settings.extra_sources) or "none"
    return values | versions | {"encoder_version": encoder or "none", "ranker": chosen, "extra_sources": sources}


def register(settings: Settings, fits: Fits, tags: Mapping[str, str], card: str, example: Sequence[str]) -> str:
    """Register both fits as one version, which MLflow loads anywhere; `example` are customers to try it with."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / FITS
        fits.evaluated.save(folder / EVALUATED)
        fits.final.save(folder / FINAL)
        return log_pyfunc(
            settings.model_name,
            settings,
            tags,
            modules=[pyfunc.__name__, *(SYSTEMS[name].module for name in fits.final.systems)],
            card=card,
            data_path=str(folder),
            model_config={"fitted_as_of": settings.as_of_date.isoformat()},
            signature=pyfunc.signature(settings),
            input_example=pd.DataFrame({pyfunc.CUSTOMER: example}),
        )


def kept(settings: Settings, digest: str) -> str | None:
    """The version trained on the same before, if its files are what was registered."""
    as_of = settings.as_of_date.isoformat()
    for same in find_versions(settings.model_name, as_of_date=as_of, fingerprint=digest):
        if not (why := damage(settings.model_name, same.version)):
            return same.version
        print(f"{why}: trained again")
    return None


def main(job: Job) -> str:
    settings = with_training_weeks(job, job.settings)
    as_of, name = settings.as_of_date.isoformat(), settings.model_name
    lock = settings.work_dir / "locks" / f"{job.name}-{as_of}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    training = only_run(lock, f"{name} of {as_of} is trained by another run", settings.run_id)
    with training, start_run(settings, job.name, model_name=name) as active:
        promotions(job)  # raises where the registry is lost: hours of training would end in the same
        encoder = current_encoder(settings)
        purchases = load_purchases(job, before=settings.as_of_date)
        loader = SnapshotLoader(job, purchases, encoder)
        weeks = Weeks(loader, purchases, settings.seed)
        plan = evaluated_plan(settings)
        if why := shortage(weeks, plan, final_plan(settings, {}, [])):
            end_without_result(why)
            return f"no model of {as_of}: {why}"
        digest = fingerprint(weeks, settings.snapshot_dates[1:], encoder, settings)
        if same := kept(settings, digest):
            return f"{name} version {same} was trained on the same data and settings: kept"
        place = settings.work_dir / "checkpoints" / f"{as_of}-{digest}"
        fits = fit_both(plan, weeks, encoder, settings, place, RunLogger(active.info.run_id))
        mlflow.log_metrics({f"validation/{name}/map_at_{K}": score for name, score in fits.scores.items()})
        predicted = ", ".join(f"{name} of {n:,} articles" for name, n in loader.predicted.items()) or "none"
        mlflow.log_params(
            parameters(job, settings, encoder, fits.rounds, fits.final.chosen) | {"predicted_attributes": predicted}
        )
        tags = {"encoder": encoder or "none", "fingerprint": digest, "inputs": INPUTS_DIGEST}
        card = model_card(settings, plan, fits, purchases, encoder)
        version = register(settings, fits, tags, card, purchases.customer_ids[:2].to_pylist())
        shutil.rmtree(place)
    images = f"images by {encoder}" if fits.final.inputs.encoder else "no images: the model runs without them"
    sources = "".join(f", {name} among the sources" for name in fits.final.systems)
    sources += f"; predicted from pictures: {predicted}" if loader.predicted else ""
    choice = ", ".join(f"{name} {score:.4f}" for name, score in fits.scores.items())
    return (
        f"{name} version {version}, {images}{sources}; {fits.final.chosen} ranks (MAP@{K} of "
        f"{fits.judged} weeks up to that from {plan.validation}: {choice})"
    )


def shortage(weeks: Weeks, *plans: Plan) -> str | None:
    """What there is and what is needed, where that is too little for one of the fits; None where it is enough."""
    for plan, (stage, starts) in ((p, its) for p in plans for its in p.stages.items()):
        found = weeks.counted(starts)
        if any(found[what] < least for what, least in NEEDED.items()):
            has, needs = (", ".join(f"{n:,} {what}" for what, n in some.items()) for some in (found, NEEDED))
            return (
                f"too little to train on: the {len(starts)} weeks from {min(starts)}, those of the {plan.name} fit's "
                f"{stage}, have {has} (of articles already on sale); needed are {needs}"
            )
    for start in (plan.validation for plan in plans if plan.validation):
        if not weeks.positives(start):
            return f"too little to train on: nothing on sale was bought in the week from {start}, which validates"
    return None


def check_enough(weeks: Weeks, plan: Plan) -> None:
    """Raise JobError where there is too little to learn from."""
    if why := shortage(weeks, plan):
        raise JobError(f"silver/transactions: {why}")


if __name__ == "__main__":
    run(main, reads=READS + READS_EARLIER_RUNS, writes=WRITES, settings=SETTINGS)
