"""Atelier's own way from CSV to feature tables, its jobs one after the other in one Spark application.

python -m benchmarks.features_atelier DATA WAREHOUSE AS_OF [SNAPSHOTS]
"""

from __future__ import annotations

import sys
import time
from datetime import date
from functools import partial

from expectations.articles import ARTICLES
from expectations.customers import CUSTOMERS
from jobs.features import articles, customers, interactions
from jobs.features.snapshots import publish_snapshots
from jobs.ingest import articles as ingest_articles
from jobs.ingest import customers as ingest_customers
from jobs.ingest import transactions as ingest_transactions
from jobs.platform.gates import Audit
from jobs.platform.job import Job
from jobs.platform.settings import WEEK, Settings

#: Seconds of the gates' calls.
IN_GATES: list[float] = []


def main(data: str, warehouse: str, as_of: date, snapshots: int = 1) -> None:
    """Every job the DAG runs before the models: so many weekly snapshots up to an as-of date, and its week."""
    _time_gates()
    dates = [as_of - n * WEEK for n in range(snapshots)]
    settings = Settings(as_of_date=as_of, data=data, warehouse=warehouse)
    for module in (ingest_articles, ingest_customers, ingest_transactions):
        job = Job(module.__name__.removeprefix("jobs."), settings, module.READS, module.WRITES)
        _timed(job.name, lambda module=module, job=job: module.main(job))
    for module, entities in ((customers, CUSTOMERS), (articles, ARTICLES)):
        job = Job(module.__name__.removeprefix("jobs."), settings, module.READS, module.WRITES)
        _timed(job.name, partial(publish_snapshots, job, module.FORMULAS, entities, dates))
    job = Job("features.interactions", settings, interactions.READS, interactions.WRITES)
    _timed(job.name, partial(interactions.publish_weeks, job, [as_of - WEEK]))
    print(f"all gates: {sum(IN_GATES):.1f} s", flush=True)


def _time_gates() -> None:
    """Note the seconds of every call of the gates from here on."""

    def timed(gate):
        def call(*args):
            begun = time.perf_counter()
            try:
                return gate(*args)
            finally:
                IN_GATES.append(time.perf_counter() - begun)

        return call

    for name in ("take", "take_files", "close"):
        setattr(Audit, name, timed(getattr(Audit, name)))


def _timed(name, work) -> None:
    begun, before = time.perf_counter(), sum(IN_GATES)
    said = work()
    seconds, gates = time.perf_counter() - begun, sum(IN_GATES) - before
    print(f"{name}: {seconds:.1f} s, of it gates {gates:.1f} s, {said}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], date.fromisoformat(sys.argv[3]), *map(int, sys.argv[4:]))
