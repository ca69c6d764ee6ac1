"""Numbered pieces of work, such as the blocks of a file, in Spark's tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pyarrow as pa
from pyspark.sql import DataFrame, Row, SparkSession

#: Gets batches with a column `id`, the numbers of pieces, and returns rows about them.
Kernel = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]


def in_tasks(spark: SparkSession, kernel: Kernel, pieces: int, schema: str) -> DataFrame:
    """What the kernel returns for pieces 0 to `pieces` - 1.

    There are at most as many tasks as a shuffle has partitions: between two tasks a worker pauses for a tenth of a
    second.

    Args:
        spark: the session.
        kernel: what a task does.
        pieces: how many there are, at least one.
        schema: of the kernel's rows, as DDL.
    """
    tasks = min(pieces, int(spark.conf.get("spark.sql.shuffle.partitions") or pieces))
    return spark.range(0, pieces, 1, tasks).mapInArrow(kernel, schema)


def collected(spark: SparkSession, kernel: Kernel, pieces: int, schema: str) -> list[Row]:
    """The same, which is a few rows a piece, in the driver. Without pieces there is nothing, and no task."""
    return in_tasks(spark, kernel, pieces, schema).collect() if pieces else []
