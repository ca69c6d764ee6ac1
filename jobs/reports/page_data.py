"""What a run's page shows beyond the business metrics: verdicts, quarantine, checks, freshness, run times, drift."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
import numpy as np
import polars as pl

from expectations.contract import Contract
from expectations.evaluation import MODEL_DECISIONS
from expectations.operations import DELIVERIES
from expectations.transactions import QUARANTINE
from jobs.platform import storage
from jobs.platform.data_docs import site
from jobs.platform.distributions import LEAST_SHARE
from jobs.platform.job import Job
from jobs.platform.tracking import EXPERIMENT

#: Verdicts of the gate that are shown.
VERDICTS = 10
#: The map's file, and the newest runs that are looked at for it.
MAP, MAP_RUNS = "map.png", 10
#: What drift is measured of: segment type and the metric whose shares are compared.
DRIFTING = (
    ("department", "units"), ("channel", "units"), ("age_band", "active_customers"), ("lifecycle", "active_customers")
)  # fmt: skip
#: By usage a population stability index below the first is calm, and above the second a shift.
CALM, SHIFT = 0.1, 0.25


def read(job: Job, contract: Contract, where: dict | None = None) -> pl.DataFrame:
    """Rows of an as-of table until the run's date; none where there is no table."""
    if not job.exists(contract):
        return pl.DataFrame(schema={name: pl.Null for name in contract.column_names})
    until = {"as_of_date": job.settings.as_of_date + timedelta(days=1)}
    found = pl.from_arrow(job.read_arrow(contract, contract.column_names, where, until))
    assert isinstance(found, pl.DataFrame)
    return found


def verdicts(job: Job) -> list[dict[str, Any]]:
    """The gate's last verdicts until the as-of date, the newest first."""
    if not job.exists(MODEL_DECISIONS):
        return []
    columns = ["as_of_date", "model_version", "is_promoted", "reason", "rolled_back_date"]
    until = {"as_of_date": job.settings.as_of_date + timedelta(days=1)}
    rows = job.read_arrow(MODEL_DECISIONS, columns, before=until)
    return rows.sort_by([("as_of_date", "descending")]).to_pylist()[:VERDICTS]


def verdict(decision: dict[str, Any]) -> str:
    """The gate's verdict, in a word or two."""
    if decision["rolled_back_date"]:
        return "rolled back"
    return "promoted" if decision["is_promoted"] else "not promoted"


def quarantined(job: Job) -> list[tuple[str, str, int]]:
    """Rows in quarantine: table, reason, how many; most first."""
    if not job.exists(QUARANTINE):
        return []
    found: Counter[tuple[str, str]] = Counter()
    for batch in job.read_batches(QUARANTINE, ["table_name", "reason"]):
        rows = pl.from_arrow(batch)
        assert isinstance(rows, pl.DataFrame)
        for table, reason, count in rows.group_by("table_name", "reason").len().iter_rows():
            found[table, reason] += count
    return [(table, reason, count) for (table, reason), count in found.most_common()]


def checks(job: Job) -> list[dict[str, Any]]:
    """Records of the checks of this run's tables, by the time they were made; none where there are none."""
    files, folder = storage.filesystem(site(job.warehouse.root, job.settings.run_id))
    try:
        with files.open_input_stream(f"{folder}/run.json") as stream:
            return sorted(json.loads(stream.read()), key=lambda record: record["time"])
    except (FileNotFoundError, OSError):
        return []


def deliveries(job: Job) -> list[tuple[str, int, str]]:
    """Of each table the files it was made from, and the newest as-of date of a run that found the list of them so."""
    if not job.exists(DELIVERIES):
        return []
    rows = job.read_arrow(DELIVERIES, ["table_name", "as_of_date"]).group_by("table_name")
    sums = rows.aggregate([("as_of_date", "max"), ("table_name", "count")]).sort_by("table_name")
    return [
        (row["table_name"], row["table_name_count"], str(row["as_of_date_max"] or "each file is taken in once"))
        for row in sums.to_pylist()
    ]


