"""The job reports.business_metrics: the first week's run with all weeks before it, or another week's.

python -m benchmarks.reports_atelier WAREHOUSE AS_OF
"""

from __future__ import annotations

import sys

from jobs.platform.job import Job
from jobs.platform.settings import Settings
from jobs.platform.spark import spark_session
from jobs.reports import business_metrics


def main(warehouse: str, as_of_date: str) -> None:
    settings = Settings(as_of_date=as_of_date, warehouse=warehouse)  # type: ignore[arg-type]
    reads = business_metrics.READS + business_metrics.READS_EARLIER_RUNS
    print(business_metrics.main(Job("reports.business_metrics", settings, reads, business_metrics.WRITES)))
    spark_session().stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
