"""The promotion gate: does this run's model become champion?

Only if, pooled over at least EVALUATION_FOLDS weekly folds,

- it beats every baseline and the champion on MAP@12 significantly: the 95 % interval of the paired difference is above
  zero;
- no slice falls by more than MARGIN against the champion (docs/reference/gates.md says which slices, and why);
- its lists still hold enough different articles: COVERAGE_FLOOR;
- its MAP@12 is plausible for these data (see SUSPICIOUS).

A model that loses does not stop the run: the champion of earlier weeks, or the baselines, are published instead.
Figures that are missing or not a number do: then there is nothing to decide on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pyarrow as pa

from expectations.evaluation import EVALUATION_METRICS, MODEL_DECISIONS, POOLED
from jobs.evaluation.baselines import BASELINES, own_recent_then_popularity, popularity_7d
from jobs.evaluation.card_section import EVALUATION, evaluation_section
from jobs.evaluation.funnel import CEILING, MERGED
from jobs.evaluation.protocol import (
    ALL_BUYERS,
    BUYER_SLICES,
    CHALLENGER,
    CHAMPION,
    HEADLINE_K,
    PURCHASE_SLICES,
)
from jobs.platform.errors import JobError
from jobs.platform.job import Job, run
from jobs.platform.schemas import arrow_schema
from jobs.platform.settings import EVALUATION_FOLDS
from jobs.platform.staging import Slice
from jobs.platform.tracking import describe_version, set_champion, use_tracking
from jobs.ranking.model_registry import incumbent, promotions, reason_of, rolled_back, version_of_run

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
class Difference:
    """The challenger's MAP@12 less another system's, with its paired 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.4f} (95 % interval {self.low:+.4f} to {self.high:+.4f})"


@dataclass(frozen=True)
class Scores:
    """The pooled figures of one as-of date, and how many folds they are of."""

    value: Mapping[tuple[str, str, str, int], float]  # (system, slice, metric, k)
    difference: Mapping[tuple[str, str], Difference]  # of MAP@12, by (slice, other system)
    folds: int
    versions: Mapping[str, str]  # which registered version each model was, by system

    @classmethod
    def of(cls, metrics: pa.Table) -> Scores:
        """From the rows of `evaluation_metrics` of one as-of date."""
        rows = metrics.to_pylist()
        pooled = [row for row in rows if row["fold"] == POOLED]
        minus = "map_minus_"
        return cls(
            {(row["system"], row["slice"], row["metric"], row["k"]): row["value"] for row in pooled},
            {
                (row["slice"], row["metric"].removeprefix(minus)): Difference(
                    row["value"], _number(row["ci_low"]), _number(row["ci_high"])
                )
                for row in pooled
                if row["system"] == CHALLENGER and row["metric"].startswith(minus)
            },
            len({row["fold"] for row in rows if row["system"] == CHALLENGER} - {POOLED}),
            {row["system"]: row["model_version"] for row in pooled if row["system"] in (CHALLENGER, CHAMPION)},
        )

    def figure(self, system: str, metric: str, group: str = ALL_BUYERS) -> float:
        """A figure at 12 places; JobError where it is missing or no number."""
        return _usable(self.value.get((system, group, metric, HEADLINE_K)), metric, system, group)

    def beyond(self, other: str, group: str = ALL_BUYERS) -> Difference:
        """The challenger less another system; JobError where it is missing or no number."""
        found = self.difference.get((group, other), Difference(math.nan, math.nan, math.nan))
        for part in (found.value, found.low, found.high):
            _usable(part, f"map_minus_{other}", CHALLENGER, group)
        return found

    def has(self, group: str) -> bool:
        """Whether anything was bought that belongs to this slice."""
        return (CHALLENGER, group, "buyers", 0) in self.value


@dataclass(frozen=True)
class Verdict:
    """Promoted or not, why, and the figures it rests on; fields as in `model_decisions`."""

    is_promoted: bool
    reason: str
    folds: int
    challenger_map_at_12: float
    best_baseline: str
    best_baseline_map_at_12: float
    best_baseline_difference: float
    best_baseline_difference_ci_low: float
    best_baseline_difference_ci_high: float
    incumbent_map_at_12: float | None
    incumbent_difference: float | None
    incumbent_difference_ci_low: float | None
    incumbent_difference_ci_high: float | None
    worst_slice: str | None
    worst_slice_change: float | None
    coverage_at_12: float
    coverage_at_12_floor: float
    ceiling_map_at_12: float


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
    best = max(BASELINES, key=lambda name: maps[name])
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


def _usable(value: float | None, metric: str, system: str, group: str) -> float:
    if value is None or not math.isfinite(value):
        raise JobError(
            f"evaluation_metrics: no usable {metric}@{HEADLINE_K} of {system} ({group}); rerun evaluation.evaluate"
        )
    return value


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _name(system: str, champion: str | None) -> str:
    return f"champion (version {champion})" if system == CHAMPION else system


def main(job: Job) -> str:
    return job.transact(lambda: judge(job))


def judge(job: Job) -> str:
    """Decide on the run's model beside the verdicts that there are, and record it; returns the job's summary."""
    settings = job.settings
    use_tracking(settings)
    version, champion = version_of_run(settings), incumbent(job)
    promoted, withdrawn = promotions(job), rolled_back(job).get(version)
    metrics = job.read_arrow(EVALUATION_METRICS, where={"as_of_date": [settings.as_of_date]})
    verdict = decide(Scores.of(metrics), version, champion, settings.accept_drift)
    if withdrawn is not None:
        verdict = replace(verdict, is_promoted=False, reason=f"rolled back as of {withdrawn}; {verdict.reason}")
    reason = verdict.reason
    promoted.pop(settings.as_of_date, None)  # a rerun's verdict replaces the earlier one
    if verdict.is_promoted:
        promoted[settings.as_of_date] = version
    newest = max(promoted, default=None)  # so a backfill of an older week never moves the alias back
    if newest is not None and newest > settings.as_of_date:
        reason += f"; the alias champion stays with version {promoted[newest]} of {newest}, a later week"
    row = vars(verdict) | {
        "as_of_date": settings.as_of_date,
        "model_name": settings.model_name,
        "model_version": version,
        "reason": reason,
        "incumbent_version": champion,
        "rolled_back_date": withdrawn,
        "run_id": settings.run_id,
    }
    table = pa.Table.from_pylist([row], schema=arrow_schema(MODEL_DECISIONS))
    replaced: Slice = {"as_of_date": [settings.as_of_date]}
    job.publish(MODEL_DECISIONS, table, replaced, derived_from=[MODEL_DECISIONS])
    card = evaluation_section(metrics, verdict.is_promoted, reason, verdict.best_baseline)
    words = "promoted" if verdict.is_promoted else "not promoted"
    describe_version(settings.model_name, version, EVALUATION, card, verdict=words)
    if newest is not None:
        why = verdict.reason if newest == settings.as_of_date else reason_of(job, newest)
        set_champion(settings.model_name, promoted[newest], why)
    return f"version {version} {words}: {reason}"


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES, settings=SETTINGS)
