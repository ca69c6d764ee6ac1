"""The evaluation protocol: weekly folds, every buyer of each, all articles on sale, the same for every system.

- A fold is the label week [start, start + 7 days); lists are made from what was known before its start.
- Averages over the buyers of the label week only, none filtered out; repurchases count as hits.
- Only an article first sold before the fold start can be picked: the catalogue also lists articles that launch later,
  and a system that picks one has seen the future.
- One week decides nothing: the EVALUATION_FOLDS last whole weeks before the as-of date are judged by one and the same
  fit, which learnt from older weeks only, and pooled: a mean over buyer-weeks.
- Intervals are 95 % customer bootstraps; systems are compared by paired differences per customer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

import numpy as np

from jobs.metrics.ranking_metrics import Floats, Mask, Truth, hit_ranks, novelty, pair_keys, popular_overlap
from jobs.platform.codes import NO_ARTICLE, Ints
from jobs.platform.errors import JobError
from jobs.platform.settings import EVALUATION_FOLDS, WEEK
from jobs.retrieval.popularity import popular_articles
from jobs.retrieval.purchases import Purchases, day_number

HEADLINE_K = 12
RANKING_KS, RETRIEVAL_KS = (10, 20, 30), (100, 300)
#: Places per customer that are judged: as many as the deepest cut-off.
WIDTH = max(RETRIEVAL_KS)

ALL_BUYERS = "all"
#: Slices of buyers by their history: each has all its purchases counted. Every buyer is in exactly one.
RECENT_BUYERS, OLDER_BUYERS, NEW_BUYERS = BUYER_SLICES = ("bought_in_last_30_days", "older_history", "no_history")
#: Slices of purchases; the last one holds articles whose first sale was in the 7 days before the label week.
REPURCHASES, FIRST_PURCHASES, NEW_ARTICLES = PURCHASE_SLICES = (
    "repurchase",
    "first_purchase",
    "article_on_sale_7_days_or_less",
)

#: Names of the models in `system`: the one this run trained, and the champion it must beat.
CHALLENGER, CHAMPION = "two_stage", "champion"


class RankedHits(NamedTuple):
    """What the figures need of a system's lists: the place of each pair of the truth, and how long the lists are."""

    ranks: Ints
    width: int


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


@dataclass
class _Tally:
    """Sums over a system's lists, whatever was bought; `judged` says which buyers' lists are in."""

    judged: Mask
    covered: Mask
    width: int = 0
    sums: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("listed", "overlap", "bits", "filled"), 0.0))


