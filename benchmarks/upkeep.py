"""What jobs/maintenance/optimize_and_vacuum.py gains: an analyst's and a job's queries before and after it."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa
from deltalake import DeltaTable

from benchmarks.contest import PAGE, RESULTS, ROOT
from benchmarks.standalone import flags
from expectations.contract import Contract
from expectations.features import ARTICLE_FEATURES, CUSTOMER_FEATURES
from expectations.recommendations import RECOMMENDATIONS
from expectations.transactions import TRANSACTIONS

WEEKS = [date(2020, 8, 26), date(2020, 9, 2), date(2020, 9, 9), date(2020, 9, 16)]
JOBS = ("ingest.articles", "ingest.customers", "ingest.transactions", "features.customers", "features.articles")
TRIALS = 15


@dataclass(frozen=True)
class Query:
    """A question to one table; `of` names the column of the one customer or article it is about, else of a day."""

    asked: str
    table: Contract
    sql: str
    of: str | None = None


QUERIES = (
    Query(
        "a customer's recommendations, all weeks",
        RECOMMENDATIONS,
        "SELECT as_of_date, rank, article_id FROM rows WHERE customer_id = $id ORDER BY ALL",
        "customer_id",
    ),
    Query(
        "a customer's features over time",
        CUSTOMER_FEATURES,
        "SELECT * FROM rows WHERE customer_id = $id ORDER BY as_of_date",
        "customer_id",
    ),
    Query(
        "an article's features over time",
        ARTICLE_FEATURES,
        "SELECT * FROM rows WHERE article_id = $id ORDER BY as_of_date",
        "article_id",
    ),
    Query(
        "one week's recommendations by source",
        RECOMMENDATIONS,
        "SELECT source, count(*) FROM rows WHERE as_of_date = $day GROUP BY ALL ORDER BY ALL",
    ),
    Query(
        "units of the last 28 days (as jobs read them)",
        TRANSACTIONS,
        "SELECT article_id, count(*) FROM rows WHERE t_dat >= $day - 28 GROUP BY ALL ORDER BY ALL",
    ),
)


@dataclass(frozen=True)
class Result:
    """Median seconds of a query as published and after housekeeping, and the files and MiB of its table then."""

    before: float
    after: float
    files_before: int
    files_after: int
    mib_before: float
    mib_after: float


def run(scale: float) -> None:
    """Make the tables of four weeks by the jobs themselves, ask, tidy, ask again, and publish the figures.

    Raises RuntimeError when an answer has changed.
    """
    with tempfile.TemporaryDirectory(prefix="atelier-bench-", dir=Path.cwd()) as folder:
        root = Path(folder) / "warehouse"
        _call(
            "sample_data", "generate", "--scale", str(scale), "--images", "none", "--event-days", "0", "--out", folder
        )
        for job in JOBS:
            _job(job, WEEKS[-1], folder, root)
        for week in WEEKS:
            _job("ranking.score", week, folder, root)
            _job("publish.recommendations", week, folder, root)
        before = list(_asked(root))
        started = time.perf_counter()
        _job("maintenance.optimize_and_vacuum", WEEKS[-1], folder, root)
        seconds = time.perf_counter() - started
        after = list(_asked(root))
        lines, picks = (DeltaTable(str(root / table.path)).count() for table in (TRANSACTIONS, RECOMMENDATIONS))
    for query, (_, answers), (_, later) in zip(QUERIES, before, after, strict=True):
        if answers != later:
            raise RuntimeError(f"housekeeping changed the answer to: {query.asked}")
    results = {
        query.asked: Result(old[0], new[0], old[1], new[1], old[2], new[2])
        for query, (old, _), (new, _) in zip(QUERIES, before, after, strict=True)
    }
    note = (
        f"Median of {TRIALS} queries by deltalake and DuckDB, the table opened anew for each: {lines:,} transactions,"
        f" {len(WEEKS)} weeks with {picks:,} recommendations, written by the jobs. All answers are the same after"
        f" housekeeping, which took {seconds:.0f} s in one process and keeps the replaced files for its retention."
    )
    _publish(results, note, f"make bench-upkeep SCALE={scale}")


def _call(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", *arguments], cwd=ROOT, check=True)


def _job(name: str, as_of: date, data: str, root: Path) -> None:
    _call(f"jobs.{name}", *flags(name, str(as_of), Path(data), root))


def _asked(root: Path) -> Iterator[tuple[tuple[float, int, float], list[object]]]:
    """For each query median seconds, files and MiB of its table, and the answers."""
    for query in QUERIES:
        uri = str(root / query.table.path)
        parameters: list[dict[str, object]] = [{"day": WEEKS[-1]}] * TRIALS
        if query.of:
            everyone = DeltaTable(uri).to_pyarrow_table(columns=[query.of])[query.of].unique().sort()
            chosen = everyone.take([n * len(everyone) // TRIALS for n in range(TRIALS)])
            parameters = [{"id": one} for one in chosen.to_pylist()]
        seconds, answers = [], []
        for n in range(-1, TRIALS):  # the first warms the disk's cache, and is asked again
            started = time.perf_counter()
            rows = DeltaTable(uri).to_pyarrow_dataset()  # noqa: F841, named in the query
            answer = duckdb.execute(query.sql, parameters[max(n, 0)]).fetchall()
            if n >= 0:
                seconds.append(time.perf_counter() - started)
                answers.append(answer)
        files = pa.table(DeltaTable(uri).get_add_actions(flatten=False))
        sizes = files["size_bytes"].to_pylist()
        yield (round(statistics.median(seconds), 4), len(sizes), round(sum(sizes) / 2**20, 1)), answers


def _publish(results: dict[str, Result], note: str, command: str) -> None:
    """Write the figures as JSON, and as a table on the page in place of the last ones."""
    record = {"queries": {asked: asdict(result) for asked, result in results.items()}, "note": note}
    (RESULTS / "upkeep.json").write_text(json.dumps(record, indent=1) + "\n")
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    rows = [
        f"| {asked} | {r.before:.3f} | {r.after:.3f} | {r.before / r.after:.1f} x | {r.files_before} → {r.files_after}"
        f" | {r.mib_before} → {r.mib_after} |"
        for asked, r in results.items()
    ]
    section = [
        "## upkeep", "", note, "", f"Machine: {machine}. Command: `{command}`.", "",
        "| query | seconds as published | after housekeeping | gain | files | MiB |", "|---|---|---|---|---|---|",
        *rows, "",
    ]  # fmt: skip
    others = [part for part in PAGE.read_text().split("\n## ") if not part.startswith("upkeep\n")]
    PAGE.write_text("\n## ".join(others).rstrip() + "\n\n" + "\n".join(section))
    print("\n".join(section))
