"""Numbered pieces in Spark's tasks."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pytest
from pyspark import TaskContext
from pyspark.sql import SparkSession

from jobs.platform.tasks import collected

SEEN = "piece bigint, task bigint"


def seen(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Each piece, and the task that did it."""
    context = TaskContext.get()
    assert context is not None
    for batch in batches:
        yield pa.RecordBatch.from_pydict({"piece": batch["id"], "task": [context.partitionId()] * len(batch)})


@pytest.mark.parametrize("pieces", [1, 3, 50])
def test_each_piece_is_done_once_by_as_many_tasks_as_a_shuffle_has(spark: SparkSession, pieces: int) -> None:
    found = collected(spark, seen, pieces, SEEN)
    assert sorted(row.piece for row in found) == list(range(pieces))
    assert len({row.task for row in found}) == min(pieces, int(spark.conf.get("spark.sql.shuffle.partitions") or 0))


def test_without_pieces_there_is_nothing(spark: SparkSession) -> None:
    assert collected(spark, seen, 0, SEEN) == []
