"""The ingest and feature jobs on a cluster of one core, and of two: what a second worker gains."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import median

import duckdb
from deltalake import DeltaTable

from benchmarks.contest import Result, measure, medians, publish
from benchmarks.features import AS_OF, TABLES, TINY
from benchmarks.shop_files import generated, in_memory, read
from benchmarks.standalone import JOBS
from expectations.articles import ARTICLES
from expectations.contract import Contract
from expectations.customers import CUSTOMERS
from expectations.transactions import TRANSACTIONS

#: Workers of one core each.
CONTESTANTS = {"one worker": 1, "two workers": 2}
#: The contestants take turns, since a machine's speed changes from minute to minute.
TURNS = 3
MILLION = 1_000_000

#: By job, its seconds and the processor seconds of its driver.
Figures = dict[str, tuple[float, float]]


def run(data: Path | None, scale: float) -> None:
    """Time the jobs on one worker and on two, and publish the result.

    Args:
        data: folder with the retailer's files; None: generated for this run.
        scale: size of what is generated.
    """
    with tempfile.TemporaryDirectory(prefix="atelier-bench-", dir=Path.cwd()) as folder:
        work = Path(folder)
        tiny = generated(work / "tiny", TINY)
        _timed(max(CONTESTANTS.values()), tiny, work / "tried")  # brings the libraries back from the disk
        turns: dict[str, list[Result]] = {name: [] for name in CONTESTANTS}
        runs: dict[str, list[Figures]] = {name: [] for name in CONTESTANTS}
        with in_memory(data or generated(work / "data", scale)) as files:
            for name in [*CONTESTANTS] * TURNS:
                read(files)
                result, figures = _timed(CONTESTANTS[name], files, work / name)
                turns[name].append(result)
                runs[name].append(figures)
                print(f"{name}: {result.seconds} s", flush=True)
        compared = [
            _compared(contract, *(work / name for name in CONTESTANTS))
            for contract in (ARTICLES, CUSTOMERS, TRANSACTIONS, *TABLES)
        ]
        lines: int = DeltaTable(str(work / "one worker" / TRANSACTIONS.path)).count()
    note = (
        f"{lines:,} transaction lines from CSV to the silver tables and a weekly run's feature tables as of {AS_OF},"
        " each job run by spark-submit on a standalone cluster of this machine: one worker of one core, or two."
        " A worker and its executors are held to a core of their own; drivers and master may use all cores, so that"
        " one worker has its core to itself, and two share theirs with them. Seconds are those of the jobs, start of"
        " driver and executors included, start of the cluster left out; memory and processor seconds are those of"
        f" all processes together, the cluster's too. Medians of {TURNS} turns. The files are held in memory if they"
        f" take no more than a third of it. {_by_job(runs, lines)} {' '.join(compared)}"
    )
    publish("cluster", "make bench-cluster", medians(turns), "one worker", note)


def _timed(workers: int, files: Path, warehouse: Path) -> tuple[Result, Figures]:
    """One contestant's result, and what each of its jobs took."""
    shutil.rmtree(warehouse, ignore_errors=True)
    file = warehouse.with_suffix(".json")
    command = [sys.executable, "-m", "benchmarks.standalone", str(workers), str(files), str(warehouse), str(AS_OF)]
    result = measure([*command, str(file)])
    figures: Figures = json.loads(file.read_text())
    return replace(result, seconds=round(sum(seconds for seconds, _ in figures.values()), 2)), figures


def _by_job(runs: dict[str, list[Figures]], lines: int) -> str:
    """Of each job the medians, and the drivers' share of the work, in a few sentences."""
    sentences = []
    for name, turns in runs.items():
        seconds = {job: median(figures[job][0] for figures in turns) for job in JOBS}
        drivers = median(sum(busy for _, busy in figures.values()) for figures in turns)
        jobs = ", ".join(f"{job} {took:.1f} ({took / lines * MILLION:.1f})" for job, took in seconds.items())
        sentences.append(f"{name.capitalize()}: {jobs}; the drivers took {drivers:.1f} processor seconds.")
    gains = (
        f"{job} {median(one[job][0] / two[job][0] for one, two in zip(*runs.values(), strict=True)):.2f}"
        for job in JOBS
    )
    return (
        f"Seconds of each job, and in brackets per million lines. {' '.join(sentences)} One worker's seconds by two"
        f" workers': {', '.join(gains)}."
    )


def _compared(contract: Contract, one: Path, other: Path) -> str:
    """Says that the table is the same in both warehouses, to the cell; raises RuntimeError if it is not."""
    database = duckdb.connect()
    for name, root in (("a", one), ("b", other)):
        database.register(name, DeltaTable(str(root / contract.path)).to_pyarrow_dataset())
    columns = ", ".join(name for name in contract.column_names if name != "run_id")
    shared = f"SELECT {columns} FROM a INTERSECT ALL SELECT {columns} FROM b"  # noqa: S608
    query = f"SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b), (SELECT count(*) FROM ({shared}))"  # noqa: S608
    mine, theirs, same = database.sql(query).fetchall()[0]
    if not mine == theirs == same:
        raise RuntimeError(
            f"{contract.name}: {same:,} rows shared of {mine:,} in {one.name}, {theirs:,} in {other.name}"
        )
    return f"{contract.name}: all {mine:,} rows the same on both."
