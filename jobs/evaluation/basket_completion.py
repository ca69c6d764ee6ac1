"""Given a basket's first article, is another one of it among the first ten of the article's list?

    python -m jobs.evaluation.basket_completion --as-of-date 2020-09-23

The baskets are those of the last EVALUATION_FOLDS whole weeks; the lists are of what was known when each began, so the
rules are never asked about the baskets that they were counted in. The order within a basket is not known: each of its
articles is the first one in turn, and the basket's figure is the mean. Beside `bought_together`, as it is published:
the rules of articles alone, those ordered by confidence and by lift, the neighbours of the candidate source
co_occurrence, and the best sellers of the last 7 days.
"""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa

from expectations.articles import ARTICLES
from expectations.evaluation import BASKET_METRICS
from jobs.baskets.baskets import NO_ITEM, Baskets, baskets_of
from jobs.baskets.bought_together import GROUPS, Catalogue, catalogue_of, rules_by_level
from jobs.baskets.itemsets import pairs_of
from jobs.baskets.lists import Shelf, lists
from jobs.evaluation.docs_section import write_section
from jobs.evaluation.figures import figures_table
from jobs.evaluation.protocol import Figure
from jobs.metrics.bootstrap import bootstrap_means, interval
from jobs.platform.codes import NO_ARTICLE, Ints
from jobs.platform.errors import JobError
from jobs.platform.job import Job, run
from jobs.platform.settings import EVALUATION_FOLDS, WEEK, Settings
from jobs.retrieval.co_occurrence import CoOccurrence
from jobs.retrieval.popularity import popular_articles
from jobs.retrieval.purchases import PURCHASE_TABLES, Purchases, load_purchases
from jobs.retrieval.recent import RecentPurchases

READS, WRITES = PURCHASE_TABLES, (BASKET_METRICS,)
SETTINGS = (
    "accept_drift",
    "basket_weeks",
    "max_basket_size",
    "min_support",
    "min_confidence",
    "min_lift",
    "seed",
    "write_docs",
)

K = 10
SYSTEM, HIT_RATE = "bought_together", "hit_rate"
#: Whether variants of the first article count, and are listed, by slice.
SLICES = {"any_article": True, "other_product": False}
#: Of lists that variants are taken out of, so many places are looked at.
_DEPTH = 3 * K

Floats = np.ndarray


class Asked(NamedTuple):
    """Baskets of a week, and which of their articles go with which.

    Attributes:
        customer: of each basket that counts, (b,).
        basket: row of `customer` of each first article, ascending, (n,).
        first: its code, (n,).
        place, other: of each further article of its basket, its first article's position and its own code, (p,).
    """

    customer: Ints
    basket: Ints
    first: Ints
    place: Ints
    other: Ints


def asked(baskets: Baskets, product: Ints, with_variants: bool) -> Asked:
    """Every article of a basket as the first one, with the others; without variants, with those of other products."""
    one, two = pairs_of(np.searchsorted(baskets.basket, baskets.basket, "right"), np.arange(len(baskets.item)))
    place, other = np.concatenate([one, two]), baskets.item[np.concatenate([two, one])]
    if not with_variants:
        own, its = product[baskets.item[place]], product[other]
        counts = (own != its) | (own == NO_ITEM)
        place, other = place[counts], other[counts]
    firsts, row = np.unique(place, return_inverse=True)
    rows, basket = np.unique(baskets.basket[firsts], return_inverse=True)
    return Asked(baskets.customer[rows], basket.astype(np.int32), baskets.item[firsts], row.astype(np.int32), other)


def hits(found: Ints, of: Asked) -> Floats:
    """Of each basket the share of its articles whose list, a row of `found`, holds another one of it, (b,)."""
    size = len(found)
    listed = np.sort((np.arange(size)[:, None] * size + found)[found != NO_ARTICLE])
    wanted = of.first[of.place].astype(np.int64) * size + of.other
    is_listed = np.append(listed, -1)[np.searchsorted(listed, wanted)] == wanted
    is_hit = np.bincount(of.place, weights=is_listed, minlength=len(of.first)) > 0
    return np.bincount(of.basket, weights=is_hit) / np.bincount(of.basket)


