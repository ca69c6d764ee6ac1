"""What arranging ranked lists costs and gains (jobs.ranking.arrange), one limit at a time.

    python -m jobs.evaluation.arrangement --as-of-date 2020-09-23 --write-docs true

The candidates that a run of a week before the as-of date ranked are arranged in several ways, and judged on what was
bought in the week since. Both table and picture go to docs/results/two_stage.md with `write_docs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING, NamedTuple

import mlflow
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.articles import ARTICLES
from expectations.embeddings import ARTICLE_EMBEDDINGS
from expectations.recommendations import CANDIDATES, MAX_RECOMMENDATIONS
from jobs.evaluation.docs_section import IMAGES, write_section
from jobs.evaluation.protocol import HEADLINE_K
from jobs.metrics.bootstrap import bootstrap_means, interval
from jobs.metrics.ranking_metrics import Truth, average_precision, hit_ranks
from jobs.platform.codes import NO_ARTICLE, Ints
from jobs.platform.errors import JobError
from jobs.platform.job import Job, run
from jobs.platform.settings import WEEK
from jobs.platform.tracking import start_run
from jobs.ranking.arrange import (
    ARRANGEMENT,
    NEW_DAYS,
    Arrangement,
    Demand,
    Goods,
    arranged,
    arrangement_of,
    eligible,
    image_directions,
)
from jobs.retrieval.images import image_embeddings, slice_of
from jobs.retrieval.purchases import PURCHASE_TABLES, Purchases, day_number, encode, load_purchases

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

READS, WRITES = (*PURCHASE_TABLES, ARTICLE_EMBEDDINGS), ()
SETTINGS = ("encoder", "seed", "write_docs", "mlflow_tracking_uri", *ARRANGEMENT)
#: What a run of a week ago ranked.
READS_EARLIER_RUNS = (CANDIDATES,)

PAGE, SECTION, PICTURE = "two_stage.md", "arrangement", "arrangement.png"
RANKED, AS_SET = "as ranked", "the settings of this run"
ALL = MAX_RECOMMENDATIONS
#: What is tried, one limit at a time.
WAYS: Mapping[str, Arrangement] = {
    RANKED: Arrangement(ALL),
    **{f"at most {n} variants": Arrangement(n) for n in (3, 2, 1)},
    **{f"new arrivals {share:.0%}": Arrangement(ALL, new_arrivals_share=share) for share in (0.08, 0.17, 0.25)},
    **{f"diversity {weight:g}": Arrangement(ALL, diversity=weight) for weight in (0.05, 0.1, 0.2)},
    **{
        f"no article in over {share:.0%} of lists": Arrangement(ALL, max_article_share=share)
        for share in (0.3, 0.1, 0.03)
    },
}
TOP = 20
#: Customers arranged together.
TOGETHER = 8192


class Outcome(NamedTuple):
    """What a way of arranging does: MAP@12, its difference to the ranker's order with interval, and what is shown."""

    ap: float
    minus: tuple[float, float, float]
    products: float
    new: float
    top: float
    coverage: float
    distance: float


def listed(job: Job, purchases: Purchases, start: date) -> tuple[Ints, Ints]:
    """Customers, ascending, and their candidates as of a date, (n, MAX_RECOMMENDATIONS); JobError without any."""
    columns = ["customer_id", "rank", "article_id"]
    rows = job.read_arrow(CANDIDATES, columns, where={"as_of_date": [start]})
    if not rows.num_rows:
        raise JobError(f"{CANDIDATES.path} has nothing as of {start}; run the weekly DAG as of that date first")
    customers, row = np.unique(encode(rows["customer_id"], purchases.customer_ids, "customer"), return_inverse=True)
    lists = np.full((len(customers), MAX_RECOMMENDATIONS), NO_ARTICLE, dtype=np.int32)
    lists[row, rows["rank"].to_numpy() - 1] = encode(rows["article_id"], purchases.article_ids, "article")
    return customers.astype(np.int32), lists


def goods_of(job: Job, history: Purchases, start: date) -> Goods:
    """What arranging needs to know of the articles."""
    first = np.full(len(history.article_ids), day_number(start))
    first[history.article[::-1]] = history.day[::-1]
    encoder = slice_of(job, job.settings.encoder)
    images = image_directions(image_embeddings(job, history.article_ids, encoder))
    return Goods(history.products(), first >= day_number(start - timedelta(days=NEW_DAYS)), images)


