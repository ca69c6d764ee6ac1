"""A shop of a few hundred customers on disk, whose jobs are run as processes, and its tables in short."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path

import polars as pl
from deltalake import DeltaTable

from expectations.registry import CONTRACTS
from expectations.transactions import QUARANTINE

ROOT = Path(__file__).resolve().parents[2]
AS_OF, WEEK_BEFORE = "2020-09-23", "2020-09-16"
SECONDS = 900

INGEST = ("ingest.articles", "ingest.customers", "ingest.transactions")
FEATURES = ("features.customers", "features.articles", "features.interactions")
MODEL = ("ranking.train", "evaluation.evaluate", "evaluation.gate")
PUBLISH = ("ranking.score", "publish.recommendations")
#: Settings that keep a model small; a job takes those it declares.
SMALL = {"ATELIER_TRAINING_WEEKS": "6", "ATELIER_MAX_EPOCHS": "1"}

#: Paths of the tables that analysts and later jobs read; the others tell what happened, and change with it.
DATA_TABLES = tuple(
    path
    for path in (contract.path for contract in CONTRACTS.values())
    if path.startswith(("silver/", "gold/")) and path != QUARANTINE.path
)
#: Columns whose values are of the run or of the file rather than of the shop.
_OF_THE_RUN = re.compile(r"source_|run_id|_at$|model_version")


#: Path of a table -> digest of its rows.
Tables = Mapping[str, str]


@dataclass
class Shop:
    """A shop's files, its warehouse, and the environment and flags its jobs are started with."""

    folder: Path
    warehouse_name: str = "warehouse"
    umask: int = -1
    environment: dict[str, str] = field(default_factory=dict)
    flags: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        """Folder of the delivered files."""
        return self.folder / "data"

    @property
    def warehouse(self) -> Path:
        """Folder of the tables."""
        return self.folder / self.warehouse_name

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
                umask=self.umask,
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
        """Path of a table -> digest of its rows in an order of their own, or what keeps it from being read.

        A table without rows is left out: a first publish that is refused leaves one behind, as good as none.
        """
        found = {path: digest(self.warehouse / path) for path in DATA_TABLES if (self.warehouse / path).exists()}
        return {path: state for path, state in found.items() if state}

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


def digest(table: Path) -> str:
    """Of a Delta table's rows, whatever their order; the exception's name and text where they cannot be read.

    Empty for a table without rows.
    """
    try:
        rows = pl.from_arrow(DeltaTable(table).to_pyarrow_table())
    except Exception as error:  # whatever it is, the table is harmed
        return f"unreadable: {type(error).__name__} {error}"
    assert isinstance(rows, pl.DataFrame)
    if rows.is_empty():
        return ""
    rows = rows.select(sorted(name for name in rows.columns if not _OF_THE_RUN.search(name)))
    nested = [name for name, kind in rows.schema.items() if kind.is_nested()]
    rows = rows.with_columns(pl.col(name).map_elements(str, pl.String) for name in nested)
    return hashlib.sha256(rows.sort(rows.columns).write_csv().encode()).hexdigest()
