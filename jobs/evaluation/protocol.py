"""The evaluation protocol: one label week, every buyer of it, all articles on sale, the same for every system.

- The label week is [fold start, fold start + 7 days); lists are made from what was known before the fold start.
- Averages over the buyers of the label week only, none filtered out; repurchases count as hits.
- Only an article first sold before the fold start can be picked: the catalogue also lists articles that launch later,
  and a system that picks one has seen the future.
- Intervals are 95 % customer bootstraps; systems are compared by paired differences per customer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa

from expectations.contract import Contract
from jobs.evaluation.metrics import (
    Floats,
    Mask,
    Truth,
    average_precision,
    bootstrap_means,
    coverage,
    interval,
    matches,
    ndcg,
    novelty,
    pair_keys,
    popular_overlap,
    precision,
    recall,
)
from jobs.platform.errors import JobError
from jobs.platform.schemas import arrow_schema
from jobs.platform.settings import WEEK
from jobs.retrieval.popularity import popular_articles
from jobs.retrieval.purchases import NO_ARTICLE, Ints, Purchases, day_number

#: Cut-off of the headline figure, MAP@12, and of the figures about the lists themselves.
HEADLINE_K = 12
RANKING_KS = (10, 20, 30)
RETRIEVAL_KS = (100, 300)
ALL_BUYERS = "all"
#: The slice of purchases of articles whose first sale was in the 7 days before the label week.
NEW_ARTICLES = "article_on_sale_7_days_or_less"

#: Names of the models in `system`: the one this run trained, and the champion it must beat.
CHALLENGER, CHAMPION = "two_stage", "champion"
#: Metric that says which registered version a model was; its value is the version's number.
MODEL_VERSION = "model_version"


@dataclass(frozen=True)
class Figure:
    """One figure of one system on a group of buyers; without an interval where the bootstrap does not apply."""

    system: str
    slice: str
    metric: str
    k: int
    value: float
    ci_low: float | None = None
    ci_high: float | None = None


def evaluate_week(
    systems: Mapping[str, Ints], history: Purchases, labels: Purchases, fold_start: date, seed: int
) -> list[Figure]:
    """Every figure of every system on the label week that starts on `fold_start`.

    Metrics: map, recall, precision, ndcg (per buyer, with intervals; a cut-off beyond a system's width is left out,
    save MAP@12); candidate_recall, over the whole list; `map_minus_<other>`, the paired difference of the first
    system's MAP@12; and, for all buyers only, coverage of the articles on sale, popular_overlap, novelty,
    candidates_per_customer and buyers.

    Args:
        systems: ranked article codes per system, one row per buyer in the order of `Truth.of(labels).customers`,
            padded with NO_ARTICLE; the first one is compared with each other one.
        history: purchases before the fold start.
        labels: purchases of the label week, at least one.
        seed: of the bootstrap.

    Raises:
        JobError: a system listed an article twice, or one that was not on sale.
        ValueError: history or labels reach across the fold's borders.
    """
    check_fold(history, labels, fold_start)
    truth, on_sale = Truth.of(labels), history.articles_on_sale()
    for system, ranked in systems.items():
        check_lists(system, ranked, on_sale, history)
    found = {system: matches(ranked, truth) for system, ranked in systems.items()}
    figures = []
    for name, pairs in slices(truth, history, fold_start).items():
        if pairs.any():
            figures += _slice_figures(name, pairs, found, truth, seed)
    return figures + _list_figures(systems, history, truth, fold_start)


def check_fold(history: Purchases, labels: Purchases, fold_start: date) -> None:
    """Raise ValueError where history does not end before the label week, or a label lies outside of it."""
    start = day_number(fold_start)
    if (len(history) and history.day[-1] >= start) or labels.day[0] < start or labels.day[-1] >= start + WEEK.days:
        raise ValueError(f"history or labels reach across the borders of the label week from {fold_start}")


def check_lists(system: str, ranked: Ints, on_sale: Mask, history: Purchases) -> None:
    """Raise JobError where a system lists an article twice, or one without a sale before the fold start."""
    listed = ranked[ranked != NO_ARTICLE]
    early = listed[~on_sale[listed]]
    if len(early):
        raise JobError(
            f"{system}: {len(early):,} picks are articles without a sale before the label week, such as "
            f"{history.article_ids[int(early[0])]}; the system has seen the future"
        )
    ascending = np.sort(ranked, axis=1)
    repeated = (ascending[:, 1:] == ascending[:, :-1]) & (ascending[:, 1:] != NO_ARTICLE)
    if repeated.any():
        raise JobError(f"{system}: {int(repeated.any(axis=1).sum()):,} lists name an article more than once")


def slices(truth: Truth, history: Purchases, fold_start: date) -> dict[str, Mask]:
    """Groups to report on, as masks over the pairs of the truth.

    A slice of buyers keeps all their pairs. A slice of pairs (repurchase or not, young articles) asks for those
    purchases only, of the buyers who made any; other hits of a list then count as misses.
    """
    start = day_number(fold_start)
    never = start + WEEK.days
    last_purchase = np.full(len(history.customer_ids), -1)
    last_purchase[history.customer] = history.day  # ascending days: the last one stays
    first_sale = np.full(len(history.article_ids), never)
    first_sale[history.article[::-1]] = history.day[::-1]
    last = last_purchase[truth.customers][truth.buyer]
    own = np.isin(history.customer, truth.customers)
    bought_before = np.isin(
        pair_keys(truth.customers[truth.buyer], truth.article), pair_keys(history.customer[own], history.article[own])
    )
    age = start - first_sale[truth.article]
    return {
        ALL_BUYERS: np.ones(len(truth.buyer), dtype=bool),
        "bought_in_last_30_days": last >= start - 30,
        "older_history": (last >= 0) & (last < start - 30),
        "no_history": last < 0,
        "repurchase": bought_before,
        "first_purchase": ~bought_before,
        NEW_ARTICLES: (age >= 1) & (age <= 7),
    }


def _slice_figures(name: str, pairs: Mask, found: Mapping[str, np.ndarray], truth: Truth, seed: int) -> list[Figure]:
    """Figures that are means over buyers, with bootstrap intervals from the same draws for all systems."""
    counts = np.bincount(truth.buyer[pairs], minlength=len(truth.customers)).astype(np.int32)
    rows = np.flatnonzero(counts)
    columns: dict[tuple[str, str, int], Floats] = {}
    for system, match in found.items():
        match = match[rows]
        hits = (match >= 0) & pairs[match]
        for (metric, k), values in buyer_figures(hits, counts[rows]).items():
            columns[system, metric, k] = values
    first, *others = found
    for other in others:
        difference = columns[first, "map", HEADLINE_K] - columns[other, "map", HEADLINE_K]
        columns[first, f"map_minus_{other}", HEADLINE_K] = difference
    values = np.column_stack(list(columns.values()))
    low, high = interval(bootstrap_means(values, seed))
    means = values.mean(axis=0)
    return [
        Figure(system, name, metric, k, float(means[i]), float(low[i]), float(high[i]))
        for i, (system, metric, k) in enumerate(columns)
    ]


def buyer_figures(hits: Mask, sizes: Ints) -> dict[tuple[str, int], Floats]:
    """Each buyer's figures by (metric, cut-off), at the cut-offs that the lists are wide enough for."""
    width = hits.shape[1]
    figures = {("map", HEADLINE_K): average_precision(hits, sizes, HEADLINE_K)}
    figures["candidate_recall", 0] = recall(hits, sizes, width)
    for k in (k for k in RANKING_KS if k <= width):
        figures["recall", k] = recall(hits, sizes, k)
        figures["precision", k] = precision(hits, k)
        figures["ndcg", k] = ndcg(hits, sizes, k)
    for k in (k for k in RETRIEVAL_KS if k <= width):
        figures["recall", k] = recall(hits, sizes, k)
    return figures