def shown(lists: Ints, goods: Goods, asked: Arrangement, seed: int) -> Ints:
    """The lists arranged, (n, 12)."""
    draws = np.random.default_rng(seed).random(len(lists), dtype=np.float32)
    demand = Demand(len(goods.product), lists.shape[1])
    row, column = np.nonzero(lists != NO_ARTICLE)
    demand.add(lists[row, column], column.astype(np.int32))
    limits = demand.limits(len(lists), asked.max_article_share)
    parts = []
    for start in range(0, len(lists), TOGETHER):
        some = slice(start, start + TOGETHER)
        fits = eligible(lists[some], draws[some], limits)
        columns = arranged(lists[some], goods, asked, HEADLINE_K, fits)
        found = np.take_along_axis(lists[some], np.maximum(columns, 0), axis=1)
        parts.append(np.where(columns < 0, NO_ARTICLE, found))
    return np.concatenate(parts)


def distance_to_history(lists: Ints, customers: Ints, history: Purchases, group: Ints) -> float:
    """Mean over customers with history of how far a list's shares of groups are from their purchases' (0 to 1).

    Half the sum of absolute differences; see Steck, Calibrated Recommendations, RecSys 2018.
    """
    size = int(group.max(initial=0)) + 1
    row_of = np.full(len(history.customer_ids), -1)
    row_of[customers] = np.arange(len(customers))
    row = row_of[history.customer]
    own = np.bincount((row * size + group[history.article])[row >= 0], minlength=len(customers) * size)
    row, column = np.nonzero(lists != NO_ARTICLE)
    theirs = np.bincount(row * size + group[lists[row, column]], minlength=len(customers) * size)
    own, theirs = (units.reshape(len(customers), size) for units in (own, theirs))
    has = own.sum(axis=1) > 0
    shares = [units[has] / np.maximum(units[has].sum(axis=1, keepdims=True), 1) for units in (own, theirs)]
    far = np.abs(shares[0] - shares[1]).sum(axis=1) / 2
    return float(far.mean()) if len(far) else 0.0


def outcomes(
    customers: Ints,
    lists: Ints,
    history: Purchases,
    labels: Purchases,
    goods: Goods,
    department: Ints,
    ways: Mapping[str, Arrangement],
    seed: int,
) -> dict[str, Outcome]:
    """What each way does to the lists of all customers, and to MAP@12 of those who bought.

    Args:
        customers, lists: who has candidates, ascending, (n,), and these, best first, (n, w).
        department: code of each article's, (articles,).
        ways: RANKED first.
    """
    truth = Truth.of(labels)
    where = np.minimum(np.searchsorted(customers, truth.customers), len(customers) - 1)
    is_listed = customers[where] == truth.customers
    on_sale = max(int(history.articles_on_sale().sum()), 1)
    ranked = np.zeros(0)
    found: dict[str, Outcome] = {}
    for name, asked in ways.items():
        made = shown(lists, goods, asked, seed)
        theirs = np.where(is_listed[:, None], made[where], NO_ARTICLE)
        ap = average_precision(hit_ranks(theirs, truth), truth, HEADLINE_K)
        ranked = ap if name == RANKED else ranked
        low, high = interval(bootstrap_means(truth.customers, (ap - ranked)[:, None], seed))
        is_some = made != NO_ARTICLE
        counts = np.sort(np.bincount(made[is_some]))[::-1]
        products = np.sort(np.where(is_some, goods.product[np.maximum(made, 0)], -1), axis=1)
        distinct = ((np.diff(products, axis=1, prepend=-1) != 0) & (products >= 0)).sum(axis=1)
        found[name] = Outcome(
            ap=float(ap.mean()),
            minus=(float((ap - ranked).mean()), float(low[0]), float(high[0])),
            products=float(distinct.mean()),
            new=float((goods.is_new[np.maximum(made, 0)] & is_some).sum(axis=1).mean()),
            top=float(counts[:TOP].sum() / counts.sum()),
            coverage=float(np.count_nonzero(counts) / on_sale),
            distance=distance_to_history(made, customers, history, department),
        )
    return found


