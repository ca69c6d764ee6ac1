"""The promotion gate: this run's model becomes champion only if it beats every baseline and the champion on MAP@12.

A model that loses does not stop the run: the champion of earlier weeks, or the baselines, are published instead.
Figures that are missing or not a number do: then there is nothing to decide on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from expectations.evaluation import EVALUATION_METRICS, MODEL_DECISIONS
from jobs.evaluation.baselines import BASELINES
from jobs.evaluation.protocol import ALL_BUYERS, CHALLENGER, CHAMPION, HEADLINE_K, MODEL_VERSION
from jobs.evaluation.registry import incumbent, promotions, version_of_run
from jobs.platform.errors import JobError
from jobs.platform.job import Job, run
from jobs.platform.schemas import arrow_schema
from jobs.platform.tracking import set_champion, use_tracking

READS, WRITES = (EVALUATION_METRICS,), (MODEL_DECISIONS,)

#: No single model is known to reach this on the full H&M data. Where a baseline does, the data are easier than those.
SUSPICIOUS = 0.045


@dataclass(frozen=True)
class Verdict:
    """Promoted or not, why, and the MAP@12 it rests on; fields as in `model_decisions`."""

    is_promoted: bool
    reason: str
    challenger_map_at_12: float
    best_baseline: str
    best_baseline_map_at_12: float
    incumbent_map_at_12: float | None


@dataclass(frozen=True)
class Scores:
    """MAP@12 per system, and the challenger's paired difference to each other system with its 95 % interval."""

    map_at_12: Mapping[str, float]
    difference: Mapping[str, tuple[float, float, float]]
    versions: Mapping[str, str]

    @classmethod
    def of(cls, metrics: pa.Table) -> Scores:
        """From the rows of `evaluation_metrics` of one as-of date."""
        rows = [row for row in metrics.to_pylist() if row["slice"] == ALL_BUYERS]
        headline = [row for row in rows if row["k"] == HEADLINE_K]
        minus = "map_minus_"
        return cls(
            {row["system"]: row["value"] for row in headline if row["metric"] == "map"},
            {
                row["metric"].removeprefix(minus): (row["value"], row["ci_low"], row["ci_high"])
                for row in headline
                if row["metric"].startswith(minus)
            },
            {row["system"]: f"{row['value']:.0f}" for row in rows if row["metric"] == MODEL_VERSION},
        )


def decide(scores: Scores, challenger: str, champion: str | None) -> Verdict:
    """The verdict on version `challenger`; `champion` is the version to beat, None if there is none.

    Raises JobError when a figure is missing, not a number, or of another version: nothing is promoted on those.
    """
    expected = {CHALLENGER: challenger} | ({} if champion is None else {CHAMPION: champion})
    if dict(scores.versions) != expected:
        raise JobError(f"evaluation_metrics: judged {dict(scores.versions)}, not {expected}; rerun evaluation.evaluate")
    rivals = [*BASELINES, *([] if champion is None else [CHAMPION])]
    for system in (CHALLENGER, *rivals):
        if not math.isfinite(scores.map_at_12.get(system, math.nan)):
            raise JobError(f"evaluation_metrics: no usable MAP@12 of {system}; rerun evaluation.evaluate")
    mine = scores.map_at_12[CHALLENGER]
    best = max(BASELINES, key=lambda name: scores.map_at_12[name])
    unbeaten = [name for name in rivals if not mine > scores.map_at_12[name]]
    rival = max(unbeaten or rivals, key=lambda name: scores.map_at_12[name])
    figures = ", ".join(f"{_name(name, champion)} {scores.map_at_12[name]:.4f}" for name in rivals)
    verdict = "beats" if not unbeaten else f"does not beat {_names(unbeaten, champion)}:"
    reason = f"MAP@12 {mine:.4f} {verdict} {figures}"
    if rival in scores.difference:
        value, low, high = scores.difference[rival]
        reason += f"; difference to {_name(rival, champion)} {value:+.4f} (95 % interval {low:+.4f} to {high:+.4f})"
    if mine > SUSPICIOUS >= scores.map_at_12[best]:
        reason += f"; above {SUSPICIOUS}: look for a leak first"
    return Verdict(
        is_promoted=not unbeaten,
        reason=reason,
        challenger_map_at_12=mine,
        best_baseline=best,
        best_baseline_map_at_12=scores.map_at_12[best],
        incumbent_map_at_12=scores.map_at_12.get(CHAMPION),
    )


def _name(system: str, champion: str | None) -> str:
    return f"champion (version {champion})" if system == CHAMPION else system


def _names(systems: list[str], champion: str | None) -> str:
    return ", ".join(_name(system, champion) for system in systems)


def main(job: Job) -> str:
    settings = job.settings
    use_tracking(settings)
    version, champion = version_of_run(settings), incumbent(job)
    promoted = promotions(job)
    scores = Scores.of(job.read_arrow(EVALUATION_METRICS, where={"as_of_date": [settings.as_of_date]}))
    verdict = decide(scores, version, champion)
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
        "run_id": settings.run_id,
    }
    table = pa.Table.from_pylist([row], schema=arrow_schema(MODEL_DECISIONS))
    job.publish(MODEL_DECISIONS, table, replace={"as_of_date": [settings.as_of_date]})
    if newest is not None:
        set_champion(settings.model_name, promoted[newest])
    return f"version {version} {'promoted' if verdict.is_promoted else 'not promoted'}: {reason}"


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES)
