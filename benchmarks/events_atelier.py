"""Atelier's own way from the shop's log to its tables.

python -m benchmarks.events_atelier DATA WAREHOUSE [WITH_GATES]
"""

from __future__ import annotations

import sys
from datetime import date

from benchmarks.feature_jobs import without_gates
from jobs.ingest import shop_events
from jobs.platform.job import Job
from jobs.platform.settings import Settings


def main(data: str, warehouse: str, with_gates: str = "1") -> None:
    settings = Settings(as_of_date=date(2020, 9, 23), data=data, warehouse=warehouse)
    if with_gates == "0":
        without_gates()
    job = Job("ingest.shop_events", settings, shop_events.READS, shop_events.WRITES)
    print(shop_events.main(job), flush=True)
    job.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
