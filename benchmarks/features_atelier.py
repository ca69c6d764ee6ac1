"""Atelier's own way from CSV to feature tables, its jobs in one Spark application and in the order of the weekly DAG.

python -m benchmarks.features_atelier DATA WAREHOUSE AS_OF [SNAPSHOTS [WITH_GATES]]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import partial
from importlib import import_module

from expectations.articles import ARTICLES
from expectations.customers import CUSTOMERS
from jobs.features import articles, customers, interactions
from jobs.features.snapshots import publish_snapshots
from jobs.ingest import articles as ingest_articles
from jobs.ingest import customers as ingest_customers
from jobs.ingest import transactions as ingest_transactions
from jobs.platform.job import Job
from jobs.platform.settings import WEEK, Settings


def main(data: str, warehouse: str, as_of: date, snapshots: int = 1, with_gates: int = 1) -> None:
    """Every job the DAG runs before the models: so many weekly snapshots up to an as-of date, and its week."""
    dates = [as_of - n * WEEK for n in range(snapshots)]
    settings = Settings(as_of_date=as_of, data=data, warehouse=warehouse)

    def job(module, main: Callable[[Job], object]):
        name = module.__name__.removeprefix("jobs.")
        one = Job(name, settings, module.READS, module.WRITES)
        return one, partial(_timed, name, partial(main, one))

    take_in, take_in_transactions = job(ingest_transactions, ingest_transactions.main)
    take_in.start_spark()
    import_module("jobs.platform.gates")  # first: jobs that begin meanwhile would only get in its way
    if not with_gates:
        _without_gates()
    of_customers = partial(publish_snapshots, formulas=customers.FORMULAS, entities=CUSTOMERS, dates=dates)
    of_articles = partial(publish_snapshots, formulas=articles.FORMULAS, entities=ARTICLES, dates=dates)
    of_interactions = partial(interactions.publish_weeks, weeks=[as_of - WEEK])
    stages = (
        [job(ingest_articles, ingest_articles.main)[1], job(ingest_customers, ingest_customers.main)[1]],
        [take_in_transactions],
        [job(customers, of_customers)[1], job(articles, of_articles)[1], job(interactions, of_interactions)[1]],
    )
    for stage in stages:  # what does not wait for each other runs at the same time
        with ThreadPoolExecutor(len(stage)) as pool:
            for done in [pool.submit(work) for work in stage]:
                done.result()


def _without_gates() -> None:
    """From here on rows are committed unchecked."""
    from jobs.platform.gates import Audit

    for name, found in (("take", None), ("take_files", None), ("close", {})):
        setattr(Audit, name, lambda *_, found=found: found)


def _timed(name: str, work: Callable[[], object]) -> None:
    begun = time.perf_counter()
    said = work()
    print(f"{name}: {time.perf_counter() - begun:.1f} s, {said}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], date.fromisoformat(sys.argv[3]), *map(int, sys.argv[4:]))
