"""Feature tables from CSV at full size: Atelier beside DuckDB, Polars and plain PySpark, and the results compared."""

from __future__ import annotations

import shutil
import sys
import tempfile
from datetime import date
from pathlib import Path

import duckdb
from deltalake import DeltaTable
from duckdb import DuckDBPyRelation
from pyarrow.dataset import Dataset

from benchmarks.contest import Result, measure, medians, publish
from benchmarks.shop_files import generated, in_memory, read
from expectations.contract import Contract
from expectations.features import ARTICLE_FEATURES, CUSTOMER_FEATURES, INTERACTION_FEATURES

PEERS = ("duckdb", "polars", "plain pyspark")
#: Module below `benchmarks`, and what it is given beyond files, folder and date.
CONTESTANTS = {
    "atelier": ("features_atelier",),
    "duckdb": ("features_duckdb",),
    "polars": ("features_polars",),
    "plain pyspark": ("features_pyspark",),
    "atelier without gates": ("features_atelier", "1", "0"),
}
#: The contestants take turns, since a machine's speed changes from minute to minute.
TURNS = 3
#: Contestants that take minutes: they have one turn.
SLOW = ("plain pyspark",)
#: Size of what each contestant is tried on before its turn.
TINY = 0.001
TABLES: tuple[Contract, ...] = (CUSTOMER_FEATURES, ARTICLE_FEATURES, INTERACTION_FEATURES)
AS_OF = date(2020, 9, 23)


def run(data: Path | None, scale: float, as_of: date = AS_OF) -> None:
    """Time each contestant from CSV to its feature tables and publish the result.

    Args:
        data: folder with the retailer's files; None: generated for this run.
        scale: size of what is generated.
        as_of: as-of date of the tables.
    """
    with tempfile.TemporaryDirectory(prefix="atelier-bench-", dir=Path.cwd()) as folder:
        work = Path(folder)
        tiny = generated(work / "tiny", TINY)
        turns: dict[str, list[Result]] = {name: [] for name in CONTESTANTS}
        with in_memory(data or generated(work / "data", scale)) as files:
            for name in [name for turn in range(TURNS) for name in CONTESTANTS if turn == 0 or name not in SLOW]:
                _timed(name, tiny, work / "tried", as_of)
                read(files)
                turns[name].append(_timed(name, files, work / name, as_of))
                print(f"{name}: {turns[name][-1].seconds} s", flush=True)
        differences = []
        for contract in TABLES:
            ours = DeltaTable(str(work / "atelier" / contract.path)).to_pyarrow_dataset()
            differences += [_compared(contract, ours, work, peer) for peer in PEERS]
        lines: int = DeltaTable(str(work / "atelier" / "silver" / "transactions")).count()
        shutil.rmtree(work / "atelier")
    note = (
        f"{lines:,} transaction lines from CSV to the three feature tables as of {as_of}. Atelier also writes the"
        " silver tables, checks every row and commits to Delta. DuckDB and Polars write Parquet only; plain PySpark"
        " writes the silver tables to Delta and the features to Parquet, and checks nothing. Medians of"
        f" {TURNS} turns, but one turn of {', '.join(SLOW)}; each turn comes after one with a thousandth of the lines,"
        " which brings the libraries back from the disk. The files are held in memory if they take no more than a"
        f" third of it. {' '.join(differences)}"
    )
    publish("features", "make bench-features", medians(turns), "atelier", note)


def _timed(name: str, files: Path, out: Path, as_of: date) -> Result:
    shutil.rmtree(out, ignore_errors=True)
    module, *further = CONTESTANTS[name]
    return measure([sys.executable, "-m", f"benchmarks.{module}", str(files), str(out), str(as_of), *further])


def _compared(contract: Contract, ours: Dataset | DuckDBPyRelation, work: Path, peer: str) -> str:
    """How the peer's table differs from ours, cell by cell, in one sentence; raises RuntimeError if it does."""
    files = work / peer / f"{contract.name}.parquet"
    theirs = f"read_parquet('{files / '*.parquet' if files.is_dir() else files}')"  # Spark writes a folder of files
    keys = list(contract.key) or contract.column_names
    equal = " AND ".join(
        f"abs(a.{c.name} - b.{c.name}) <= 1e-9 * greatest(abs(b.{c.name}), 1e-3)"
        f" IS NOT FALSE AND (a.{c.name} IS NULL) = (b.{c.name} IS NULL)"
        if c.type == "double"
        else f"a.{c.name} IS NOT DISTINCT FROM b.{c.name}"
        for c in contract.columns
        if c.name not in keys
    )
    total, matched = duckdb.sql(f"SELECT (SELECT count(*) FROM ours), (SELECT count(*) FROM {theirs})").fetchall()[0]  # noqa: S608
    if contract.key:
        query = f"SELECT count(*) FROM ours a JOIN {theirs} b USING ({', '.join(keys)}) WHERE {equal}"  # noqa: S608
        matched = min(matched, duckdb.sql(query).fetchall()[0][0])
    else:
        columns = ", ".join(contract.column_names)
        shared = f"SELECT {columns} FROM ours INTERSECT ALL SELECT {columns} FROM {theirs}"  # noqa: S608
        query = f"SELECT count(*) FROM ({shared})"  # noqa: S608
        matched = min(matched, duckdb.sql(query).fetchall()[0][0])
    if matched != total:
        raise RuntimeError(f"{contract.name}: {total - matched:,} of {total:,} rows differ from {peer}'s")
    return f"{contract.name}: all {total:,} rows equal {peer}'s."
