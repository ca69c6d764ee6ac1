"""The promotion gate: does this run's model become champion?

Only if, pooled over at least EVALUATION_FOLDS weekly folds,

- it beats every baseline and the champion on MAP@12 significantly: the 95 % interval of the paired difference is above
  zero;
- no slice falls by more than MARGIN against the champion (docs/reference/gates.md says which slices, and why);
- its lists still hold enough different articles: COVERAGE_FLOOR;
- its MAP@12 is plausible for these data (see SUSPICIOUS).

A model that loses does not stop the run: the champion of earlier weeks, or the baselines, are published instead.
Neither does a week without a model, or without one that can be judged: the verdict then says why, and has no figures
but the best baseline's, whose lists are published where there is no champion.
Figures that are missing or not a number do stop it: then there is nothing to decide on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

import pyarrow as pa

from expectations.evaluation import EVALUATION_METRICS, MODEL_DECISIONS
from expectations.recommendations import BASELINE
from jobs.evaluation.card_section import EVALUATION, evaluation_section
from jobs.evaluation.funnel import CEILING, MERGED
from jobs.evaluation.pooled_scores import Difference, Scores
from jobs.evaluation.protocol import (
    BUYER_SLICES,
    CHALLENGER,
    CHAMPION,
    PURCHASE_SLICES,
)
from jobs.platform.errors import JobError
from jobs.platform.job import Job, run
from jobs.platform.schemas import arrow_schema
from jobs.platform.settings import EVALUATION_FOLDS
from jobs.platform.staging import Slice
from jobs.platform.tracking import ModelVersion, describe_version, set_champion, use_tracking, without_result
from jobs.ranking.model_registry import (
    Identity,
    damage,
    identity,
    incumbent,
    promotions,
    reason_of,
    rolled_back,
    version_of_run,
)
from jobs.retrieval.baselines import BASELINES, own_recent_then_popularity, popularity_7d, rules

READS, WRITES = (EVALUATION_METRICS,), (MODEL_DECISIONS,)
SETTINGS = ("accept_drift", "mlflow_tracking_uri", "model_name")

#: A slice falls when its MAP@12 is lower by more than this share of the other system's, and significantly.
MARGIN = 0.1
#: Least coverage@12, as a share of the coverage of each customer's own purchases filled up with the best sellers.
COVERAGE_FLOOR, COVERAGE_MEASURE = 0.1, own_recent_then_popularity.__name__
#: No single model is known to reach this MAP@12 on the full H&M data, where these baselines reach so much.
SUSPICIOUS = 0.045
PUBLISHED = {popularity_7d.__name__: 0.0087, own_recent_then_popularity.__name__: 0.0264}


@dataclass(frozen=True)
class Verdict:
    """Promoted or not, why, and the figures it rests on; fields as in `model_decisions`."""

    is_promoted: bool
    reason: str
    folds: int = 0
    challenger_map_at_12: float | None = None
    best_baseline: str | None = None
    best_baseline_map_at_12: float | None = None
    best_baseline_difference: float | None = None
    best_baseline_difference_ci_low: float | None = None
    best_baseline_difference_ci_high: float | None = None
    incumbent_map_at_12: float | None = None
    incumbent_difference: float | None = None
    incumbent_difference_ci_low: float | None = None
    incumbent_difference_ci_high: float | None = None
    worst_slice: str | None = None
    worst_slice_change: float | None = None
    coverage_at_12: float | None = None
    coverage_at_12_floor: float | None = None
    ceiling_map_at_12: float | None = None


def decide(scores: Scores, challenger: str, champion: str | None, accept_drift: bool = False) -> Verdict:
    """The verdict on version `challenger`; `champion` is the version to beat, None if there is none.

    Args:
        accept_drift: somebody looked for a leak and found none: figures that are suspicious, though possible, pass.

    Raises:
        JobError: a figure is missing, not a number, or of another version: nothing is decided on those.
    """
    expected = {CHALLENGER: challenger} | ({} if champion is None else {CHAMPION: champion})
    if scores.versions != expected:
        raise JobError(f"evaluation_metrics: judged {scores.versions}, not {expected}; rerun evaluation.evaluate")
    rivals = [*BASELINES, *([] if champion is None else [CHAMPION])]
    maps = {system: scores.figure(system, "map") for system in (CHALLENGER, *rivals)}
    beyond = {rival: scores.beyond(rival) for rival in rivals}
    best = best_of({name: maps[name] for name in BASELINES})
    floor = COVERAGE_FLOOR * scores.figure(COVERAGE_MEASURE, "coverage")
    coverage = scores.figure(CHALLENGER, "coverage")
    worst, change, falls = slice_changes(scores, best, champion)
    objections, remarks = [*unbeaten(beyond, champion), *falls, *impossible(scores)], []
    if doubt := suspicion(maps):
        if accept_drift:
            remarks.append(f"{doubt}, and accepted")
        else:
            objections.append(f"{doubt}: look for a leak first")
    if scores.folds < EVALUATION_FOLDS:
        objections.insert(0, f"judged on {scores.folds} weekly folds, not on {EVALUATION_FOLDS}")
    if coverage < floor:
        objections.append(f"coverage@12 {coverage:.4f} is below the floor {floor:.4f}")
    figures = ", ".join(f"{_name(rival, champion)} {maps[rival]:.4f}" for rival in rivals)
    nearest = min(rivals, key=lambda name: beyond[name].low)
    reason = f"MAP@12 {maps[CHALLENGER]:.4f} over {scores.folds} weeks beside {figures}"
    reason += f"; difference to {_name(nearest, champion)} {beyond[nearest]}"
    mine = None if champion is None else beyond[CHAMPION]
    return Verdict(
        is_promoted=not objections,
        reason="; ".join([*objections, reason, *remarks]),
        folds=scores.folds,
        challenger_map_at_12=maps[CHALLENGER],
        best_baseline=best,
        best_baseline_map_at_12=maps[best],
        best_baseline_difference=beyond[best].value,
        best_baseline_difference_ci_low=beyond[best].low,
        best_baseline_difference_ci_high=beyond[best].high,
        incumbent_map_at_12=maps.get(CHAMPION),
        incumbent_difference=None if mine is None else mine.value,
        incumbent_difference_ci_low=None if mine is None else mine.low,
        incumbent_difference_ci_high=None if mine is None else mine.high,
        worst_slice=worst,
        worst_slice_change=change,
        coverage_at_12=coverage,
        coverage_at_12_floor=floor,
        ceiling_map_at_12=scores.figure(MERGED, CEILING),
    )


def best_of(maps: Mapping[str, float]) -> str:
    """The baseline that is best by MAP@12; `rules` on a tie, as where no baseline hits anything."""
    return max(maps, key=lambda name: (maps[name], name == rules.__name__))


def unbeaten(beyond: Mapping[str, Difference], champion: str | None) -> list[str]:
    """Which rivals are not beaten significantly."""
    names = [_name(rival, champion) for rival, difference in beyond.items() if not difference.low > 0]
    return [f"does not beat {', '.join(names)} significantly"] if names else []


def slice_changes(scores: Scores, best: str, champion: str | None) -> tuple[str | None, float | None, list[str]]:
    """The slice that fares worst, its relative change, and what is to be said of slices that fall.

    Against a champion every slice is looked at; against the best baseline, where there is no champion, those of
    buyers: a baseline may spend all its places on one kind of purchase, which a better list has to share out.
    """
    other = best if champion is None else CHAMPION
    changes, falls = {}, []
    for group in BUYER_SLICES if champion is None else (*BUYER_SLICES, *PURCHASE_SLICES):
        if not scores.has(group):
            continue
        before, difference = scores.figure(other, "map", group), scores.beyond(other, group)
        if before:  # where the other hits nothing, nothing can fall
            changes[group] = difference.value / before
            if changes[group] < -MARGIN and difference.high < 0:
                falls.append(f"{group} falls by {-changes[group]:.0%} against {_name(other, champion)}: {difference}")
    worst = min(changes, key=lambda group: changes[group], default=None)
    return worst, None if worst is None else changes[worst], falls


def impossible(scores: Scores) -> list[str]:
    """Where the model is better than any order of its candidates: its figures come from elsewhere."""
    found = []
    for group in (group for group in BUYER_SLICES if scores.has(group)):
        mine, ceiling = scores.figure(CHALLENGER, "map", group), scores.figure(MERGED, CEILING, group)
        if mine > ceiling + 1e-9:
            found.append(f"{group}: MAP@12 {mine:.4f} is above {ceiling:.4f}, all that its candidates allow")
    return found


def suspicion(maps: Mapping[str, float]) -> str | None:
    """Why the challenger's MAP@12 beside the baselines' is hard to believe; None where it is not.

    Other data are easier or harder than the H&M data by as much as the baselines say, the one that gains most: a small
    catalogue is easy for the best sellers, groceries for own purchases.
    """
    limit = SUSPICIOUS * max(maps[name] / published for name, published in PUBLISHED.items())
    return f"above {limit:.4f}, which these baselines make hard to believe" if maps[CHALLENGER] > limit else None


def _name(system: str, champion: str | None) -> str:
    return f"champion (version {champion})" if system == CHAMPION else system


def main(job: Job) -> str:
    return job.transact(lambda: judge(job))


def judge(job: Job) -> str:
    """Decide on the run's model beside the verdicts that there are, and record it; returns the job's summary."""
    settings = job.settings
    use_tracking(settings)
    name, today = settings.model_name, settings.as_of_date
    champion, promoted = incumbent(job), promotions(job)
    metrics = job.read_arrow(EVALUATION_METRICS, where={"as_of_date": [today]})
    version, verdict = verdict_on_run(job, metrics, champion.version)
    withdrawn = None if version is None else rolled_back(job, version)
    if withdrawn is not None:
        verdict = replace(verdict, is_promoted=False, reason=f"rolled back as of {withdrawn}; {verdict.reason}")
    # A rerun's verdict replaces the earlier one.
    promoted.unusable.pop(today, None)
    promoted.usable.pop(today, None)
    if verdict.is_promoted and version is not None:
        promoted.usable[today] = version.version
    newest, alias = promoted.newest(name, date.max)  # so a backfill of an older week never moves the alias back
    reason = "; ".join([verdict.reason, *champion.passed_over])
    if newest is not None and newest > today:
        reason += f"; the alias champion stays with version {alias.version} of {newest}, a later week"
    number = BASELINE if version is None else version.version
    of_version = Identity(None, None) if version is None else identity(version)
    row = vars(verdict) | of_version._asdict() | {
        "as_of_date": today,
        "model_name": name,
        "model_version": number,
        "reason": reason,
        "incumbent_version": champion.version,
        "rolled_back_date": withdrawn,
        "run_id": settings.run_id,
    }  # fmt: skip
    table = pa.Table.from_pylist([row], schema=arrow_schema(MODEL_DECISIONS))
    replaced: Slice = {"as_of_date": [today]}
    job.publish(MODEL_DECISIONS, table, replaced, derived_from=[MODEL_DECISIONS])
    words = "promoted" if verdict.is_promoted else "not promoted"
    if verdict.best_baseline is not None and verdict.challenger_map_at_12 is not None:
        card = evaluation_section(metrics, verdict.is_promoted, reason, verdict.best_baseline)
        describe_version(name, number, EVALUATION, card, verdict=words)
    if newest is not None and alias.version is not None:
        set_champion(name, alias.version, verdict.reason if newest == today else reason_of(job, newest))
    return f"{'nothing to promote' if version is None else f'version {number} {words}'}: {reason}"


def verdict_on_run(job: Job, metrics: pa.Table, champion: str | None) -> tuple[ModelVersion | None, Verdict]:
    """The version of the run, None where there is none, and the verdict on it."""
    settings = job.settings
    asked = {"model_name": settings.model_name}
    if why := without_result(settings, "ranking.train", **asked):
        return None, unjudged(metrics, f"no model: {why}")
    version = version_of_run(settings)
    why = without_result(settings, "evaluation.evaluate", **asked) or damage(settings.model_name, version.version)
    if why:
        return version, unjudged(metrics, f"not judged: {why}")
    return version, decide(Scores.of(metrics), version.version, champion, settings.accept_drift)


def unjudged(metrics: pa.Table, reason: str) -> Verdict:
    """The verdict on no model: a refusal, with the best of the baselines as far as the folds have judged them."""
    scores = Scores.of(metrics)
    maps = {name: scores.figure(name, "map") for name in BASELINES if scores.has_system(name)}
    best = best_of(maps) if maps else None
    return Verdict(
        is_promoted=False,
        reason=reason,
        best_baseline=best,
        best_baseline_map_at_12=None if best is None else maps[best],
    )


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES, settings=SETTINGS)
