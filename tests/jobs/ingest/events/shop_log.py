"""Small logs and runs of the job on them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from expectations.contract import Contract
from jobs.ingest import shop_events
from jobs.platform.job import Job
from jobs.platform.settings import Settings


def event(time: str, event: str = "view", article: str | None = "a1", visitor: str | None = "v1", **more: Any) -> dict:
    """An event of Atelier's log on 2020-09-01, or on the day that `time` says (T)."""
    moment = time if "T" in time else f"2020-09-01T{time}Z"
    return {"time": moment, "event": event, "article_id": article, "visitor_id": visitor, **more}


def write_log(data: Path, name: str, events: Iterable[Mapping[str, Any] | str]) -> Path:
    path = data / "events" / name
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text("".join((e if isinstance(e, str) else json.dumps(e)) + "\n" for e in events), encoding="utf-8")
    return path


def take_in(spark: SparkSession, data: Path, module: Any = shop_events, **settings: Any) -> str:
    """A run of the job; returns its summary."""
    fields = {"as_of_date": date(2020, 9, 16), "data": data, "warehouse": str(data / "warehouse"), **settings}
    job = Job(module.__name__.removeprefix("jobs."), Settings(**fields), module.READS, module.WRITES)
    return module.main(job)


def rows(data: Path, contract: Contract, *columns: str) -> list[tuple]:
    """The published rows as an analyst sees them, sorted."""
    table = DeltaTable(str(data / "warehouse" / contract.path)).to_pyarrow_table()
    found = pl.DataFrame(pl.from_arrow(table)).select(columns).rows()
    return sorted(found, key=lambda row: [(value is not None, value) for value in row])


def version(data: Path, contract: Contract) -> int:
    return DeltaTable(str(data / "warehouse" / contract.path)).version()
