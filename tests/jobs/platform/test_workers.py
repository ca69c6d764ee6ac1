"""Spark's Python workers on one machine."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING

from jobs.platform.spark import in_parallel

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_workers_begin_with_their_libraries(spark: SparkSession) -> None:
    """Loaded before the fork, and left alone by the garbage collection after each task."""

    def found(_: int) -> tuple[bool, int]:
        return "jobs.platform.measures" in sys.modules, gc.get_freeze_count()

    ((is_loaded, frozen),) = in_parallel(spark.sparkContext, found, [0])
    assert is_loaded and frozen > 10_000
