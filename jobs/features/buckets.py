"""What Spark's tasks do of a feature table: cut rows into buckets, and compute a bucket. Workers import no more.

Rows travel through Spark's shuffle as Arrow streams of a bucket's part: row by row it would cost several times all that
is computed of them here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from io import BytesIO
from typing import cast

import polars as pl
import pyarrow as pa

from jobs.features.spec import DAY, LINE, FeatureSpec, rows, snapshots
from jobs.platform.data_files import DataFile
from jobs.platform.staging import Staged

#: What travels: a bucket, which table the part is of, and the part.
PART = "bucket int, kind string, part binary"
LINES, IDS = "lines", "ids"

Batches = Iterator[pa.RecordBatch]


def cut(
    lines: Sequence[DataFile], ids: Sequence[DataFile], end: date, spec: FeatureSpec, buckets: int, tasks: Batches
) -> Batches:
    """Read the files whose positions are given, and cut what they hold into buckets: lines before `end`, keys and ids.

    Args:
        lines: files of the transactions.
        ids: files of the entities, whose positions are those after.
        end: as-of date.
        spec: the table's.
        buckets: how many.
        tasks: positions.
    """
    for position in (row for batch in tasks for row in batch["id"].to_pylist()):
        if position < len(lines):
            rows = _frame(lines[position].read(LINE)).filter(pl.col(DAY) < end)
            yield from _cut(LINES, rows, spec.key, buckets)
        else:
            rows = _frame(ids[position - len(lines)].read([spec.key, spec.id]))
            yield from _cut(IDS, rows, spec.key, buckets)


def _frame(table: pa.Table) -> pl.DataFrame:
    return cast(pl.DataFrame, pl.from_arrow(table))


def _cut(kind: str, rows: pl.DataFrame, key: str, buckets: int) -> Batches:
    by_bucket = rows.with_columns(bucket=pl.col(key) % buckets).partition_by("bucket", as_dict=True, include_key=False)
    for (bucket,), part in by_bucket.items():
        stream = BytesIO()
        part.write_ipc_stream(stream)
        yield pa.RecordBatch.from_arrays(
            [pa.array([bucket], pa.int32()), pa.array([kind]), pa.array([stream.getvalue()], pa.binary())],
            ["bucket", "kind", "part"],
        )


def stage_snapshots(spec: FeatureSpec, dates: Sequence[date], staged: Staged, batches: Batches) -> Batches:
    """Compute all dates of one bucket and write them as files of the table; a row with the path of each."""
    parts: dict[str, list[pl.DataFrame]] = {LINES: [], IDS: []}
    for batch in batches:
        for kind, part in zip(batch["kind"].to_pylist(), batch["part"], strict=True):
            parts[kind].append(pl.read_ipc_stream(BytesIO(part.as_buffer())))
    if not parts[LINES]:
        return
    ids, lines = pl.concat(parts[IDS]), pl.concat(parts[LINES])
    for day, features in snapshots(lines, dates, spec):
        path = staged.write(rows(features, ids, spec), as_of_date=day.isoformat())
        yield pa.RecordBatch.from_pydict({"path": [path]})
