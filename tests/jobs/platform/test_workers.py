"""Spark's Python workers on one machine."""

from __future__ import annotations

import gc
import subprocess
import sys
from socket import socketpair
from typing import TYPE_CHECKING

import pytest

from jobs.platform import workers
from jobs.platform.spark import in_parallel

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_workers_begin_with_their_libraries(spark: SparkSession) -> None:
    """Loaded before the fork, and left alone by the garbage collection after each task."""

    def found(_: int) -> tuple[bool, int]:
        return "jobs.platform.measures" in sys.modules, gc.get_freeze_count()

    ((is_loaded, frozen),) = in_parallel(spark.sparkContext, found, [0])
    assert is_loaded and frozen > 10_000


def test_java_that_is_gone_ends_the_tasks_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    def tasks(connection, is_authenticated):
        while True:
            connection.send(b"result")

    monkeypatch.setattr(workers, "_tasks_of", tasks)
    ours, java = socketpair()
    with ours:
        java.close()
        assert workers._tasks_until_java_goes(ours, True) == 1


def test_workers_are_reached_without_a_port(spark: SparkSession) -> None:
    assert spark.sparkContext.getConf().get("spark.python.unix.domain.socket.enabled") == "true"


def test_java_computes_with_its_optimising_compiler_where_sql_is_asked_for(spark: SparkSession) -> None:
    system = spark.sparkContext._jvm.java.lang.management.ManagementFactory.getRuntimeMXBean()
    options = list(system.getInputArguments())
    assert "-XX:TieredStopAtLevel=4" in options and "-XX:+UseParallelGC" in options


def test_java_that_carries_tasks_starts_without_it() -> None:
    script = (
        "from jobs.platform.spark import spark_context\n"
        "java = spark_context('tasks')._jvm.java.lang.management.ManagementFactory.getRuntimeMXBean()\n"
        "print([option for option in java.getInputArguments() if 'Tiered' in option])\n"
    )
    done = subprocess.run([sys.executable, "-"], input=script, capture_output=True, text=True, check=False)
    assert "['-XX:TieredStopAtLevel=1']" in done.stdout, done.stderr
