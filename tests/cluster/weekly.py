"""A small shop, and the Spark jobs of its week, run as the weekly DAG runs them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.standalone import JOBS, ROOT, call, environment, flags, submission

AS_OF = "2020-09-16"
#: What these jobs write.
TABLES = (
    "silver/articles",
    "silver/customers",
    "silver/transactions",
    "silver/quarantine",
    "gold/customer_features",
    "gold/article_features",
    "gold/interaction_features",
)
SCALE, FILES = 0.005, 8
#: Lines of each file that are refused: date, customer, article, price, channel.
BAD_LINES = (
    "2020-09-01,{customer},0000000000,0.05,1",
    "2020-09-02,{customer},{article},-0.05,2",
    "2020-09-31,{customer},{article},0.05,1",
    "2020-09-03,nobody,{article},0.05,2",
    "2020-09-04,{customer},{article},0.05,shop",
)
#: A job that takes longer hangs.
SECONDS = 600


def shop(folder: Path) -> Path:
    """The retailer's files with some bad lines among the good ones; the folder is given back.

    The purchases come in several files, so that there is work for several tasks.
    """
    command = ["generate", "--scale", str(SCALE), "--images", "none", "--out", str(folder)]
    subprocess.run([sys.executable, "-m", "sample_data", *command], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    whole = folder / "transactions_train.csv"
    header, *lines = whole.read_text().splitlines()
    whole.unlink()
    for number in range(FILES):
        part = lines[number * len(lines) // FILES : (number + 1) * len(lines) // FILES]
        _, customer, article, *_ = part[0].split(",")
        part += [line.format(customer=customer, article=article) for line in BAD_LINES]
        (folder / f"transactions_{number}.csv").write_text("\n".join([header, *part]) + "\n")
    return folder


def submit(
    job: str, files: Path, warehouse: Path, master: str, conf: Mapping[str, str] | None = None
) -> tuple[list[str], Path, dict[str, str]]:
    """How `process` and `call` run the job on a master: command, log and environment."""
    command = submission(job, flags(job, AS_OF, files, warehouse), master, conf)
    return command, warehouse.parent / "jobs.log", environment(warehouse.parent)


def run_week(files: Path, warehouse: Path, master: str, kept: Path | None = None) -> None:
    """Take in the shop's files and compute features.

    Args:
        files: the shop's.
        warehouse: for the tables.
        master: of the Spark that computes them.
        kept: folder for copies of the warehouse, by the job it was left by; None: no copies.
    """
    for job in JOBS:
        call(*submit(job, files, warehouse, master), SECONDS)
        if kept:
            shutil.copytree(warehouse, kept / job)


def as_module(module: str, arguments: Sequence[str], warehouse: Path, more: Mapping[str, str] | None = None) -> None:
    """Run a module in a process of its own, with `more` in its environment."""
    variables = environment(warehouse.parent) | (more or {})
    call([sys.executable, "-m", module, *arguments], warehouse.parent / "jobs.log", variables, SECONDS)