def narrowed(found: Ints, product: Ints, with_variants: bool) -> Ints:
    """The first K of each article's list, (articles, any), without itself and, if so wanted, without its variants."""
    own = np.arange(len(found))[:, None]
    is_out = (found == own) | (found == NO_ARTICLE)
    if not with_variants:
        is_out |= (product[found] == product[own]) & (product[own] != NO_ITEM)
    order = np.argsort(is_out, axis=1, kind="stable")[:, :K]
    return np.take_along_axis(np.where(is_out, NO_ARTICLE, found), order, axis=1)


def as_lists(chosen: pl.DataFrame, articles: int) -> Ints:
    """Rows of jobs.baskets.lists as one list for each article, (articles, K)."""
    found = np.full((articles, K), NO_ARTICLE, dtype=np.int32)
    found[chosen["article"].to_numpy(), chosen["rank"].to_numpy() - 1] = chosen["other_article"].to_numpy()
    return found


class Systems:
    """All that is compared, as of the start of a week.

    Args:
        history: purchases before it.
        catalogue: of their article codes.
    """

    def __init__(self, history: Purchases, start: date, catalogue: Catalogue, settings: Settings) -> None:
        window = history.between(start - settings.basket_weeks * WEEK, start)
        self._articles, self._product = len(history.article_ids), catalogue.groups["product"]
        units = np.bincount(window.article, minlength=self._articles).astype(np.int32)
        self._shelf = Shelf(units, catalogue.is_listed, catalogue.groups)
        baskets = baskets_of(window.customer, window.day, window.article, self._articles, settings.max_basket_size)
        by_level = rules_by_level(baskets, catalogue, settings)
        self._rules = {level: rules[2].rename({"left_0": "antecedent"}) for level, rules in by_level.items()}
        self._popular = popular_articles(history, start, _DEPTH)
        self._neighbours = CoOccurrence(RecentPurchases(history), start).similar.articles

    def lists(self, with_variants: bool) -> dict[str, Ints]:
        """System -> the first K of each article, (articles, K)."""
        own = self._rules["article"]
        rules = {
            SYSTEM: self._rules,
            "article_rules": {"article": own},
            "by_confidence": {"article": own.with_columns(score="confidence")},
            "by_lift": {"article": own.with_columns(score="lift")},
        }
        found = {
            name: as_lists(lists(some, self._shelf, not with_variants, K), self._articles)
            for name, some in rules.items()
        }
        popular = np.broadcast_to(self._popular, (self._articles, len(self._popular)))
        for name, every in (("co_occurrence", self._neighbours), ("popularity_7d", popular)):
            found[name] = narrowed(every, self._product, with_variants)
        return found


def figures(slice_: str, customers: Ints, hit: dict[str, Floats], seed: int) -> list[Figure]:
    """Hit rates and paired differences, with 95 % customer bootstrap intervals, and the number of baskets."""
    columns = {(name, HIT_RATE): value for name, value in hit.items()}
    columns |= {(SYSTEM, f"{HIT_RATE}_minus_{name}"): hit[SYSTEM] - hit[name] for name in hit if name != SYSTEM}
    values = np.column_stack(list(columns.values()))
    low, high = interval(bootstrap_means(customers, values, seed))
    means = values.mean(axis=0)
    found = [
        Figure(system, slice_, metric, K, float(means[i]), float(low[i]), float(high[i]))
        for i, (system, metric) in enumerate(columns)
    ]
    return [*found, Figure(SYSTEM, slice_, "baskets", 0, float(len(customers)))]


