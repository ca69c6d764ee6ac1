"""The fault campaign: a tiny shop is damaged in one way at a time, its jobs run, and what came of it is judged.

Each fault starts from a copy of the same shop, so that none sees what another left: `python -m tests.faults --help`.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path

import polars as pl
from deltalake import DeltaTable

from expectations.registry import CONTRACTS
from expectations.transactions import QUARANTINE
from jobs.platform.job import EXIT_JOB_ERROR

ROOT = Path(__file__).resolve().parents[2]
AS_OF, WEEK_BEFORE = "2020-09-23", "2020-09-16"
SECONDS = 900

INGEST = ("ingest.articles", "ingest.customers", "ingest.transactions")
FEATURES = ("features.customers", "features.articles", "features.interactions")
MODEL = ("ranking.train", "evaluation.evaluate", "evaluation.gate")
PUBLISH = ("ranking.score", "publish.recommendations")
#: Settings that keep a model small; a job takes those it declares.
SMALL = {"ATELIER_TRAINING_WEEKS": "2", "ATELIER_MAX_EPOCHS": "1"}

#: Paths of the tables that analysts and later jobs read; the others tell what happened, and change with it.
DATA_TABLES = tuple(
    path
    for path in (contract.path for contract in CONTRACTS.values())
    if path.startswith(("silver/", "gold/")) and path != QUARANTINE.path
)
#: Columns whose values are of the run or of the file rather than of the shop.
_OF_THE_RUN = re.compile(r"source_|run_id|_at$|model_version")


@dataclass
class Shop:
    """A shop's files, its warehouse, and the environment and flags its jobs are started with."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    flags: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        """Folder of the delivered files."""
        return self.folder / "data"

    @property
    def warehouse(self) -> Path:
        """Folder of the tables."""
        return self.folder / "warehouse"

    def copy(self, folder: Path) -> Shop:
        """The same shop somewhere else."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Shop(folder, dict(self.environment), dict(self.flags))

    def command(self, job: str) -> list[str]:
        """The command that runs a job on this shop."""
        given = {"as-of-date": AS_OF, "warehouse": str(self.warehouse), "data": str(self.data)} | self.flags
        settings = import_module(f"jobs.{job}").SETTINGS
        taken = {"as-of-date", "warehouse", *(name.replace("_", "-") for name in settings)}
        flags = [f"--{name}={value}" for name, value in given.items() if name in taken]
        return [sys.executable, "-m", f"jobs.{job}", *flags]

    def run(self, jobs: Sequence[str]) -> Run:
        """Run the jobs one after the other until one fails."""
        said = ""
        for job in jobs:
            process = subprocess.run(
                self.command(job),
                cwd=ROOT,
                env=os.environ | SMALL | self.environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=SECONDS,
                check=False,
            )
            said += process.stdout
            if process.returncode:
                return Run(job, process.returncode, said)
        return Run(jobs[-1], 0, said)

    def tables(self) -> dict[str, str]:
        """Path of a table -> digest of its rows in an order of their own, or what keeps it from being read."""
        return {path: digest(self.warehouse / path) for path in DATA_TABLES if (self.warehouse / path).exists()}

    def count(self, path: str) -> int:
        """Rows of a table; 0 before it exists."""
        table = self.warehouse / path
        return DeltaTable(table).to_pyarrow_dataset().count_rows() if table.exists() else 0


@dataclass(frozen=True)
class Run:
    """How a row of jobs ended: the last one, its exit code, and all that they said."""

    job: str
    exit_code: int
    output: str

    @cached_property
    def error(self) -> str:
        """The job's own error line; empty without one."""
        return next((line for line in self.output.splitlines() if line.startswith("ERROR ")), "")


#: Path of a table -> digest of its rows.
Tables = Mapping[str, str]


@dataclass(frozen=True)
class Fault:
    """One way to damage a shop, and how its jobs should end.

    Args:
        kind: the group it belongs to in the report.
        name: what is wrong, in a few words.
        damage: does it, to a shop at the stage `after`.
        end: how its jobs should end.
        jobs: run after the damage.
        after: the stage of the shop it starts from: delivered, ingested or published.
    """

    kind: str
    name: str
    damage: Callable[[Shop], object]
    end: End
    jobs: tuple[str, ...] = INGEST
    after: str = "delivered"


@dataclass(frozen=True)
class Result:
    """A fault, what its jobs said, and what is wrong with that; nothing is wrong where `faults` is empty."""

    fault: Fault
    said: str
    wrong: str
    seconds: float


@dataclass(frozen=True)
class End:
    """How a fault should end: in words, and what is wrong with how it did.

    Args:
        words: for the report.
        wrong: given the run, the shop after it, its tables before it, and those of an undamaged shop; "" if nothing is.
    """

    words: str
    wrong: Callable[[Run, Shop, Tables, Tables], str]


