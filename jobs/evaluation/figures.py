"""From places to figures: means over buyers, by slice, for each fold and pooled, as rows of a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date

import numpy as np
import pyarrow as pa

from expectations.contract import Contract
from expectations.evaluation import POOLED
from expectations.recommendations import BASELINE
from jobs.evaluation.protocol import (
    ALL_BUYERS,
    BUYER_SLICES,
    HEADLINE_K,
    PURCHASE_SLICES,
    RANKING_KS,
    RETRIEVAL_KS,
    Figure,
    LabelWeek,
    RankedHits,
)
from jobs.metrics.bootstrap import bootstrap_means, interval, widened_where_few_differ
from jobs.metrics.ranking_metrics import Floats, Truth, average_precision, ndcg, precision, recall
from jobs.platform.codes import Ints
from jobs.platform.schemas import arrow_schema
from jobs.retrieval.purchases import Purchases

#: Which figure: (system, metric, cut-off).
Key = tuple[str, str, int]
#: What the name of a paired difference starts with.
DIFFERENCE = "map_minus_"
#: Figures of each buyer, (n,) each.
Columns = dict[Key, Floats]
#: Measures of a group of purchases: (system -> its lists, the purchases) -> columns.
Measure = Callable[[Mapping[str, RankedHits], Truth], Columns]


def system_columns(lists: Mapping[str, RankedHits], truth: Truth) -> Columns:
    """What every system is judged by, and the paired differences of the first one's MAP@12 to each other one's.

    map, recall, precision, ndcg at the cut-offs that the lists are wide enough for (save MAP@12), candidate_recall
    over the whole list, and `map_minus_<other>`.
    """
    columns: Columns = {}
    for system, (found, width) in lists.items():
        columns[system, "map", HEADLINE_K] = average_precision(found, truth, HEADLINE_K)
        columns[system, "candidate_recall", 0] = recall(found, truth, width)
        for k in (k for k in RANKING_KS if k <= width):
            columns[system, "recall", k] = recall(found, truth, k)
            columns[system, "precision", k] = precision(found, truth, k)
            columns[system, "ndcg", k] = ndcg(found, truth, k)
        for k in (k for k in RETRIEVAL_KS if k <= width):
            columns[system, "recall", k] = recall(found, truth, k)
    first, *others = lists
    return columns | {difference(first, other): map_difference(columns, first, other) for other in others}


def difference(system: str, other: str) -> Key:
    """Where the paired difference of two systems' MAP@12 stands among the columns."""
    return system, f"{DIFFERENCE}{other}", HEADLINE_K


def map_difference(columns: Columns, system: str, other: str) -> Floats:
    """Each buyer's AP@12 under `system` less that under `other`."""
    return columns[system, "map", HEADLINE_K] - columns[other, "map", HEADLINE_K]


def figures_of(
    weeks: Sequence[LabelWeek], seed: int, measure: Measure = system_columns
) -> dict[date | None, list[Figure]]:
    """Every figure of each label week, by its start, and of all of them pooled, by None.

    Slice by slice, so that no more than one slice's columns are in memory. Beside what `measure` yields: buyers (of
    the slice, pooled: buyer-weeks) and, for all buyers, coverage of the articles on sale, popular_overlap, novelty and
    candidates_per_customer.

    Args:
        weeks: each has the same systems.
        seed: of the bootstrap.
    """
    figures: dict[date | None, list[Figure]] = {week.start: [] for week in weeks} | {None: []}
    for name in (ALL_BUYERS, *BUYER_SLICES, *PURCHASE_SLICES):
        parts: list[tuple[Ints, Columns]] = []
        for week in (week for week in weeks if week.slices[name].any()):
            pairs = week.slices[name]
            truth = week.truth.only(pairs)
            parts.append((truth.customers, measure(week.listed(pairs), truth)))
            figures[week.start] += means(name, parts[-1:], seed)
        if parts:
            figures[None] += means(name, parts, seed)
    for start, some in [*((week.start, [week]) for week in weeks), (None, list(weeks))]:
        figures[start] += _list_figures(some)
    return figures


def evaluate_week(
    systems: Mapping[str, Ints], history: Purchases, labels: Purchases, fold_start: date, seed: int
) -> list[Figure]:
    """Every figure of every system on one label week; see LabelWeek for arguments and errors.

    Args:
        systems: ranked article codes per system, one row per buyer in the order of `Truth.of(labels).customers`; the
            first one is compared with each other one.
    """
    week = LabelWeek(history, labels, fold_start)
    for system, ranked in systems.items():
        week.add(system, ranked)
    return figures_of([week], seed)[fold_start]


def means(name: str, parts: Sequence[tuple[Ints, Columns]], seed: int) -> list[Figure]:
    """Means over the buyers of a slice in one or more weeks, with intervals from the same draws for all columns.

    Args:
        name: of the slice.
        parts: of each week the buyers, and a measure's columns of them.
        seed: of the bootstrap.
    """
    keys = [key for key in parts[0][1] if all(key in columns for _, columns in parts)]
    values = np.concatenate([np.column_stack([columns[key] for key in keys]) for _, columns in parts])
    customers = np.concatenate([customers for customers, _ in parts])
    limits = interval(bootstrap_means(customers, values, seed))
    minus = [i for i, (_, metric, _) in enumerate(keys) if metric.startswith(DIFFERENCE)]
    limits[:, minus] = widened_where_few_differ(customers, values[:, minus], limits[:, minus])
    low, high = limits
    middle = values.mean(axis=0)
    figures = [
        Figure(system, name, metric, k, float(middle[i]), float(low[i]), float(high[i]))
        for i, (system, metric, k) in enumerate(keys)
    ]
    systems = dict.fromkeys(system for system, *_ in keys)
    return figures + [Figure(system, name, "buyers", 0, float(len(values))) for system in systems]


def _list_figures(weeks: Iterable[LabelWeek]) -> list[Figure]:
    """Figures of the lists themselves over all buyers, whatever was bought."""
    above: dict[Key, float] = {}
    below: dict[Key, float] = {}
    for week in weeks:
        for key, (numerator, denominator) in week.list_shares().items():
            above[key] = above.get(key, 0.0) + numerator
            below[key] = below.get(key, 0.0) + denominator
    return [
        Figure(system, ALL_BUYERS, metric, k, above[system, metric, k] / count)
        for (system, metric, k), count in below.items()
        if count
    ]


def figures_table(
    figures: Sequence[Figure],
    contract: Contract,
    *,
    as_of_date: date,
    fold_start: date | None,
    run_id: str,
    model_versions: Mapping[str, str] | None = None,
    **more: int,
) -> pa.Table:
    """The figures of a fold, or of all pooled (fold_start None), as rows of `contract`.

    Args:
        model_versions: of the systems that are a registered model's; the others are baselines.
        more: columns of the contract.
    """
    fold = POOLED if fold_start is None else fold_start.isoformat()
    stamp = {"as_of_date": as_of_date, "fold": fold, "week_start_date": fold_start, "run_id": run_id, **more}
    versions = model_versions or {}
    rows = [{**vars(figure), "model_version": versions.get(figure.system, BASELINE), **stamp} for figure in figures]
    return pa.Table.from_pylist(rows, schema=arrow_schema(contract))