def judged(purchases: Purchases, articles: pa.Table, settings: Settings) -> dict[date | None, list[Figure]]:
    """Every figure of each week, by its start, and of all of them, by None; JobError where no basket holds two."""
    parts: dict[str, list[tuple[Ints, dict[str, Floats]]]] = {name: [] for name in SLICES}
    found: dict[date | None, list[Figure]] = {}
    for start in (settings.as_of_date - j * WEEK for j in range(EVALUATION_FOLDS, 0, -1)):
        history, week = purchases.before(start), purchases.between(start, start + WEEK)
        if not len(history) or not len(week):
            continue
        catalogue, size = catalogue_of(articles, start), len(purchases.article_ids)
        systems = Systems(history, start, catalogue, settings)
        baskets = baskets_of(week.customer, week.day, week.article, size, settings.max_basket_size)
        for name, with_variants in SLICES.items():
            of = asked(baskets, catalogue.groups["product"], with_variants)
            if not len(of.customer):
                continue
            hit = {system: hits(ranked, of) for system, ranked in systems.lists(with_variants).items()}
            found.setdefault(start, []).extend(figures(name, of.customer, hit, settings.seed))
            parts[name].append((of.customer, hit))
    for name, some in parts.items():
        if some:
            customers = np.concatenate([customers for customers, _ in some])
            hit = {system: np.concatenate([its[system] for _, its in some]) for system in some[0][1]}
            found.setdefault(None, []).extend(figures(name, customers, hit, settings.seed))
    if not found:
        raise JobError(
            f"silver/transactions: no basket of two articles in the {EVALUATION_FOLDS} weeks before"
            f" {settings.as_of_date}; nothing to judge"
        )
    return found


def section(pooled: list[Figure]) -> str:
    """The pooled figures as a table of docs/results/baskets.md."""
    value = {(f.system, f.slice, f.metric): f for f in pooled}
    there = [name for name in SLICES if (SYSTEM, name, HIT_RATE) in value]
    counts = ", ".join(f"{value[SYSTEM, name, 'baskets'].value:,.0f} ({name})" for name in there)
    heads = [f"{name}: {what}" for name in there for what in (f"hit rate@{K}", f"{SYSTEM} less it")]
    lines = [f"Baskets: {counts}.", "", f"| list | {' | '.join(heads)} |", "|---" * (1 + len(heads)) + "|"]
    for system in dict.fromkeys(f.system for f in pooled):
        cells = []
        for name in there:
            rate, less = value[system, name, HIT_RATE], value.get((SYSTEM, name, f"{HIT_RATE}_minus_{system}"))
            cells.append(f"{rate.value:.4f} ({rate.ci_low:.4f} to {rate.ci_high:.4f})")
            cells.append(f"{less.value:+.4f} ({less.ci_low:+.4f} to {less.ci_high:+.4f})" if less else "")
        lines.append(f"| {system} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(job: Job) -> str:
    settings = job.settings
    purchases = load_purchases(job, before=settings.as_of_date)
    articles = job.read_arrow(ARTICLES, ["article_id", "delisted_date", *GROUPS.values()]).sort_by("article_id")
    articles = articles.append_column("article_key", pa.array(np.arange(len(articles), dtype=np.int32)))  # their codes
    found = judged(purchases, articles, settings)
    rows = [
        figures_table(some, BASKET_METRICS, as_of_date=settings.as_of_date, fold_start=start, run_id=settings.run_id)
        for start, some in found.items()
    ]
    job.publish(BASKET_METRICS, pa.concat_tables(rows), {"as_of_date": [settings.as_of_date]})
    if settings.write_docs:
        write_section("baskets.md", "basket completion", section(found[None]))
    rates = {(f.system, f.slice): f.value for f in found[None] if f.metric == HIT_RATE}
    said = "; ".join(
        f"{name} " + ", ".join(f"{system} {rate:.4f}" for (system, its), rate in rates.items() if its == name)
        for name in SLICES
    )
    return f"hit rate@{K} of the rest of a basket: {said}"


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES, settings=SETTINGS)
