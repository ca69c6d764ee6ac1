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
from jobs.ingest.events.mapping import EventsMapping, load_log_mapping
from jobs.ingest.events.reading import frames
from jobs.ingest.events.transform import transform
from jobs.ingest.files import indexed, source_files
from jobs.ingest.reading import blocks
from jobs.platform.job import Job
from jobs.platform.settings import Settings

LOG = load_log_mapping("atelier").events
ODD = {"time": "2020-09-01T10:00:00Z", "event": "view", "article_id": "1", "visitor_id": "v"}


def event(time: str, event: str = "view", article: str | None = "a1", visitor: str | None = "v1", **more: Any) -> dict:
    """An event of Atelier's log on 2020-09-01, or on the day that `time` says (T)."""
    moment = time if "T" in time else f"2020-09-01T{time}Z"
    return {"time": moment, "event": event, "article_id": article, "visitor_id": visitor, **more}


def write_log(data: Path, name: str, events: Iterable[Mapping[str, Any] | str]) -> Path:
    path = data / "events" / name
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text("".join((e if isinstance(e, str) else json.dumps(e)) + "\n" for e in events), encoding="utf-8")
    return path


def read(data: Path, mapping: EventsMapping = LOG) -> list[tuple[int, str, str]]:
    """Line, article and visitor of all events of the one file."""
    (file,) = source_files(data, mapping)
    found = [transform(frame, mapping) for block in blocks(indexed(file)) for frame in frames(block, mapping.records)]
    return [row for part in found for row in part.events.select("source_line", "article_id", "visitor_id").rows()]


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