def run_times(job: Job, records: list[dict[str, Any]]) -> list[tuple[str, float]]:
    """Seconds of each job of this run, the last try's, in the order they began: of the finished run that MLflow has,
    else until the last of the job's tables was checked.

    Args:
        job: this one.
        records: see `checks`.
    """
    spans: dict[str, tuple[float, float]] = {}
    for record in sorted((r for r in records if r.get("started")), key=lambda r: r["time"]):
        began, ended = (datetime.fromisoformat(record[name]).timestamp() for name in ("started", "time"))
        spans[record["job"]] = began, ended
    records_of = set(spans)
    found = mlflow.MlflowClient().search_runs(
        [mlflow.set_experiment(EXPERIMENT).experiment_id],
        f"tags.as_of_date = '{job.settings.as_of_date}' AND attributes.status = 'FINISHED'",
        order_by=["attributes.start_time ASC"],
    )
    for run in (run for run in found if run.data.tags.get("run_id") == job.settings.run_id and run.info.end_time):
        name, began, ended = run.data.tags["job"], run.info.start_time / 1000, run.info.end_time / 1000
        first, last = spans.get(name, (began, ended))
        if name not in records_of or began >= first:  # else of a try before that
            spans[name] = (first, max(ended, last)) if name in records_of else (began, ended)
    in_order = sorted(spans.items(), key=lambda item: item[1])
    return [(name, ended - began) for name, (began, ended) in in_order]


def stability(before: dict[str, float], now: dict[str, float]) -> float:
    """Population stability index of two sets of counts by name."""
    names = sorted(before.keys() | now.keys())
    shares = [np.array([counts.get(name, 0.0) for name in names]) for counts in (before, now)]
    old, new = (np.maximum(values / max(values.sum(), 1e-300), LEAST_SHARE) for values in shares)
    return float(((new - old) * np.log(new / old)).sum())


def by_chance(before: dict[str, float], now: dict[str, float]) -> float:
    """What the index of two samples of one distribution comes to: bins less one, times the sum of 1 / counts."""
    counts = [max(sum(part.values()), 1.0) for part in (before, now)]
    return (len(before.keys() | now.keys()) - 1) * sum(1 / count for count in counts)


def drift(metrics: pl.DataFrame, as_of_date: date) -> Iterator[tuple[str, str, float, float, str]]:
    """How far what was sold, and to whom, has moved: what, since when, index, what chance makes of it, in a word."""
    for kind, metric in DRIFTING:
        rows = metrics.filter((pl.col("segment_type") == kind) & (pl.col("metric") == metric))
        by_day: dict[date, dict[str, float]] = {}
        for day, segment, value in rows.select("as_of_date", "segment", "value").iter_rows():
            by_day.setdefault(day, {})[segment] = value
        for weeks, words in ((1, "last week"), (52, "a year ago")):
            if (earlier := by_day.get(as_of_date - timedelta(weeks=weeks))) and as_of_date in by_day:
                index, chance = stability(earlier, by_day[as_of_date]), by_chance(earlier, by_day[as_of_date])
                level = "calm" if index - chance < CALM else "moves" if index - chance < SHIFT else "shift"
                yield f"{metric.replace('_', ' ')} by {kind.replace('_', ' ')}", words, index, chance, level


def picture_map(job: Job) -> bytes | None:
    """The t-SNE map of the articles' pictures that the newest fit of an encoder until the as-of date drew; PNG."""
    client = mlflow.MlflowClient()
    runs = client.search_runs(
        [mlflow.set_experiment(EXPERIMENT).experiment_id],
        "tags.job = 'embeddings.images' AND attributes.status = 'FINISHED'",
        order_by=["attributes.start_time DESC"],
        max_results=MAP_RUNS,
    )
    for run in (r.info.run_id for r in runs if r.data.tags.get("as_of_date", "") <= str(job.settings.as_of_date)):
        for folder in (item.path for item in client.list_artifacts(run) if item.is_dir):
            path = f"{folder}/{MAP}"
            if any(item.path == path for item in client.list_artifacts(run, folder)):
                with TemporaryDirectory() as scratch:
                    file = mlflow.artifacts.download_artifacts(run_id=run, artifact_path=path, dst_path=scratch)
                    return Path(file).read_bytes()
    return None
