"""What a system's own lists would add to the candidates that the two-stage model has without it.

Beside the lists by which a system is judged, a label week takes three more: its own, the candidates of the product's
sources that need no fitted model (jobs.retrieval.candidates.HeuristicSources), and both together, as many in number as
those of the sources alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from jobs.evaluation.figures import Columns, system_columns
from jobs.evaluation.funnel import PREFIX
from jobs.evaluation.protocol import LabelWeek, RankedHits
from jobs.metrics.ranking_metrics import NOT_RANKED, Truth, recall
from jobs.platform.codes import NO_ARTICLE, Ints
from jobs.ranking.candidate_retrieval import BLOCK_SIZE
from jobs.retrieval.baselines import first_distinct
from jobs.retrieval.candidates import HeuristicSources

#: Candidates that a system would add, and places in which the candidates are compared.
CANDIDATES = 100
OWN, SOURCES, JOINED = f"{PREFIX}own", f"{PREFIX}sources", f"{PREFIX}joined"


def take_turns(lists: Sequence[Ints]) -> Ints:
    """The first of each list, then the second of each, and so on, each article once: nothing in the order is learned.

    Args:
        lists: article codes of the same n customers, each (n, any), NO_ARTICLE at the right of rows that hold fewer.

    Returns:
        Shape (n, widths together), padded with NO_ARTICLE.
    """
    widest = max(some.shape[1] for some in lists)
    turns = np.full((len(lists[0]), widest, len(lists)), NO_ARTICLE, dtype=np.int32)
    for turn, some in enumerate(lists):
        turns[:, : some.shape[1], turn] = some
    return first_distinct(turns.reshape(len(turns), -1), sum(some.shape[1] for some in lists))


def add_candidates(week: LabelWeek, own: Ints, sources: HeuristicSources) -> None:
    """Hand the candidates of all buyers to the week.

    Args:
        own: what the system found, best first, one row per buyer, at most CANDIDATES.
        sources: as of the start of the week.
    """
    for first in range(0, len(own), BLOCK_SIZE):
        rows = slice(first, first + BLOCK_SIZE)
        lists = [found.articles for found in sources.of(week.truth.customers[rows]).values()]
        week.add(OWN, own[rows], rows)
        week.add(SOURCES, take_turns(lists), rows)
        week.add(JOINED, take_turns([*lists, own[rows]])[:, :CANDIDATES], rows)


def measure(lists: Mapping[str, RankedHits], truth: Truth) -> Columns:
    """What every system is judged by, and of the first one also what it would add.

    own_recall, of its own lists; unique_recall, the share of each buyer's articles that is in its own list and is no
    candidate of any source; merged_recall, of the sources' candidates, merged_recall_with, of both, in as many places,
    and merged_gain, their paired difference. All within the first CANDIDATES places, save that for unique_recall the
    sources have all of theirs.
    """
    judged = {system: listed for system, listed in lists.items() if not system.startswith(PREFIX)}
    system, k = next(iter(judged)), CANDIDATES
    own, sources, joined = (lists[name].ranks for name in (OWN, SOURCES, JOINED))
    without, together = recall(sources, truth, k), recall(joined, truth, k)
    worth = {
        "own_recall": recall(own, truth, k),
        "unique_recall": truth.sums((own != NOT_RANKED) & (sources == NOT_RANKED)) / truth.sizes,
        "merged_recall": without,
        "merged_recall_with": together,
        "merged_gain": together - without,
    }
    return system_columns(judged, truth) | {(system, metric, k): values for metric, values in worth.items()}