def report_text(found: Mapping[str, Outcome], customers: int, buyers: int, start: date) -> str:
    """The generated section, as Markdown."""
    rows = [
        f"| {name} | {of.ap:.4f} | "
        + ("" if name == RANKED else f"{of.minus[0]:+.4f} ({of.minus[1]:+.4f} to {of.minus[2]:+.4f})")
        + f" | {of.products:.1f} | {of.new:.2f} | {of.top:.0%} | {of.coverage:.1%} | {of.distance:.3f} |"
        for name, of in found.items()
    ]
    return "\n".join(
        [
            f"Lists of {customers:,} customers as of {start}, judged on the {buyers:,} who bought in the week since.",
            "",
            f"| lists | MAP@{HEADLINE_K} | less as ranked | distinct products of {HEADLINE_K} | new arrivals | "
            f"picks of the {TOP} most shown | articles shown, of those on sale | distance to own departments |",
            "|" + "---|" * 8,
            *rows,
            "",
            f"![What each limit costs and gains]({IMAGES}/{PICTURE})",
        ]
    )


def picture(found: Mapping[str, Outcome]) -> Picture:
    """The price in MAP@12 of each way beside its gains."""
    from matplotlib.figure import Figure as Picture

    drawn = Picture(figsize=(13, 2 * (0.9 + 0.3 * len(found))), layout="constrained")
    names = list(found)[::-1]
    of = [found[name] for name in names]
    gains = {
        f"distinct products of {HEADLINE_K}": [o.products for o in of],
        f"new arrivals of {HEADLINE_K}": [o.new for o in of],
        f"picks of the {TOP} most shown": [o.top for o in of],
        "articles shown, of those on sale": [o.coverage for o in of],
        "distance to own departments": [o.distance for o in of],
    }
    price, *others = drawn.subplots(2, 3, sharey=True).flat
    errors = np.array([[o.minus[0] - o.minus[1], o.minus[2] - o.minus[0]] for o in of]).T
    price.barh(names, [o.minus[0] for o in of], xerr=errors, color="#c46a1b", ecolor="#7a7a7a")
    price.axvline(0, color="#7a7a7a", linewidth=0.8)
    price.set(title=f"MAP@{HEADLINE_K} less as ranked")
    for axes, (title, values) in zip(others, gains.items(), strict=True):
        axes.bar_label(axes.barh(names, values, color="#24527a"), fmt="%.2f", padding=2, fontsize=7)
        axes.set(title=title, xlim=(0, 1.15 * max(values)))
    return drawn


def main(job: Job) -> str:
    settings = job.settings
    start = settings.as_of_date - WEEK
    purchases = load_purchases(job, before=settings.as_of_date)
    history, labels = purchases.before(start), purchases.between(start, settings.as_of_date)
    if not len(labels):
        raise JobError(
            f"silver/transactions: nothing bought in the week before {settings.as_of_date}; nothing to judge"
        )
    customers, lists = listed(job, purchases, start)
    rows = job.read_arrow(ARTICLES, ["article_id", "department_name"])
    rows = rows.take(pc.index_in(purchases.article_ids, value_set=rows["article_id"].combine_chunks()))
    names = rows["department_name"].cast(pa.string()).combine_chunks()
    department = names.dictionary_encode(null_encoding="encode").indices.to_numpy().astype(np.int32)
    ways = {**WAYS, AS_SET: arrangement_of(settings)}
    goods = goods_of(job, history, start)
    found = outcomes(customers, lists, history, labels, goods, department, ways, settings.seed)
    text = report_text(found, len(customers), len(np.unique(labels.customer)), start)
    drawn = picture(found)
    with start_run(settings, job.name):
        mlflow.log_text(text, "arrangement.md")
        mlflow.log_figure(drawn, PICTURE)
    if settings.write_docs:
        write_section(PAGE, SECTION, text, {PICTURE: drawn})
    plain, chosen = found[RANKED], found[AS_SET]
    return (
        f"MAP@{HEADLINE_K} {plain.ap:.4f} as ranked, {chosen.minus[0]:+.4f} with the settings; distinct products "
        f"{plain.products:.1f} and {chosen.products:.1f} of {HEADLINE_K}; the {TOP} most shown have {plain.top:.0%} "
        f"and {chosen.top:.0%} of all picks"
    )


if __name__ == "__main__":
    run(main, reads=READS + READS_EARLIER_RUNS, writes=WRITES, settings=SETTINGS)