def _list_figures(systems: Mapping[str, Ints], history: Purchases, truth: Truth, fold_start: date) -> list[Figure]:
    """Figures of the lists themselves, whatever was bought."""
    if not len(history):
        return []
    on_sale = history.articles_on_sale()
    popular = popular_articles(history, fold_start, HEADLINE_K)
    buyers = np.unique(pair_keys(history.customer, history.article)) & 0xFFFFFFFF
    reach = np.bincount(buyers, minlength=len(on_sale)) / len(np.unique(history.customer))
    figures = []
    for system, ranked in systems.items():
        listed = (ranked != NO_ARTICLE).sum(axis=1)
        values = {
            ("coverage", HEADLINE_K): coverage(ranked, on_sale, HEADLINE_K),
            ("popular_overlap", HEADLINE_K): float(popular_overlap(ranked, popular, HEADLINE_K).mean()),
            ("candidates_per_customer", 0): float(listed.mean()),
            ("buyers", 0): float(len(truth.customers)),
        }
        if listed.any():  # the mean over the customers who got any article
            values["novelty", HEADLINE_K] = float(novelty(ranked[listed > 0], reach, HEADLINE_K).mean())
        figures += [Figure(system, ALL_BUYERS, metric, k, value) for (metric, k), value in values.items()]
    return figures


def figures_table(
    figures: Sequence[Figure], contract: Contract, *, as_of_date: date, fold_start: date, run_id: str
) -> pa.Table:
    """The figures as rows of `contract` (evaluation_metrics or realised_performance)."""
    rows = [
        {**vars(figure), "as_of_date": as_of_date, "fold": fold_start.isoformat(), "run_id": run_id}
        for figure in figures
    ]
    return pa.Table.from_pylist(rows, schema=arrow_schema(contract))
