"""Atelier's own way from CSV to feature tables, its jobs in one Spark application and in the order of the weekly DAG.

python -m benchmarks.features_atelier DATA WAREHOUSE AS_OF [SNAPSHOTS]
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import partial
from threading import get_ident

from expectations.articles import ARTICLES
from expectations.customers import CUSTOMERS
from jobs.features import articles, customers, interactions
from jobs.features.snapshots import publish_snapshots
from jobs.ingest import articles as ingest_articles
from jobs.ingest import customers as ingest_customers
from jobs.ingest import transactions as ingest_transactions
from jobs.platform.job import Job
from jobs.platform.settings import WEEK, Settings

#: Seconds of the gates' calls by the thread that made them, which runs one job.
IN_GATES: dict[int, float] = defaultdict(float)


def main(data: str, warehouse: str, as_of: date, snapshots: int = 1) -> None:
    """Every job the DAG runs before the models: so many weekly snapshots up to an as-of date, and its week."""
    dates = [as_of - n * WEEK for n in range(snapshots)]
    settings = Settings(as_of_date=as_of, data=data, warehouse=warehouse)

    def job(module, main: Callable[[Job], object]):
        name = module.__name__.removeprefix("jobs.")
        one = Job(name, settings, module.READS, module.WRITES)
        return one, partial(_timed, name, partial(main, one))

    take_in, take_in_transactions = job(ingest_transactions, ingest_transactions.main)
    take_in.start_spark()
    of_customers = partial(publish_snapshots, formulas=customers.FORMULAS, entities=CUSTOMERS, dates=dates)
    of_articles = partial(publish_snapshots, formulas=articles.FORMULAS, entities=ARTICLES, dates=dates)
    of_interactions = partial(interactions.publish_weeks, weeks=[as_of - WEEK])
    stages = (
        [_time_gates, job(ingest_articles, ingest_articles.main)[1], job(ingest_customers, ingest_customers.main)[1]],
        [take_in_transactions],
        [job(customers, of_customers)[1], job(articles, of_articles)[1], job(interactions, of_interactions)[1]],
    )
    for stage in stages:  # what does not wait for each other runs at the same time
        with ThreadPoolExecutor(len(stage)) as pool:
            for done in [pool.submit(work) for work in stage]:
                done.result()


def _time_gates() -> None:
    """Note the seconds of every call of the gates from here on; loading them takes as long as starting Spark."""
    from jobs.platform.gates import Audit

    def timed(gate):
        def call(*args):
            begun = time.perf_counter()
            try:
                return gate(*args)
            finally:
                IN_GATES[get_ident()] += time.perf_counter() - begun

        return call

    for name in ("take", "take_files", "close"):
        setattr(Audit, name, timed(getattr(Audit, name)))


def _timed(name: str, work: Callable[[], object]) -> None:
    begun = time.perf_counter()
    said = work()
    seconds = time.perf_counter() - begun
    print(f"{name}: {seconds:.1f} s, of it gates {IN_GATES.pop(get_ident(), 0):.1f} s, {said}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], date.fromisoformat(sys.argv[3]), *map(int, sys.argv[4:]))
