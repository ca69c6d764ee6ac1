"""A recommender system under the protocol of the sequence paper: which is each customer's next purchase?

    python -m jobs.evaluation.next_purchase --system gru --as-of-date 2020-09-23

Source: "FOR sequence recommender". Each customer's last event is hidden, everything else is known to the fit, and a hit
is a list that holds the hidden article among its first 1, 5, 10, 50 or 100. This leaks: what others bought *after* the
hidden event is known, such as what became popular only then, and the side features' mean prices are of all purchases,
hidden ones too. So the figures compare systems under
that protocol; how they do on the next week is measured by jobs.evaluation.weekly_protocol.

The paper does not say what an event is, so there is one fit and one row of figures for each reading: `every_unit`, the
last unit (whoever buys two of a size has the answer in the history); `merged_lines`, identical lines of a day are one
event, in the history too; and `last_day`, a whole day is hidden, because the order within one is not known, and any
article of it is a hit. Customers with nothing but what is hidden keep it and are not judged; of the others all last
events are hidden, and a sample of at most MOST_CUSTOMERS, the same for a seed, is judged.

The two-stage model is not judged here: the feature tables count the hidden purchases.

Networks are fitted on one device, the first GPU where there is one; other systems run on the processor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import mlflow
import numpy as np
import numpy.typing as npt

from expectations.embeddings import ARTICLE_EMBEDDINGS
from expectations.evaluation import NEXT_PURCHASE_METRICS
from jobs.evaluation.figures import figures_table
from jobs.evaluation.protocol import Figure
from jobs.metrics.bootstrap import bootstrap_means, interval
from jobs.metrics.ranking_metrics import Floats, Truth, hit_ranks
from jobs.platform.codes import Ints
from jobs.platform.errors import JobError
from jobs.platform.job import Job, run
from jobs.platform.progress import track
from jobs.platform.staging import Slice
from jobs.platform.tracking import start_run
from jobs.ranking.candidate_retrieval import blocks
from jobs.recommenders.events import Reading, events_of
from jobs.recommenders.registry import SYSTEMS
from jobs.recommenders.side_features import OPTIONAL_TABLES
from jobs.recommenders.timed_fit import fitted
from jobs.retrieval.baselines import BASELINES
from jobs.retrieval.purchases import PURCHASE_TABLES, Purchases, load_purchases

READS, WRITES = (*PURCHASE_TABLES, ARTICLE_EMBEDDINGS), (NEXT_PURCHASE_METRICS,)
SETTINGS = (
    "accept_drift",
    "data",
    "mapping",
    "encoder",
    "embedding_dim",
    "keyword_method",
    "system",
    "system_epochs",
    "seed",
    "mlflow_tracking_uri",
)
#: Side features are of what there is.
READS_EARLIER_RUNS = OPTIONAL_TABLES

KS = (1, 5, 10, 50, 100)
#: Customers judged at most, drawn at random.
MOST_CUSTOMERS = 50_000
HIT_RATE = "hit_rate"

Mask = npt.NDArray[np.bool_]


class Hidden(NamedTuple):
    """The purchases cut in two.

    Attributes:
        history: what is known.
        labels: what is hidden, of every customer who has something left.
    """

    history: Purchases
    labels: Purchases


def hide_last_event(purchases: Purchases, reading: Reading) -> Hidden:
    """Hide each customer's last event under a reading of what an event is, and keep what is known in that reading."""
    lines = _lines(purchases)
    is_first = np.diff(lines, prepend=-1) != 0
    if reading == "merged_lines":
        purchases, lines = purchases.where(is_first), lines[is_first]
    events = events_of(purchases, reading)
    last = events.offsets[1:][events.counts > 1] - 1
    is_hidden = np.zeros(len(purchases), dtype=bool)
    hidden = replace(purchases, day=events.day[last], customer=events.customer[last], article=events.article[last])
    is_hidden[np.searchsorted(lines, _lines(hidden, int(purchases.day[0])))] = True
    return _cut(purchases, is_hidden)


def hide_last_day(purchases: Purchases) -> Hidden:
    """Hide all that each customer bought on their last day."""
    first, last = (np.full(len(purchases.customer_ids), -1, dtype=np.int32) for _ in range(2))
    last[purchases.customer] = purchases.day  # ascending days: the last one stays
    first[purchases.customer[::-1]] = purchases.day[::-1]
    customer = purchases.customer
    return _cut(purchases, (purchases.day == last[customer]) & (first < last)[customer])


READINGS: dict[str, Callable[[Purchases], Hidden]] = {
    "every_unit": partial(hide_last_event, reading="every_unit"),
    "merged_lines": partial(hide_last_event, reading="merged_lines"),
    "last_day": hide_last_day,
}


