"""Atelier's own way from CSV to feature tables, in one Spark application.

python -m benchmarks.features_atelier DATA WAREHOUSE AS_OF [SNAPSHOTS [WITH_GATES]]
"""

from __future__ import annotations

import sys

from benchmarks.feature_jobs import run
from jobs.platform.spark import spark_session


def main() -> None:
    run(*sys.argv[1:])
    spark_session().stop()


if __name__ == "__main__":
    main()