class LabelWeek:
    """One fold: takes each system's lists, block by block if need be, and keeps of them what the figures need.

    Args:
        history: purchases before the fold start.
        labels: purchases of the label week, at least one.
        start: first day of the label week.

    Raises:
        ValueError: history or labels reach across the fold's borders.
    """

    def __init__(self, history: Purchases, labels: Purchases, start: date) -> None:
        check_fold(history, labels, start)
        self.start, self.truth = start, Truth.of(labels)
        self.slices = slices(self.truth, history, start)
        self._sold, self.on_sale = history.articles_sold(), history.articles_on_sale()
        self.history = history
        self._popular = popular_articles(history, start, HEADLINE_K)
        self._reach = reach(history)
        self._ranks: dict[str, Ints] = {}
        self._tallies: dict[str, _Tally] = {}

    def add(self, system: str, ranked: Ints, rows: slice = slice(None)) -> None:
        """Take the lists of a block of buyers.

        Args:
            ranked: article codes, one row per buyer, best first, padded with NO_ARTICLE.
            rows: which buyers, as rows of `truth.customers`.

        Raises:
            JobError: the system listed an article twice, or one that had not been sold.
        """
        check_lists(system, ranked, self._sold, self.history)
        truth, pairs = self.truth.of_buyers(rows)
        found = self._ranks.setdefault(system, np.empty(len(self.truth.buyer), dtype=np.int32))
        found[pairs] = hit_ranks(ranked, truth)
        tally = self._tallies.get(system)
        if tally is None:
            tally = _Tally(np.zeros(len(self.truth.customers), dtype=bool), np.zeros(len(self.on_sale), dtype=bool))
            self._tallies[system] = tally
        tally.judged[rows] = True
        tally.width = max(tally.width, ranked.shape[1])
        top = ranked[:, :HEADLINE_K]
        tally.covered[top[top != NO_ARTICLE]] = True
        bits = novelty(ranked, self._reach, HEADLINE_K)
        tally.sums["listed"] += float((ranked != NO_ARTICLE).sum())
        tally.sums["overlap"] += float(popular_overlap(ranked, self._popular, HEADLINE_K).sum())
        tally.sums["bits"] += float(np.nansum(bits))
        tally.sums["filled"] += float(np.isfinite(bits).sum())

    def listed(self, pairs: Mask) -> dict[str, RankedHits]:
        """Every system's lists as far as these pairs (a mask) are concerned; ValueError where a buyer's is missing."""
        for system, tally in self._tallies.items():
            if not tally.judged.all():
                raise ValueError(f"{system}: {int((~tally.judged).sum())} buyers of {self.start} have no list")
        return {system: RankedHits(found[pairs], self._tallies[system].width) for system, found in self._ranks.items()}

    def list_shares(self) -> dict[tuple[str, str, int], tuple[float, float]]:
        """Figures of the lists themselves as numerator and denominator, so that weeks add up."""
        buyers, on_sale = float(len(self.truth.customers)), float(self.on_sale.sum())
        shares = {}
        for system, tally in self._tallies.items():
            sums = tally.sums
            shares[system, "coverage", HEADLINE_K] = float((tally.covered & self.on_sale).sum()), on_sale
            shares[system, "popular_overlap", HEADLINE_K] = sums["overlap"], buyers
            shares[system, "novelty", HEADLINE_K] = sums["bits"], sums["filled"]
            shares[system, "candidates_per_customer", 0] = sums["listed"], buyers
        return shares


def reach(history: Purchases) -> Floats:
    """Share of the customers with history who bought each article, by article code."""
    pairs = np.sort(pair_keys(history.customer, history.article))  # faster by far than numpy's unique, which hashes
    is_first = np.diff(pairs, prepend=-1) != 0
    owners = np.bincount(pairs[is_first] & 0xFFFFFFFF, minlength=len(history.article_ids))
    customers = int(np.count_nonzero(np.bincount(history.customer)))
    return owners / max(customers, 1)


def check_fold(history: Purchases, labels: Purchases, fold_start: date) -> None:
    """Raise ValueError where history does not end before the label week, or a label lies outside of it."""
    start = day_number(fold_start)
    if (len(history) and history.day[-1] >= start) or labels.day[0] < start or labels.day[-1] >= start + WEEK.days:
        raise ValueError(f"history or labels reach across the borders of the label week from {fold_start}")


def check_lists(system: str, ranked: Ints, sold: Mask, history: Purchases) -> None:
    """Raise JobError where a system lists an article twice, or one without a sale before the fold start."""
    listed = ranked[ranked != NO_ARTICLE]
    early = listed[~sold[listed]]
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

    A slice of buyers keeps all their pairs. A slice of pairs (repurchase or not, young articles) counts those
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
        RECENT_BUYERS: last >= start - 30,
        OLDER_BUYERS: (last >= 0) & (last < start - 30),
        NEW_BUYERS: last < 0,
        REPURCHASES: bought_before,
        FIRST_PURCHASES: ~bought_before,
        NEW_ARTICLES: (age >= 1) & (age <= 7),
    }


def label_weeks(purchases: Purchases, as_of_date: date) -> list[LabelWeek]:
    """The folds before a date in which anything was bought, the oldest first; JobError where there is none."""
    weeks = []
    for start in (as_of_date - j * WEEK for j in range(EVALUATION_FOLDS, 0, -1)):
        labels = purchases.between(start, start + WEEK)
        if len(labels):
            weeks.append(LabelWeek(purchases.before(start), labels, start))
        else:
            print(f"nothing was bought from {start} to {start + WEEK}: no fold")
    if not weeks:
        raise JobError(
            f"silver/transactions: nothing bought in the {EVALUATION_FOLDS} weeks before {as_of_date}; nothing to judge"
        )
    return weeks
