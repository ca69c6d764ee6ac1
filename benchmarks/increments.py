"""The next week and a year of snapshots, beside computing everything anew; the results compared bit by bit."""

from __future__ import annotations

import shutil
import sys
import tempfile
from datetime import date
from pathlib import Path

import duckdb
from deltalake import DeltaTable

from benchmarks.contest import Result, measure, publish
from benchmarks.features import AS_OF, TABLES, TINY
from benchmarks.shop_files import generated, in_memory, read
from expectations.contract import Contract
from jobs.platform.settings import WEEK

SNAPSHOTS = 52


def run(data: Path | None, scale: float, as_of: date = AS_OF) -> None:
    """Time the run of a further week, and of a year of snapshots at once, and publish the result.

    Args:
        data: folder with the retailer's files; None: generated for this run.
        scale: size of what is generated.
        as_of: as-of date of the further week.
    """
    with tempfile.TemporaryDirectory(prefix="atelier-bench-", dir=Path.cwd()) as folder:
        work = Path(folder)
        tiny = generated(work / "tiny", TINY)
        results: dict[str, Result] = {}
        with in_memory(_by_week(data or generated(work / "data", scale), work / "weekly", as_of)) as weekly:

            def timed(warehouse: str, day: date, snapshots: int = 1) -> Result:
                shutil.rmtree(work / "tiny anew", ignore_errors=True)
                results["all anew, a thousandth of the lines"] = _run(tiny, work / "tiny anew", as_of)
                result = _run(weekly, work / warehouse, day, snapshots)
                print(f"{warehouse} as of {day}: {result.seconds} s", flush=True)
                return result

            results["all anew"] = timed("anew", as_of)
            results["all anew, 52 snapshots"] = timed("year", as_of, SNAPSHOTS)
            last_week, held_back = weekly / "transactions_2.csv", weekly / "held back"
            last_week.rename(held_back)
            timed("week by week", as_of - WEEK)
            held_back.rename(last_week)
            results["the next week"] = timed("week by week", as_of)
        compared = [
            _same(contract, work / "anew", work / other, as_of)
            for contract in TABLES
            for other in ("week by week", "year")
        ]
    note = (
        "From CSV to the silver and feature tables, each in one process, its start included. `the next week`: the"
        " tables of the week before are there, the next week's file arrives. `a thousandth of the lines`: hardly more"
        " than starting, which every run has to; it goes before each, to bring the libraries back from the disk."
        f" {' '.join(compared)}"
    )
    publish("increments", "make bench-increments", results, "the next week", note)


def _by_week(data: Path, folder: Path, as_of: date) -> Path:
    """The files with the transactions in two: until the week before the as-of date, and that week."""
    folder.mkdir()
    for name in ("articles.csv", "customers.csv"):
        shutil.copy(data / name, folder)
    lines = f"read_csv('{data}/transactions*.csv', header = true, all_varchar = true)"
    for name, condition in (("1", f"t_dat < '{as_of - WEEK}'"), ("2", f"t_dat >= '{as_of - WEEK}'")):
        query = f"SELECT * FROM {lines} WHERE {condition}"  # noqa: S608
        duckdb.sql(f"COPY ({query}) TO '{folder}/transactions_{name}.csv' (HEADER)")
    return folder


def _run(files: Path, warehouse: Path, as_of: date, snapshots: int = 1) -> Result:
    read(files)
    read(warehouse)
    command = ["-m", "benchmarks.features_atelier", str(files), str(warehouse), str(as_of), str(snapshots)]
    return measure([sys.executable, *command])


def _same(contract: Contract, one: Path, other: Path, as_of: date) -> str:
    """Says that the slice of the date is the same in both, bit by bit; raises RuntimeError if it is not."""
    column, day = contract.partition_by[0], as_of if contract.key else as_of - WEEK
    database = duckdb.connect()
    for name, root in (("ours", one), ("others", other)):
        rows = DeltaTable(str(root / contract.path)).to_pyarrow_dataset([(column, "=", str(day))])
        database.register(name, rows)
    names = ", ".join(contract.column_names)
    shared = f"SELECT {names} FROM ours WHERE {column} = '{day}' INTERSECT ALL SELECT {names} FROM others"  # noqa: S608
    query = f"SELECT (SELECT count(*) FROM ours WHERE {column} = '{day}'), (SELECT count(*) FROM ({shared}))"  # noqa: S608
    total, same = database.sql(query).fetchall()[0]
    if total != same or not total:
        raise RuntimeError(f"{contract.name}: {total - same:,} of {total:,} rows differ in {other.name}")
    return f"{contract.name} of {day}: all {total:,} rows the same in `{other.name}`."
