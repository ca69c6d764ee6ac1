"""MAP@12 week by week beside the baselines: as series of figures in the MLflow run, and as one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING

import mlflow
import numpy as np

from expectations.evaluation import EVALUATION_METRICS, POOLED
from jobs.evaluation.protocol import ALL_BUYERS, CHALLENGER, CHAMPION, HEADLINE_K, Figure
from jobs.platform.job import Job
from jobs.retrieval.baselines import BASELINES

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

#: The systems shown, with their colours: the two models, then the baselines.
_COLOURS = {CHALLENGER: "#0072b2", CHAMPION: "#d55e00"} | dict(
    zip(BASELINES, ("#999999", "#56b4e9", "#009e73", "#cc79a7"), strict=False)
)

#: Week -> system -> its MAP@12 of all buyers.
Weeks = dict[date, dict[str, Figure]]


def weekly_figures(job: Job, figures: Mapping[date | None, Sequence[Figure]]) -> Weeks:
    """The run's folds, and the weeks before them as runs of earlier as-of dates judged them, the last of those.

    Args:
        figures: of each fold of the run; those pooled, under None, are left out.
    """
    weeks: Weeks = {}
    if job.exists(EVALUATION_METRICS):
        columns = ["as_of_date", "fold", "system", "slice", "metric", "k", "value", "ci_low", "ci_high"]
        before = {"as_of_date": job.settings.as_of_date}
        earlier = job.read_arrow(EVALUATION_METRICS, columns, {"metric": ["map"], "slice": [ALL_BUYERS]}, before)
        for row in earlier.sort_by("as_of_date").to_pylist():
            del row["as_of_date"]
            if (fold := row.pop("fold")) != POOLED:
                _add(weeks, date.fromisoformat(fold), Figure(**row))
    for start, found in figures.items():
        if start is not None:
            weeks.pop(start, None)
            for figure in found:
                _add(weeks, start, figure)
    return dict(sorted(weeks.items()))


def _add(weeks: Weeks, start: date, figure: Figure) -> None:
    if figure.system in _COLOURS and (figure.slice, figure.metric, figure.k) == (ALL_BUYERS, "map", HEADLINE_K):
        weeks.setdefault(start, {})[figure.system] = figure


def log_weeks(weeks: Weeks, title: str) -> None:
    """To the active MLflow run: a series for each system, dated by its weeks, and the picture of all of them."""
    for step, (start, found) in enumerate(weeks.items(), start=1):
        values = {f"map_at_{HEADLINE_K}_by_week/{system}": figure.value for system, figure in found.items()}
        midnight = datetime.combine(start, time(), UTC)
        mlflow.log_metrics(values, step=step, timestamp=int(midnight.timestamp() * 1000))
    mlflow.log_figure(picture(weeks, title), f"map_at_{HEADLINE_K}_by_week.png")


def picture(weeks: Weeks, title: str) -> Picture:
    """A line for each system with its 95 % intervals; a week that did not judge a system leaves a gap."""
    from matplotlib.figure import Figure as Picture

    drawn = Picture(figsize=(max(9.0, 3.5 + 0.6 * len(weeks)), 4.8), layout="constrained")
    axes = drawn.subplots()
    systems = [system for system in _COLOURS if any(system in found for found in weeks.values())]
    for place, system in enumerate(systems):
        rows = [
            (f.value, f.value if f.ci_low is None else f.ci_low, f.value if f.ci_high is None else f.ci_high)
            if (f := found.get(system))
            else (np.nan,) * 3
            for found in weeks.values()
        ]
        value, low, high = np.array(rows).T
        aside = (place - (len(systems) - 1) / 2) * 0.06  # so that intervals stand beside one another
        axes.errorbar(
            np.arange(len(weeks)) + aside,
            value,
            yerr=[value - low, high - value],
            marker="o",
            capsize=3,
            color=_COLOURS[system],
            linewidth=2.5 if system in (CHALLENGER, CHAMPION) else 1.5,
            label={CHALLENGER: "this run's model", CHAMPION: "champion"}.get(system, system.replace("_", " ")),
        )
    axes.set_xticks(range(len(weeks)), [start.isoformat() for start in weeks], rotation=45, ha="right")
    axes.set(xlabel="week from", ylabel=f"MAP@{HEADLINE_K}, 95 % interval", title=title)
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", alpha=0.3)
    drawn.legend(loc="outside right upper", frameon=False)
    return drawn
