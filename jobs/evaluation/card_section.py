"""The part of a version's model card that the gate writes: its verdict, and the figures that it rests on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

from expectations.evaluation import POOLED
from jobs.evaluation.protocol import (
    ALL_BUYERS,
    BUYER_SLICES,
    CHALLENGER,
    CHAMPION,
    HEADLINE_K,
    PURCHASE_SLICES,
)
from jobs.retrieval.baselines import BASELINES

#: Heading of this part, the last of a card.
EVALUATION = "Evaluation"

Row = dict[str, Any]


def evaluation_section(metrics: pa.Table, is_promoted: bool, reason: str, best_baseline: str) -> str:
    """Markdown: the verdict, MAP@12 beside the baselines' and the champion's, by week and by slice.

    Args:
        metrics: rows of `evaluation_metrics` of one as-of date.
        best_baseline: the one that slices are shown beside.
    """
    rows = metrics.to_pylist()
    found = {(row["fold"], row["system"], row["slice"], row["metric"], row["k"]): row for row in rows}
    systems = [name for name in (CHALLENGER, CHAMPION, *BASELINES) if (POOLED, name, ALL_BUYERS, "map", 12) in found]
    folds = sorted({row["fold"] for row in rows} - {POOLED})

    def score(fold: str, system: str, group: str = ALL_BUYERS) -> Row | None:
        return found.get((fold, system, group, "map", HEADLINE_K))

    def less(system: str, group: str = ALL_BUYERS) -> Row | None:
        return found.get((POOLED, CHALLENGER, group, f"map_minus_{system}", HEADLINE_K))

    overall = [
        (_name(system), _interval(score(POOLED, system)), "" if system == CHALLENGER else _interval(less(system), "+"))
        for system in systems
    ]
    weekly = [(fold, *(_value(score(fold, system)) for system in systems)) for fold in folds]
    slices = [
        (group, f"{buyers['value']:,.0f}", *(_interval(score(POOLED, s, group)) for s in (CHALLENGER, best_baseline)))
        for group in (*BUYER_SLICES, *PURCHASE_SLICES)
        if (buyers := found.get((POOLED, CHALLENGER, group, "buyers", 0)))
    ]
    verdict = "Promoted" if is_promoted else "Not promoted"
    parts = [
        f"**{verdict}.** {reason}.",
        f"MAP@{HEADLINE_K} over every buyer of {len(folds)} weeks, with 95 % customer bootstrap intervals; the model's "
        "is that of the evaluated fit, which knew none of these weeks.",
        _table(("system", f"MAP@{HEADLINE_K}", "this version less it"), overall),
        f"By week, MAP@{HEADLINE_K}:",
        _table(("week from", *map(_name, systems)), weekly),
        f"By slice, MAP@{HEADLINE_K}, beside the best baseline:",
        _table(("slice", "buyers", "this version", best_baseline), slices),
    ]
    return "\n\n".join(parts)


def _name(system: str) -> str:
    return "this version" if system == CHALLENGER else system


def _value(row: Row | None) -> str:
    return "" if row is None else f"{row['value']:.4f}"


def _interval(row: Row | None, sign: str = "") -> str:
    """Value and interval of a row, with these signs."""
    if row is None:
        return ""
    if row["ci_low"] is None:
        return f"{row['value']:{sign}.4f}"
    return f"{row['value']:{sign}.4f} ({row['ci_low']:{sign}.4f} to {row['ci_high']:{sign}.4f})"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
