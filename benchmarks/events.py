"""The shop's log from JSON lines to tables: Atelier beside DuckDB and Polars, and the results compared."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb
from deltalake import DeltaTable

from benchmarks import events_log
from benchmarks.contest import Result, measure, medians, publish
from benchmarks.shop_files import read

PEERS = ("duckdb", "polars")
#: Module below `benchmarks`, and what it is given beyond files and folder.
CONTESTANTS = {
    "atelier": ("events_atelier",),
    "duckdb": ("events_duckdb",),
    "polars": ("events_polars",),
    "atelier without gates": ("events_atelier", "0"),
}
#: The contestants take turns, since a machine's speed changes from minute to minute. With MANY events they are at work
#: for minutes, in which that evens out, and have one.
TURNS, MANY = 3, 5_000_000
_TINY = 10_000


def run(events: int) -> None:
    """Time each contestant and publish the result."""
    with tempfile.TemporaryDirectory(prefix="atelier-bench-", dir=Path.cwd()) as folder:
        work = Path(folder)
        tiny, files = events_log.write(work / "tiny", _TINY), events_log.write(work / "data", events)
        size = sum(file.stat().st_size for file in files.rglob("*.jsonl"))
        turns: dict[str, list[Result]] = {name: [] for name in CONTESTANTS}
        for name in [name for _ in range(TURNS if events < MANY else 1) for name in CONTESTANTS]:
            _timed(name, tiny, work / "tried")
            read(files)
            try:
                turns[name].append(_timed(name, files, work / name))
                print(f"{name}: {turns[name][-1].seconds} s", flush=True)
            except subprocess.CalledProcessError as error:
                if name not in PEERS or error.returncode != -signal.SIGKILL:
                    raise
                print(f"{name}: out of memory", flush=True)
        ours = DeltaTable(str(work / "atelier" / "silver" / "events")).to_pyarrow_dataset()  # noqa: F841 named in SQL
        found = duckdb.sql("SELECT * FROM ours")
        peers = [peer for peer in PEERS if turns[peer]]
        compared = [_compared(found, work, peer) for peer in peers]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    compared += [f"{peer} runs out of memory ({memory:.0f} GiB)." for peer in PEERS if peer not in peers]
    middle = medians({name: of for name, of in turns.items() if of})
    note = (
        f"{events:,} events ({size / 2**30:.1f} GiB of JSON lines, 1 % delivered twice), one row each: typed, customers"
        " by sign-in, bots apart, sessions, Parquet by day. Atelier also checks every line and row, keeps what is"
        " broken with its reason, and commits to Delta."
        f" {'One turn' if len(turns['atelier']) == 1 else f'Medians of {TURNS} turns'}. {' '.join(compared)}"
    )
    faster = min(peers, key=lambda peer: middle[peer].seconds)
    ratios = {
        f"{name}/{faster}": round(of.seconds / middle[faster].seconds, 3)
        for name, of in middle.items()
        if name != faster
    }
    publish("events", f"make bench-events EVENTS={events}", middle, ratios, note)


def _timed(name: str, files: Path, out: Path) -> Result:
    shutil.rmtree(out, ignore_errors=True)
    module, *further = CONTESTANTS[name]
    return measure([sys.executable, "-m", f"benchmarks.{module}", str(files), str(out), *further])


def _compared(ours: duckdb.DuckDBPyRelation, work: Path, peer: str) -> str:
    """How the peer's events differ from ours, in one sentence; raises RuntimeError if they do."""
    theirs = f"read_parquet('{work / peer / 'events' / '**' / '*.parquet'}', hive_partitioning = true)"
    columns = "event_id, article_id, customer_id, session_id, weight"
    query = f"SELECT {columns} FROM ours EXCEPT ALL SELECT {columns} FROM {theirs}"  # noqa: S608
    differing = duckdb.sql(f"SELECT count(*) FROM ({query})").fetchall()[0][0]  # noqa: S608
    total, others = ours.count("*").fetchall()[0][0], duckdb.sql(f"SELECT count(*) FROM {theirs}").fetchall()[0][0]  # noqa: S608
    if differing or total != others:
        raise RuntimeError(f"{differing:,} of {total:,} events differ from {peer}'s {others:,}")
    return f"All {total:,} events equal {peer}'s."
