"""The Spark application every Spark job runs in."""

from __future__ import annotations

import gc
import importlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Thread
from typing import TypeVar

from pyspark import SparkConf, SparkContext
from pyspark.sql import SparkSession

Task = TypeVar("Task")
Result = TypeVar("Result")

#: Tasks and shuffle partitions per core: few enough for a small run, and enough that no core waits long for the last.
PARTITIONS_PER_CORE = 8

#: Python workers keep the memory of large arrays that they let go of, since getting it anew costs a page fault for
#: every 4 KiB: a tenth of the time of a job that sorts lines.
_KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": 1 << 30, "MALLOC_TRIM_THRESHOLD_": 1 << 32}

_SETTINGS = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.databricks.delta.snapshotPartitions": "2",
    # A split of the rows by a few values keeps a file open for each, instead of sorting all rows by them.
    "spark.sql.maxConcurrentOutputFileWriters": "64",
    "spark.hadoop.mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.ui.enabled": "false",
}

#: `spark.driver.extraJavaOptions` of a Java that computes itself, by SQL or MLlib (see spark_conf).
SQL_JAVA_OPTIONS = "-XX:TieredStopAtLevel=4"

#: Java is forked off within so many seconds: a fork amid another thread's import ends in a page of warnings.
FORK_SECONDS = 0.2

#: Seconds that a thread has the interpreter before another may have it.
_TURN = sys.getswitchinterval()

#: Options of the driver's Java and its logging; spark-submit reads them before any Python runs, hence a folder.
CONF_DIR = Path(__file__).with_name("spark_conf")


def spark_context(name: str, java_options: str | None = None) -> SparkContext:
    """Start (or join) the application; the master comes from spark-submit, and is `local[*]` without it.

    It runs Python tasks (`in_parallel`). SQL takes seconds more to start: `spark_session`.

    Args:
        name: the application's.
        java_options: of the driver's Java, if this starts it; None: those of spark_conf.
    """
    os.environ.setdefault("SPARK_CONF_DIR", str(CONF_DIR))
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # for what runs in numpy: same libraries as here
    if "jobs.platform.checks" not in sys.modules:
        Thread(target=_load_checks).start()
    settings = _SETTINGS | {f"spark.executorEnv.{variable}": str(value) for variable, value in _KEEP_MEMORY.items()}
    if java_options:
        settings["spark.driver.extraJavaOptions"] = java_options
    return SparkContext.getOrCreate(SparkConf().setAppName(name).setAll(list(settings.items())))


def _load_checks() -> None:
    """Load Great Expectations, which takes as long as Java's start, beside it and whatever the job begins with."""
    time.sleep(FORK_SECONDS)
    # Arrow lets go of the interpreter at each call, and would wait 5 ms each time to get it back from an import.
    sys.setswitchinterval(_TURN / 50)
    gc.disable()
    try:
        importlib.import_module("jobs.platform.checks")
    finally:
        # What that leaves stays, so it is not looked through for garbage, now or at the process's end: two seconds.
        gc.freeze()
        gc.enable()
        sys.setswitchinterval(_TURN)


def spark_session(name: str = "atelier") -> SparkSession:
    """The application's SQL session; started if need be."""
    context = spark_context(name, SQL_JAVA_OPTIONS)
    session = SparkSession.builder.getOrCreate()
    session.conf.set("spark.sql.shuffle.partitions", str(context.defaultParallelism * PARTITIONS_PER_CORE))
    return session


def in_parallel(context: SparkContext, work: Callable[[Task], Result], tasks: Sequence[Task]) -> list[Result]:
    """`work` of every task, somewhere in the cluster.

    Results come back to the driver, so they must be small: paths, counts. `work` may be run again where a machine is
    lost, so what it writes may only count once its result is there (Staged.write).
    """
    if not tasks:
        return []
    # A task costs Spark some 50 ms, whatever it does: small ones go together.
    slices = min(len(tasks), context.defaultParallelism * PARTITIONS_PER_CORE)
    return context.parallelize(tasks, slices).map(work).collect()
