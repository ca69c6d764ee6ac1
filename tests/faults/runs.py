"""Real processes that publish a table as a job does: started quickly, slowed down, killed, or short of disk space."""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from importlib import import_module
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from deltalake import DeltaTable

from expectations.contract import Column, Contract
from expectations.registry import CONTRACTS
from jobs.platform.job import Job, run
from jobs.platform.schemas import arrow_schema
from jobs.platform.warehouse import Warehouse
from tests.jobs.platform.things import ungated

#: The job that the runs pass themselves off as.
JOB = str(Path(__file__).resolve().parents[2] / "jobs" / "publish" / "recommendations.py")
DAY, WEEK_BEFORE = date(2020, 9, 16), date(2020, 9, 9)
SECONDS = 180

#: Each run is forked from a process that has loaded everything, once, and started no thread.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.faults.runs"])
_MAIN = sys.modules["__main__"]
if not hasattr(_MAIN, "__file__"):  # in that process; pyspark would take it for a doctest and end it
    _MAIN.__file__ = JOB
    import_module("jobs.platform.checks")


def rows_of(contract: Contract, day: date = DAY, count: int = 5, seed: int = 0) -> pa.Table:
    """Rows of one slice that obey the contract; other rows for another seed."""
    random = np.random.default_rng(seed)
    if contract.key and set(contract.key) <= set(contract.partition_by):
        count = 1
    columns = [_values(column, contract, day, count, random) for column in contract.columns]
    return pa.Table.from_arrays([pa.array(values) for values in columns], contract.column_names).cast(
        arrow_schema(contract)
    )


def _values(column: Column, contract: Contract, day: date, count: int, random: np.random.Generator) -> list[Any]:
    if column.name in contract.partition_by:
        # Days of different weeks are different slices, whatever the table is cut by.
        names = column.allowed or (f"{day}",)
        return [day if column.type == "date" else names[(day - DAY).days % len(names)]] * count
    if column.allowed:
        return [column.allowed[0]] * count
    if column.type == "date" and column.name in contract.key:
        return [day - timedelta(weeks=n) for n in range(count)]
    if column.name in contract.key or column.is_unique:
        return [f"{n:064x}" for n in range(count)] if column.type == "string" else list(_numbers(column, count))
    low = column.minimum or 0
    high = low + 1 if column.maximum is None else column.maximum
    return {
        "string": lambda: [random.bytes(32).hex() for _ in range(count)],
        "date": lambda: [day] * count,
        "timestamp": lambda: [datetime(day.year, day.month, day.day, tzinfo=UTC)] * count,
        "boolean": lambda: random.integers(2, size=count).astype(bool).tolist(),
        "double": lambda: random.uniform(low, high, count).tolist(),
        "array<float>": lambda: random.random((count, 4)).tolist(),
        "array<struct<hex:string,share:double>>": lambda: [[{"hex": "#102030", "share": 0.5}]] * count,
    }.get(column.type, lambda: random.integers(int(low), int(high) + 1, count).tolist())()


def _numbers(column: Column, count: int) -> Iterator[Any]:
    """Numbers of a key, from the least allowed; where so many are not allowed another column of the key differs."""
    low, high = int(column.minimum or 0), column.maximum
    return (low + (n if high is None else n % int(high)) for n in range(count))


def slice_of(contract: Contract, rows: pa.Table) -> dict[str, list[Any]]:
    """What a publish of the rows replaces."""
    return {column: rows[column].unique().to_pylist() for column in contract.partition_by}


def publish(root: Path, contract: Contract, rows: pa.Table) -> None:
    """Publish the rows of one slice, undisturbed."""
    Warehouse(str(root), {"run_id": "before"}).publish_arrow(ungated(contract), rows, slice_of(contract, rows))


def stored(root: Path, contract: Contract) -> pa.Table:
    """The table as an analyst reads it, in an order of its own."""
    table = DeltaTable(root / contract.path).to_pyarrow_table().select(contract.column_names)
    by = [column.name for column in contract.columns if not column.type.startswith("array")]
    return table.cast(arrow_schema(contract)).sort_by([(name, "ascending") for name in by])


def together(*tables: pa.Table) -> pa.Table:
    """The rows of all tables, in the order of `stored`."""
    rows = pa.concat_tables(tables)
    by = [field.name for field in rows.schema if not pa.types.is_list(field.type)]
    return rows.sort_by([(name, "ascending") for name in by])


def start(root: Path, contract: Contract, rows: pa.Table, **how: Any) -> BaseProcess:
    """A run that publishes the rows; its standard error comes to lie in `<root>/<process name>.err`. See `_run`."""
    process = PROCESSES.Process(target=_run, args=(root, contract.name, rows), kwargs=how, daemon=True)
    process.start()
    return process


def _run(
    root: Path,
    name: str,
    rows: pa.Table,
    hang: bool = False,
    before_commit: Any = None,
    file_bytes: int | None = None,
) -> None:
    """Publish as jobs.platform.job.run does, exit code and all.

    Args:
        root: the warehouse.
        name: of the table.
        rows: of one slice.
        hang: write the rows again and again, and never come to an end.
        before_commit: a barrier that is passed between the last row and the commit.
        file_bytes: the size no file can grow beyond, as on a full disk.
    """
    contract = ungated(CONTRACTS[name])
    sys.stderr = (root.parent / f"{multiprocessing.current_process().name}.err").open("w")
    if file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))

    def blocks() -> Iterator[pa.Table]:
        yield rows
        if before_commit is not None:
            before_commit.wait(SECONDS)
        while hang:
            time.sleep(0.01)
            yield rows  # Arrow opens its file some blocks later

    def main(job: Job) -> str:
        return f"{job.publish(contract, blocks(), slice_of(contract, rows)):,} rows"

    sys.modules["__main__"].__file__ = JOB  # the job's name
    try:
        run(
            main,
            reads=(),
            writes=(contract,),
            settings=("accept_drift",),
            argv=["--as-of-date", f"{DAY}", "--warehouse", str(root)],
        )
    finally:
        sys.stderr.flush()


def ended(process: BaseProcess, root: Path) -> tuple[int | None, str]:
    """Exit code and the first line of standard error of a run that has come to its end."""
    process.join(SECONDS)
    text = (root.parent / f"{process.name}.err").read_text()
    return process.exitcode, next((line for line in text.splitlines() if line.startswith("ERROR")), "")


def data_files(table: Path) -> set[Path]:
    """All data files below the table's folder, also those that no commit names."""
    return {path for path in table.rglob("*.parquet") if "_delta_log" not in path.parts}


def commits(table: Path) -> set[Path]:
    """The table's commits."""
    return set(table.glob("_delta_log/*.json"))


def wait_for_new_files(table: Path, there: set[Path], alive: Callable[[], bool]) -> None:
    """Until a run that is `alive` has begun to write files other than those `there`."""
    deadline = time.monotonic() + SECONDS
    while not data_files(table) - there:
        assert alive() and time.monotonic() < deadline, "the run wrote nothing"
        time.sleep(0.002)
