"""The fault campaign: a tiny shop is damaged in one way at a time, its jobs run, and what came of it is judged.

Each fault starts from the same shop, so that none sees what another left: `python -m tests.faults --help`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from importlib import import_module
from pathlib import Path

import pyarrow as pa

from expectations.evaluation import MODEL_DECISIONS
from expectations.transactions import QUARANTINE
from jobs.platform.job import EXIT_JOB_ERROR
from jobs.platform.warehouse import Warehouse
from tests.faults.shop import AS_OF, FEATURES, INGEST, MODEL, PUBLISH, ROOT, Run, Shop, Tables


@dataclass(frozen=True)
class Fault:
    """One way to damage a shop, and how its jobs should end.

    Args:
        kind: the group it belongs to in the report.
        name: what is wrong, in a few words.
        damage: does it, to a shop at the stage `after`.
        end: how its jobs should end.
        jobs: run after the damage.
        after: the stage of the shop it starts from; see Campaign.at.
    """

    kind: str
    name: str
    damage: Callable[[Shop], object]
    end: End
    jobs: tuple[str, ...] = INGEST[-1:]
    after: str = "listed"


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
        return missing(said, run.error) or different(now, dict(before) | {path: before.get(path, "") for path in now})

    return End("refused in one line, tables as they were", wrong)


def missing(words: Sequence[str], text: str) -> str:
    """Which of the words the text lacks."""
    lacking = [word for word in words if word not in text]
    return f"does not say {lacking}: {text[-300:]}" if lacking else ""


def different(tables: Tables, expected: Tables) -> str:
    """Which tables are not as expected."""
    changed = [path for path in expected if tables.get(path) != expected[path]]
    return f"changed: {', '.join(changed)}" if changed else ""


class Campaign:
    """Runs faults on one shop, which is built once, up to the stage that they need.

    The shop always lies at the same place, since an MLflow store knows its files by their whole paths; its stages are
    kept as copies beside.
    """

    def __init__(self, folder: Path) -> None:
        self.shop, self._stages = folder / "shop", folder / "stages"
        self._built: dict[str, Tables] = {}

    def at(self, stage: str) -> Shop:
        """The undamaged shop: delivered; listed, without purchases; ingested, with features; published, by a model."""
        if stage not in self._built:
            shop = getattr(self, f"_{stage}")()
            shutil.copytree(self.shop, self._stages / stage, symlinks=True)
            self._built[stage] = shop.tables()
        shutil.rmtree(self.shop, ignore_errors=True)
        shutil.copytree(self._stages / stage, self.shop, symlinks=True)
        return Shop(self.shop)

    def _delivered(self) -> Shop:
        shop = Shop(self.shop)
        command = [sys.executable, "-m", "sample_data", "generate", "--preset", "tiny", "--images", "none", "--out"]
        subprocess.run([*command, str(shop.data)], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        return shop

    def _listed(self) -> Shop:
        return self._with(self.at("delivered"), INGEST[:-1])

    def _ingested(self) -> Shop:
        return self._with(self.at("listed"), [*INGEST[-1:], *FEATURES])

    def _published(self) -> Shop:
        shop = self._with(self.at("ingested"), MODEL)
        promote(shop)
        return self._with(shop, PUBLISH)

    def _with(self, shop: Shop, jobs: Sequence[str]) -> Shop:
        if (run := shop.run(jobs)).exit_code:
            raise RuntimeError(f"the undamaged shop's {run.job} failed: {run.output[-2000:]}")
        return shop

    def judge(self, fault: Fault) -> Result:
        """Damage the shop, run the fault's jobs and judge them."""
        started = time.monotonic()
        clean = self._clean(fault)
        shop = self.at(fault.after)
        before = shop.tables()
        fault.damage(shop)
        run = shop.run(fault.jobs)
        compared = {path: state for path, state in clean.items() if path in shop.tables()}
        wrong = fault.end.wrong(run, shop, before, compared)
        said = run.error or (run.output.splitlines() or [""])[-1]
        return Result(fault, said.replace(str(shop.folder), ""), wrong, time.monotonic() - started)

    def _clean(self, fault: Fault) -> Tables:
        """Tables of the undamaged shop once the fault's jobs have run."""
        stage = "ingested" if fault.after in ("delivered", "listed") else fault.after
        self.at(stage)
        return self._built[stage]


def promote(shop: Shop) -> None:
    """Promote the only model: that of so small a shop beats no baseline, and faults of models need a champion."""
    warehouse = Warehouse(str(shop.warehouse), {"run_id": "campaign", "as_of_date": AS_OF})
    rows = warehouse.read_arrow(MODEL_DECISIONS)
    if rows["mlflow_run_id"].null_count:
        raise RuntimeError(f"no model to promote: {rows['reason'].to_pylist()}")
    at = rows.schema.get_field_index("is_promoted")
    rows = rows.set_column(at, rows.schema.field(at), pa.array([True] * rows.num_rows))
    warehouse.publish_arrow(MODEL_DECISIONS, rows, {"as_of_date": [date.fromisoformat(AS_OF)]})
