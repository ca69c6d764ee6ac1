"""Every job the weekly DAG runs before the models, in its order."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import partial

from jobs.features import articles, customers, interactions
from jobs.features.snapshots import publish_snapshots
from jobs.ingest import articles as ingest_articles
from jobs.ingest import customers as ingest_customers
from jobs.ingest import transactions as ingest_transactions
from jobs.platform.job import Job
from jobs.platform.settings import WEEK, Settings
from jobs.platform.spark import spark_session


def run(data: str, warehouse: str, as_of_date: str, snapshots: str = "1", with_gates: str = "1") -> None:
    """So many weekly snapshots up to an as-of date, and its week."""
    as_of = date.fromisoformat(as_of_date)
    dates = [as_of - n * WEEK for n in range(int(snapshots))]
    settings = Settings(as_of_date=as_of, data=data, warehouse=warehouse)
    if with_gates == "0":
        without_gates()

    def job(module, main: Callable[[Job], object]) -> Callable[[], None]:
        name = module.__name__.removeprefix("jobs.")
        return partial(_timed, name, partial(main, Job(name, settings, module.READS, module.WRITES)))

    of_customers = partial(publish_snapshots, spec=customers.SPEC, dates=dates)
    of_articles = partial(publish_snapshots, spec=articles.SPEC, dates=dates)
    of_interactions = partial(interactions.publish_weeks, weeks=[as_of - WEEK])
    stages = (
        [spark_session, job(ingest_articles, ingest_articles.main), job(ingest_customers, ingest_customers.main)],
        [job(ingest_transactions, ingest_transactions.main)],
        [job(customers, of_customers), job(articles, of_articles), job(interactions, of_interactions)],
    )
    for stage in stages:  # what does not wait for each other runs at the same time
        with ThreadPoolExecutor(len(stage)) as pool:
            for done in [pool.submit(work) for work in stage]:
                done.result()


def without_gates() -> None:
    """From here on rows are committed unchecked."""
    from jobs.platform.gates import Audit

    Audit.run = lambda self: {}  # type: ignore[method-assign]


def _timed(name: str, work: Callable[[], object]) -> None:
    begun = time.perf_counter()
    said = work()
    print(f"{name}: {time.perf_counter() - begun:.1f} s, {said}", flush=True)
