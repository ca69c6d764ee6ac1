"""Figures as evaluation_metrics holds them, made up for the gate."""

from __future__ import annotations

from datetime import date

import pyarrow as pa

from expectations.evaluation import EVALUATION_METRICS
from jobs.evaluation.figures import figures_table
from jobs.evaluation.funnel import CEILING, MERGED
from jobs.evaluation.protocol import (
    BUYER_SLICES,
    CHALLENGER,
    CHAMPION,
    PURCHASE_SLICES,
    Figure,
)

BASELINES = {"popularity_7d": 0.01, "own_recent_purchases": 0.02, "own_recent_then_popularity": 0.026, "rules": 0.025}
WEEKS = [date(2020, 9, 2), date(2020, 9, 9), date(2020, 9, 16), date(2020, 9, 23)]
FOLDS = [date(2020, 8, 5), date(2020, 8, 12), date(2020, 8, 19), date(2020, 8, 26)]
SLICES = ("all", *BUYER_SLICES, *PURCHASE_SLICES)
NOISE = 2**-10  # of exact fractions, so that an interval can touch zero


def figures(
    challenger: float,
    champion: float | None = None,
    *,
    slices: dict[str, float] | None = None,
    noise: float | dict[str, float] = NOISE,
    coverage: float = 0.3,
    ceiling: float = 0.2,
    **baselines: float,
) -> list[Figure]:
    """Pooled figures: each system the same in every slice, except the challenger's in `slices`.

    `noise` is half the width of every interval, or of those of a slice.
    """
    maps = {CHALLENGER: challenger} | BASELINES | baselines | ({} if champion is None else {CHAMPION: champion})
    found = []
    for group in SLICES:
        values = maps | {CHALLENGER: (slices or {}).get(group, challenger)}
        half = noise.get(group, NOISE) if isinstance(noise, dict) else noise
        for system, value in values.items():
            found.append(Figure(system, group, "map", 12, value, value, value))
            found.append(Figure(system, group, "buyers", 0, 100.0))
            if system != CHALLENGER:
                less = values[CHALLENGER] - value
                found.append(Figure(CHALLENGER, group, f"map_minus_{system}", 12, less, less - half, less + half))
        found.append(Figure(MERGED, group, CEILING, 12, ceiling))
    found += [Figure(system, "all", "coverage", 12, 0.8) for system in BASELINES]
    found.append(Figure(CHALLENGER, "all", "coverage", 12, coverage))
    return found


def rows(
    found: list[Figure],
    folds: list[date] = FOLDS,
    as_of_date: date = WEEKS[0],
    challenger_version: str = "5",
    champion_version: str = "3",
) -> pa.Table:
    """Rows of evaluation_metrics: these figures pooled, and one of each fold."""
    versions = {CHALLENGER: challenger_version, CHAMPION: champion_version}
    facts = {"as_of_date": as_of_date, "run_id": "r", "model_versions": versions}
    tables = [figures_table(found, EVALUATION_METRICS, fold_start=None, **facts)]
    tables += [figures_table(found[:1], EVALUATION_METRICS, fold_start=fold, **facts) for fold in folds]
    return pa.concat_tables(tables)
