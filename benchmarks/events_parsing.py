"""How JSON lines become columns within Spark: by the tasks' own DuckDB, by Spark's from_json, by Polars.

python -m benchmarks.events_parsing [EVENTS]

Of the same log in blocks of the same size, with one line of fifty broken; each way hands a row count back, so that
columns are made and nothing is written. The ways take turns; the first turn, which starts workers, does not count.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median

import polars as pl
import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from benchmarks import events_log
from jobs.ingest.events.reading import BROKEN, json_frame
from jobs.platform.spark import spark_session

TURNS = 3
_COLUMNS = tuple(events_log.LOG.source_columns)
_BROKEN_EVERY = 50


def broken(folder: Path) -> None:
    """Cut a line of fifty short, as a crash of the shop's logger does."""
    for file in folder.rglob("*.jsonl"):
        lines = file.read_bytes().splitlines(keepends=True)
        lines[::_BROKEN_EVERY] = [line[: len(line) // 2] + b"\n" for line in lines[::_BROKEN_EVERY]]
        file.write_bytes(b"".join(lines))


def _counts(parse: Callable[[bytes], tuple[int, int]], files: list[str], tasks: Iterator[pa.RecordBatch]) -> Iterator:
    for number in (row for batch in tasks for row in batch["id"].to_pylist()):
        read, bad = parse(Path(files[number]).read_bytes())
        yield pa.RecordBatch.from_pydict({"good": [read], "bad": [bad]})


def by_duckdb(text: bytes) -> tuple[int, int]:
    frame = json_frame(text, 1, _COLUMNS, None)
    return int(frame[BROKEN].null_count()), len(frame) - int(frame[BROKEN].null_count())


def by_polars(text: bytes) -> tuple[int, int]:
    """Whole blocks; where one has a broken line Polars names none, so that these are found line by line first."""
    schema = dict.fromkeys(_COLUMNS, pl.String)
    try:
        return len(pl.read_ndjson(text, schema=schema)), 0
    except pl.exceptions.PolarsError:
        import json

        def is_object(line: bytes) -> bool:
            try:
                return isinstance(json.loads(line), dict)
            except ValueError:
                return False

        lines = text.splitlines(keepends=True)
        good = [line for line in lines if is_object(line)]
        return len(pl.read_ndjson(b"".join(good), schema=schema)), len(lines) - len(good)


def in_tasks(spark: SparkSession, files: list[str], parse: Callable[[bytes], tuple[int, int]]) -> tuple[int, int]:
    kernel = partial(_counts, parse, files)
    tasks = spark.range(0, len(files), 1, len(files)).mapInArrow(kernel, "good bigint, bad bigint")  # type: ignore[arg-type]
    row = tasks.agg(F.sum("good"), F.sum("bad")).first()
    assert row is not None
    return row[0], row[1]


def by_from_json(spark: SparkSession, files: list[str]) -> tuple[int, int]:
    """As texts, of which Arrow batches go on to the tasks' Python: what follows takes columns from there."""
    schema = ", ".join(f"`{name}` STRING" for name in _COLUMNS)
    parsed = spark.read.text(files).select(F.from_json("value", schema + ", broken STRING", _OPTIONS).alias("o"))
    kernel = _arrived
    row = parsed.select("o.*").mapInArrow(kernel, "good bigint, bad bigint").agg(F.sum("good"), F.sum("bad")).first()
    assert row is not None
    return row[0], row[1]


_OPTIONS = {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": "broken"}


def _arrived(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        good = batch["broken"].null_count
        yield pa.RecordBatch.from_pydict({"good": [good], "bad": [len(batch) - good]})


def main(events: int = 2_000_000) -> None:
    with tempfile.TemporaryDirectory(prefix="atelier-bench-", dir=Path.cwd()) as folder:
        events_log.write(Path(folder), events)
        broken(Path(folder))
        files = []
        for file in sorted(Path(folder).rglob("*.jsonl")):
            lines = file.read_bytes().splitlines(keepends=True)
            for number in range(0, len(lines), 125_000):
                files.append(str(file.with_name(f"{file.stem}-{number:07d}.part")))
                Path(files[-1]).write_bytes(b"".join(lines[number : number + 125_000]))
        spark = spark_session()
        ways: dict[str, Callable[[], tuple[int, int]]] = {
            "tasks' DuckDB": lambda: in_tasks(spark, files, by_duckdb),
            "Spark's from_json": lambda: by_from_json(spark, files),
            "tasks' Polars": lambda: in_tasks(spark, files, by_polars),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        found = {}
        for _ in range(TURNS + 1):
            for name, way in ways.items():
                started = time.perf_counter()
                found[name] = way()
                seconds[name].append(time.perf_counter() - started)
        for name, all_of in seconds.items():
            print(f"{name}: {median(all_of[1:]):.1f} s (rows, broken lines: {found[name]})", flush=True)
        spark.stop()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
