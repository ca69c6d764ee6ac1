"""Atelier's own way from CSV to feature tables, in one Spark application.

python -m benchmarks.features_atelier DATA WAREHOUSE AS_OF [SNAPSHOTS [WITH_GATES]]
"""

from __future__ import annotations

import sys
import time
from importlib import import_module
from threading import Thread

from jobs.platform.spark import FORK_SECONDS, in_parallel, spark_context


def main() -> None:
    # Java first, as spark-submit has it, then its Python workers; the libraries of the jobs load beside it.
    Thread(target=lambda: in_parallel(spark_context("features"), abs, [0])).start()
    time.sleep(FORK_SECONDS)
    import_module("benchmarks.feature_jobs").run(*sys.argv[1:])


if __name__ == "__main__":
    main()
