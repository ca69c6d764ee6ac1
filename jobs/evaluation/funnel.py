"""The funnel: recall of the candidate sources, and how the ranker orders what they find.

Each source and the merged candidates are systems of the protocol, `candidates/<source>`, `candidates/merged` and
`candidates/ranked`: lists of the same buyers, judged on the same purchases. They are handed to the label week block by
block, so that never all candidates of all buyers are in memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from jobs.evaluation.figures import Columns, difference, map_difference, system_columns
from jobs.evaluation.protocol import ALL_BUYERS, HEADLINE_K, Figure, RankedHits
from jobs.metrics.ranking_metrics import NOT_RANKED, Truth, average_precision, best_average_precision, recall
from jobs.platform.codes import NO_ARTICLE, Ints

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

PREFIX = "candidates/"
#: All candidates in round-robin order, and in the ranker's.
MERGED, RANKED = f"{PREFIX}merged", f"{PREFIX}ranked"
SOURCE_KS = (10, 50, 100)
#: MAP@12 of the candidates in the best order there is.
CEILING = "map_ceiling"


def round_robin(articles: Ints, ranks: Sequence[npt.NDArray[np.float32]]) -> Ints:
    """Merged candidates (n, w) in round-robin order of the sources, in which nothing is learned.

    The first of each source in the order of precedence, then the second of each, and so on; an article that several
    found stands where the first of them placed it.

    Args:
        articles: each article once per row, NO_ARTICLE where there are fewer.
        ranks: per source, in the order of precedence, the article's rank in it from 1, NaN where it was not found.
    """
    turn = np.full(articles.shape, np.inf, dtype=np.float32)
    for position, rank in enumerate(ranks):
        turn = np.fmin(turn, rank * len(ranks) + position)
    turn[articles == NO_ARTICLE] = np.inf
    return np.take_along_axis(articles, np.argsort(turn, axis=1, kind="stable"), axis=1)


def measure(lists: Mapping[str, RankedHits], truth: Truth) -> Columns:
    """The measures of an evaluation: `system_columns` of the systems, `funnel_columns` of the candidates."""
    candidates = {system: listed for system, listed in lists.items() if system.startswith(PREFIX)}
    systems = {system: listed for system, listed in lists.items() if system not in candidates}
    return system_columns(systems, truth) | funnel_columns(candidates, truth)


def funnel_columns(lists: Mapping[str, RankedHits], truth: Truth) -> Columns:
    """Figures per buyer of the systems of the funnel.

    recall at each of SOURCE_KS and, as candidate_recall, over all that a source found; of each source unique_recall,
    the share of the purchases that no other source found, and hits, their number; of the merged candidates also
    map@12 in the unlearned order and map_ceiling@12 in the best; of the same candidates ranked map@12 and its paired
    difference to the unlearned order: the ranker's lift.
    """
    columns: Columns = {}
    found = {system: listed.ranks != NOT_RANKED for system, listed in lists.items()}
    sources = [system for system in lists if system not in (MERGED, RANKED)]
    finders = sum(found[source].astype(np.int32) for source in sources)
    for system in (*sources, MERGED):
        ranks, width = lists[system]
        for k in (k for k in SOURCE_KS if k <= width):
            columns[system, "recall", k] = recall(ranks, truth, k)
        columns[system, "candidate_recall", 0] = recall(ranks, truth, width)
        columns[system, "hits", 0] = truth.sums(found[system])
    for source in sources:
        columns[source, "unique_recall", 0] = truth.sums(found[source] & (finders == 1)) / truth.sizes
    for system in (MERGED, RANKED):
        columns[system, "map", HEADLINE_K] = average_precision(lists[system].ranks, truth, HEADLINE_K)
    columns[MERGED, CEILING, HEADLINE_K] = best_average_precision(lists[MERGED].ranks, truth, HEADLINE_K)
    columns[difference(RANKED, MERGED)] = map_difference(columns, RANKED, MERGED)
    return columns


def hit_shares(figures: Sequence[Figure]) -> list[Figure]:
    """Of the purchases among the merged candidates, the share that each source found, slice by slice."""
    hits = {(f.system, f.slice): f.value for f in figures if f.metric == "hits"}
    return [
        Figure(system, name, "hit_share", 0, value / hits[MERGED, name])
        for (system, name), value in hits.items()
        if system != MERGED and hits[MERGED, name]
    ]


def in_words(figures: Sequence[Figure]) -> str:
    """The funnel in one line."""
    value = _of_all_buyers(figures)
    sources = _by_recall(value)
    best = f"{sources[0].removeprefix(PREFIX)} alone {value[sources[0], 'candidate_recall', 0]:.3f}"
    return (
        f"candidates: {value[MERGED, 'candidates_per_customer', 0]:.0f} a buyer hold "
        f"{value[MERGED, 'candidate_recall', 0]:.3f} of the purchases ({best}); MAP@12 "
        f"{value[MERGED, 'map', HEADLINE_K]:.4f} unranked, {value[RANKED, 'map', HEADLINE_K]:.4f} ranked, "
        f"{value[MERGED, CEILING, HEADLINE_K]:.4f} at best"
    )


def picture(figures: Sequence[Figure], title: str) -> Picture:
    """Bars: recall of each source with its unique part and of all merged; MAP@12 from unranked to the ceiling."""
    from matplotlib.figure import Figure as Picture

    value = _of_all_buyers(figures)
    sources = _by_recall(value)
    drawn = Picture(figsize=(11, 1.6 + 0.35 * (len(sources) + 1)), layout="constrained")
    left, right = drawn.subplots(1, 2, width_ratios=[3, 2])
    systems = [*sources[::-1], MERGED]
    names = [system.removeprefix(PREFIX) for system in systems]
    left.barh(names, [value[system, "candidate_recall", 0] for system in systems], color="#9db8d2", label="found")
    unique = [value.get((system, "unique_recall", 0), 0.0) for system in systems]
    left.barh(names, unique, color="#24527a", label="found by no other source")
    left.set(xlabel="recall of the purchases", title="candidates, each source at its whole width")
    left.legend(loc="lower right")
    steps = {
        "unlearned order": value[MERGED, "map", HEADLINE_K],
        "ranker": value[RANKED, "map", HEADLINE_K],
        "best order there is": value[MERGED, CEILING, HEADLINE_K],
    }
    right.bar_label(right.bar(list(steps), list(steps.values()), color=["#9db8d2", "#24527a", "#d9d9d9"]), fmt="%.4f")
    right.tick_params(axis="x", labelsize=8)
    right.set(ylabel="MAP@12", title="the same candidates, ordered")
    drawn.suptitle(title)
    return drawn


def _of_all_buyers(figures: Sequence[Figure]) -> dict[tuple[str, str, int], float]:
    return {(f.system, f.metric, f.k): f.value for f in figures if f.slice == ALL_BUYERS}


def _by_recall(value: Mapping[tuple[str, str, int], float]) -> list[str]:
    """The sources, the one that finds most first."""
    sources = {system for system, metric, _ in value if metric == "unique_recall"}
    return sorted(sources, key=lambda system: (-value[system, "candidate_recall", 0], system))