def _lines(purchases: Purchases, first_day: int | None = None) -> npt.NDArray[np.int64]:
    """One number per (day, customer, article), in their order: ascending for all purchases."""
    day = purchases.day - (int(purchases.day[0]) if first_day is None else first_day)
    customers, articles = len(purchases.customer_ids), len(purchases.article_ids)
    return (day.astype(np.int64) * customers + purchases.customer) * articles + purchases.article


def _cut(purchases: Purchases, is_hidden: Mask) -> Hidden:
    return Hidden(purchases.where(~is_hidden), purchases.where(is_hidden))


def sample(labels: Purchases, seed: int) -> Truth:
    """What is hidden of at most MOST_CUSTOMERS customers."""
    customers = np.unique(labels.customer)
    if len(customers) > MOST_CUSTOMERS:
        customers = np.random.default_rng(seed).choice(customers, MOST_CUSTOMERS, replace=False)
        labels = labels.where(np.isin(labels.customer, customers))
    return Truth.of(labels)


def hits(ranked: Ints, truth: Truth) -> Floats:
    """Whether any of each customer's hidden articles is among the first of KS places of the list (n, any): (n, KS)."""
    first = np.searchsorted(truth.buyer, np.arange(len(truth.customers)))
    place = np.minimum.reduceat(hit_ranks(ranked, truth), first)
    return (place[:, None] <= np.array(KS)).astype(np.float64)


def hit_rates(system: str, reading: str, hit: Floats, customers: Ints, seed: int) -> list[Figure]:
    """Hit rate at each of KS, with 95 % customer bootstrap intervals, and the number of customers."""
    low, high = interval(bootstrap_means(customers, hit, seed))
    rates = [
        Figure(system, reading, HIT_RATE, k, float(hit[:, i].mean()), float(low[i]), float(high[i]))
        for i, k in enumerate(KS)
    ]
    return [*rates, Figure(system, reading, "customers", 0, len(hit))]


def judged(job: Job, purchases: Purchases, reading: str) -> list[Figure]:
    """Figures of the system and the baselines under one reading; JobError where no customer bought twice."""
    settings = job.settings
    as_of_date, seed, width = settings.as_of_date, settings.seed, max(KS)
    history, labels = READINGS[reading](purchases)
    if not len(labels):
        raise JobError(f"silver/transactions: no customer bought twice before {as_of_date}; nothing to hide")
    truth = sample(labels, seed)
    fit = fitted(job, history, as_of_date, "every_unit" if reading == "every_unit" else "merged_lines")
    source = fit.model.at(history, as_of_date, width)
    own = [source.of(block).articles for block in track(blocks(truth.customers), f"{settings.system}, {reading}")]
    ranked: dict[str, Ints] = {settings.system: np.concatenate(own)}
    for name, baseline in BASELINES.items():
        ranked[name] = baseline(history, truth.customers, as_of_date, width)
    figures = [Figure(settings.system, reading, "fit_seconds", 0, fit.seconds)]
    for name, lists in ranked.items():
        figures += hit_rates(name, reading, hits(lists, truth), truth.customers, seed)
    fit.forget()
    return figures


def main(job: Job) -> str:
    settings = job.settings
    system, as_of_date = settings.system, settings.as_of_date
    if SYSTEMS[system].takes_job:
        return f"{system} is not judged: it reads tables that know of the purchases that this protocol hides"
    purchases = load_purchases(job, before=as_of_date)
    with start_run(settings, f"{job.name}.{system}"):
        names = ("system", "as_of_date", "system_epochs", "seed", "mapping")
        mlflow.log_params({name: getattr(settings, name) for name in names})
        figures = [figure for reading in READINGS for figure in judged(job, purchases, reading)]
        mlflow.log_metrics(
            {f"{f.system}/{f.slice}/{f.metric}" + (f"_at_{f.k}" if f.k else ""): f.value for f in figures}
        )
        rows = figures_table(
            figures, NEXT_PURCHASE_METRICS, as_of_date=as_of_date, fold_start=None, run_id=settings.run_id
        )
        slices: Slice = {"as_of_date": [as_of_date], "system": [system, *BASELINES]}
        job.publish(NEXT_PURCHASE_METRICS, rows, slices)
    value = {(f.slice, f.metric, f.k): f.value for f in figures if f.system == system}
    rates = [f"{reading} " + "/".join(f"{value[reading, HIT_RATE, k]:.5f}" for k in KS) for reading in READINGS]
    return f"{system}: hit rate @{'/'.join(map(str, KS))}: {'; '.join(rates)}"


if __name__ == "__main__":
    run(main, reads=READS + READS_EARLIER_RUNS, writes=WRITES, settings=SETTINGS)