def published(words: str, *said: str, equal: bool = False, rows_in_quarantine: int | None = None) -> End:
    """The jobs succeed and every table can be read.

    Args:
        words: for the report.
        said: what the output holds, for whoever reads the log.
        equal: the tables are those of the undamaged shop.
        rows_in_quarantine: that many rows are set aside.
    """

    def wrong(run: Run, shop: Shop, before: Tables, clean: Tables) -> str:
        if run.exit_code:
            return f"exit {run.exit_code}: {run.error or run.output[-300:]}"
        tables = shop.tables()
        unreadable = [f"{path}: {state}" for path, state in tables.items() if " " in state]
        found = shop.count(QUARANTINE.path)
        miscounted = f"{found} rows in quarantine" if rows_in_quarantine not in (None, found) else ""
        changed = different(tables, clean) if equal else ""
        return "; ".join([*unreadable, *filter(None, (missing(said, run.output), miscounted, changed))])

    return End(words, wrong)


def same(*said: str) -> End:
    """The jobs succeed and their tables are those of the undamaged delivery."""
    return published("same tables", *said, equal=True)


def quarantined(rows: int, *said: str) -> End:
    """The jobs succeed, this many rows are in quarantine."""
    return published(f"{rows} rows in quarantine, the others published", *said, rows_in_quarantine=rows)


def refused(*said: str) -> End:
    """A job ends with code 2 and one line that holds these words, and what it writes is as it was."""

    def wrong(run: Run, shop: Shop, before: Tables, clean: Tables) -> str:
        if run.exit_code != EXIT_JOB_ERROR:
            return f"exit {run.exit_code} instead of {EXIT_JOB_ERROR}: {run.error or run.output[-300:]}"
        written = {table.path for table in import_module(f"jobs.{run.job}").WRITES}
        now = {path: state for path, state in shop.tables().items() if path in written or path in before}
        return missing(said, run.error) or different(now, before | {path: before.get(path, "") for path in now})

    return End("refused in one line, tables as they were", wrong)


def missing(words: Sequence[str], text: str) -> str:
    """Which of the words the text lacks."""
    lacking = [word for word in words if word not in text]
    return f"does not say {lacking}: {text[-300:]}" if lacking else ""


def different(tables: Tables, expected: Tables) -> str:
    """Which tables are not as expected."""
    changed = [path for path in expected if tables.get(path) != expected[path]]
    return f"changed: {', '.join(changed)}" if changed else ""


def digest(table: Path) -> str:
    """Of a Delta table's rows, whatever their order; the exception's name and text where they cannot be read."""
    try:
        rows = pl.from_arrow(DeltaTable(table).to_pyarrow_table())
    except Exception as error:  # whatever it is, the table is harmed
        return f"unreadable: {type(error).__name__} {error}"
    assert isinstance(rows, pl.DataFrame)
    rows = rows.select(sorted(name for name in rows.columns if not _OF_THE_RUN.search(name)))
    nested = [name for name, kind in rows.schema.items() if kind.is_nested()]
    rows = rows.with_columns(pl.col(name).map_elements(str, pl.String) for name in nested)
    return hashlib.sha256(rows.sort(rows.columns).write_csv().encode()).hexdigest()


class Campaign:
    """Runs faults on copies of one shop, which is built once, up to the stage that they need."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stages: dict[str, Shop] = {}

    def stage(self, name: str) -> Shop:
        """The undamaged shop: delivered; ingested, with features; or published, by a model trained and promoted."""
        if name not in self._stages:
            self._stages[name] = getattr(self, f"_{name}")()
        return self._stages[name]

    def _delivered(self) -> Shop:
        shop = Shop(self.folder / "delivered")
        command = [sys.executable, "-m", "sample_data", "generate", "--preset", "tiny", "--images", "none", "--out"]
        subprocess.run([*command, str(shop.data)], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        return shop

    def _ingested(self) -> Shop:
        return self._after("ingested", "delivered", [*INGEST, *FEATURES])

    def _published(self) -> Shop:
        return self._after("published", "ingested", [*MODEL, *PUBLISH])

    def _after(self, name: str, stage: str, jobs: Sequence[str]) -> Shop:
        shop = self.stage(stage).copy(self.folder / name)
        if (run := shop.run(jobs)).exit_code:
            raise RuntimeError(f"the undamaged shop's {run.job} failed: {run.output[-2000:]}")
        return shop

    def judge(self, fault: Fault) -> Result:
        """Damage a copy of the shop, run the fault's jobs and judge them."""
        started = time.monotonic()
        shop = self.stage(fault.after).copy(self.folder / "damaged")
        try:
            before = shop.tables()
            fault.damage(shop)
            run = shop.run(fault.jobs)
            clean = {path: state for path, state in self._clean(fault).items() if path in shop.tables()}
            wrong = fault.end.wrong(run, shop, before, clean)
            said = run.error or (run.output.splitlines() or [""])[-1]
            return Result(fault, said.replace(str(shop.folder), ""), wrong, time.monotonic() - started)
        finally:
            shutil.rmtree(shop.folder, ignore_errors=True)

    def _clean(self, fault: Fault) -> dict[str, str]:
        """Tables of the undamaged shop, for faults that are to end in the same ones."""
        return self.stage("ingested" if fault.after == "delivered" else fault.after).tables()
