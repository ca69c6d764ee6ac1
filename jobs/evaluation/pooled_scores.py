"""The pooled figures that the gate decides on, as `evaluation_metrics` holds them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from expectations.evaluation import POOLED
from jobs.evaluation.protocol import ALL_BUYERS, CHALLENGER, CHAMPION, HEADLINE_K
from jobs.platform.errors import JobError


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

    def has_system(self, system: str) -> bool:
        """Whether a system was judged at all."""
        return (system, ALL_BUYERS, "buyers", 0) in self.value

    def has(self, group: str) -> bool:
        """Whether anything was bought that belongs to this slice."""
        return (CHALLENGER, group, "buyers", 0) in self.value


def _usable(value: float | None, metric: str, system: str, group: str) -> float:
    if value is None or not math.isfinite(value):
        raise JobError(
            f"evaluation_metrics: no usable {metric}@{HEADLINE_K} of {system} ({group}); rerun evaluation.evaluate"
        )
    return value


def _number(value: float | None) -> float:
    return math.nan if value is None else value
