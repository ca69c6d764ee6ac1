"""Housekeeping: no row changes, what nobody can reach goes, and what somebody may need stays."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from pydantic import ValidationError

from expectations.evaluation import EVALUATION_METRICS
from expectations.recommendations import RECOMMENDATIONS
from expectations.registry import CONTRACTS
from expectations.transactions import TRANSACTIONS
from jobs.maintenance.optimize_and_vacuum import CLUSTER_BY, READS, WRITES, main
from jobs.platform import table_maintenance
from jobs.platform.checks import check_rows
from jobs.platform.data_docs import write_page
from jobs.platform.job import Job
from jobs.platform.schemas import arrow_schema
from jobs.platform.settings import Settings
from jobs.platform.table_maintenance import MaintenanceResult, optimize_and_vacuum
from jobs.platform.warehouse import Warehouse
from tests.jobs.platform.things import DAY, THINGS, WEEK_BEFORE, arrow, day, frame, publish, stored, ungated

MONTH = timedelta(days=30)


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(str(tmp_path / "ware house 100%"), {"run_id": "test"})


@pytest.fixture
def folder(warehouse: Warehouse) -> Path:
    return Path(warehouse.uri(THINGS))


def age(table: Path, days: int) -> None:
    """Make everything that was done to the table so far that many days older, in files' times and in its log."""
    for path in table.rglob("*"):
        os.utime(path, (path.stat().st_mtime - days * 86_400,) * 2)
    for commit in table.glob("_delta_log/*.json"):
        moment = commit.stat().st_mtime
        entries = [json.loads(line) for line in commit.read_text().splitlines()]
        for entry in entries:
            for action in entry.values():
                for name in {"timestamp", "deletionTimestamp", "modificationTime"} & action.keys():
                    action[name] -= days * 86_400_000
        commit.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
        os.utime(commit, (moment, moment))


def data_files(table: Path) -> set[Path]:
    return set(table.rglob("*.parquet")) - set(table.glob("_delta_log/*"))


def killed_run(table: Path, name: str) -> set[Path]:
    """What a Spark job that was killed while writing leaves behind."""
    attempt = table / name / "_temporary" / "0" / "_temporary" / "attempt_1" / "as_of_date=2020-09-16"
    attempt.mkdir(parents=True)
    finished = table / name / "as_of_date=2020-09-16"
    finished.mkdir()
    files = {attempt / "part-1.parquet", attempt / ".part-1.parquet.crc", finished / "part-0.parquet"}
    for file in files:
        file.write_bytes(b"half")
    return files


def test_small_files_become_one_and_no_row_changes(spark, warehouse: Warehouse, folder: Path) -> None:
    rows = day(DAY, *[float(n % 10) for n in range(20)])
    publish(warehouse, frame("spark", rows, spark).repartition(5), DAY)
    publish(warehouse, arrow(day(WEEK_BEFORE, 7.0)), WEEK_BEFORE)
    assert optimize_and_vacuum(str(folder), MONTH) == MaintenanceResult(rewritten=5, written=1, removed=0, skipped=0)
    assert len(DeltaTable(folder).file_uris()) == 2
    assert stored(warehouse) == day(WEEK_BEFORE, 7.0) + rows
    assert warehouse.commit_metadata(THINGS) == {"run_id": "test"}


def test_a_rerun_finds_nothing_to_do(spark, warehouse: Warehouse, folder: Path) -> None:
    publish(warehouse, frame("spark", day(DAY, 3.0, 1.0, 2.0), spark).repartition(3), DAY)
    for cluster_by, rewritten in (((), 3), (["weight"], 0)):
        assert optimize_and_vacuum(str(folder), MONTH, cluster_by).rewritten == rewritten
    before = sorted(folder.rglob("*"))
    assert (
        optimize_and_vacuum(str(folder), MONTH)
        == optimize_and_vacuum(str(folder), MONTH, ["weight"])
        == MaintenanceResult(0, 0, 0, 0)
    )
    assert sorted(folder.rglob("*")) == before
    publish(warehouse, arrow(day(WEEK_BEFORE, 7.0)), WEEK_BEFORE)
    assert optimize_and_vacuum(str(folder), MONTH, ["weight"]) == MaintenanceResult(
        rewritten=1, written=1, removed=0, skipped=0
    )


def test_rows_lie_in_the_order_that_lookups_ask_for(spark, warehouse: Warehouse, folder: Path) -> None:
    publish(warehouse, frame("spark", day(DAY, 3.0, 1.0, 4.0, 2.0), spark).repartition(2), DAY)
    optimize_and_vacuum(str(folder), MONTH, ["weight"])
    (file,) = DeltaTable(folder).file_uris()
    assert DeltaTable(folder).to_pyarrow_table()["weight"].to_pylist() == [1.0, 2.0, 3.0, 4.0]
    assert "staged-" not in file


def test_only_what_is_older_than_the_retention_goes(spark, warehouse: Warehouse, folder: Path) -> None:
    publish(warehouse, frame("spark", day(DAY, 1.0), spark), DAY)
    gone = data_files(folder)
    publish(warehouse, arrow(day(DAY, 2.0)), DAY)
    gone |= killed_run(folder, "staged-long-ago")
    age(folder, 31)  # all of the above was written, and the first version replaced, longer ago than the retention
    still_reachable = data_files(folder) - gone
    publish(warehouse, arrow(day(DAY, 3.0)), DAY)  # replaces a file written 31 days ago, today
    writing = killed_run(folder, "staged-just-now")  # to tell a killed run from one that is still writing: its age

    assert optimize_and_vacuum(str(folder), MONTH).removed >= 3
    assert not any(path.exists() for path in gone)
    assert all(path.exists() for path in still_reachable | writing)
    assert stored(warehouse) == day(DAY, 3.0)
    yesterday = DeltaTable(folder, version=3).to_pyarrow_table()
    assert yesterday["weight"].to_pylist() == [2.0]
    assert optimize_and_vacuum(str(folder), MONTH) == MaintenanceResult(0, 0, 0, 0)


def test_odd_names_of_partitions_are_no_orphans(spark, warehouse: Warehouse) -> None:
    """The paths of files in the log and on disk are encoded differently."""
    names = ["a b.csv", "50%.csv", "x=y:z.csv", "ü&+#.csv", "a%20b.csv"]
    ids = {"source_file": names, "source_checksum": ["0" * 64] * len(names)}
    rest = {"t_dat": [DAY], "customer_id": ["c"], "article_id": ["a"], "customer_key": [0], "article_key": [0]}
    known = {**{k: v * len(names) for k, v in rest.items()}, **ids}
    values = {c.name: known.get(c.name, [1] * len(names)) for c in TRANSACTIONS.columns}
    rows = pa.table({name: pa.array(column) for name, column in values.items()}).cast(arrow_schema(TRANSACTIONS))
    frames = [rows, spark.createDataFrame(rows.to_pandas(), TRANSACTIONS.ddl)]
    warehouse.publish_arrow(ungated(TRANSACTIONS), frames[0], {})
    root = Path(warehouse.uri(TRANSACTIONS))
    for _ in range(2):
        age(root, 31)
        optimize_and_vacuum(str(root), MONTH)
        found = DeltaTable(root).to_pyarrow_table()
        assert sorted(found["source_file"].to_pylist()) == sorted(names)
        warehouse.publish_spark(ungated(TRANSACTIONS), frames[1].repartition(2), {})


def test_versions_within_the_retention_can_be_read_after_the_log_was_shortened(
    warehouse: Warehouse, folder: Path
) -> None:
    for weight in (1.0, 2.0, 3.0):
        publish(warehouse, arrow(day(DAY, weight)), DAY)
    optimize_and_vacuum(str(folder), MONTH)
    age(folder, 20)
    publish(warehouse, arrow(day(DAY, 4.0)), DAY)
    newest = DeltaTable(folder).version()
    age(folder, 20)  # the first three were published 40 days ago, the fourth 20
    publish(warehouse, arrow(day(DAY, 5.0)), DAY)
    optimize_and_vacuum(str(folder), MONTH)
    assert not (folder / "_delta_log" / f"{1:020}.json").exists()
    assert DeltaTable(folder, version=newest).to_pyarrow_table()["weight"].to_pylist() == [4.0]
    assert stored(warehouse) == day(DAY, 5.0)


def test_the_log_expires_although_nothing_was_published_since(warehouse: Warehouse, folder: Path) -> None:
    for weight in (1.0, 2.0):
        publish(warehouse, arrow(day(DAY, weight)), DAY)
    for name in ("staged-one", "staged-two"):
        killed_run(folder, name)
        age(folder, 40)
        optimize_and_vacuum(str(folder), MONTH)
    assert not (folder / "_delta_log" / f"{1:020}.json").exists()
    assert stored(warehouse) == day(DAY, 2.0)
    publish(warehouse, arrow(day(DAY, 3.0)), DAY)
    assert stored(warehouse) == day(DAY, 3.0)


@pytest.mark.parametrize("same_slice", [True, False])
def test_a_publish_that_gets_ahead_wins(
    warehouse: Warehouse, folder: Path, monkeypatch: pytest.MonkeyPatch, same_slice: bool
) -> None:
    """deltalake refuses to commit the rewrite of a version that is not the newest; the newest is rewritten then."""
    for when in (DAY, WEEK_BEFORE):
        publish(warehouse, arrow(day(when, 2.0, 1.0)), when)
    overtakes = iter([DAY if same_slice else WEEK_BEFORE])
    _overtaken(monkeypatch, lambda: [publish(warehouse, arrow(day(when, 9.0, 8.0)), when) for when in overtakes])
    assert optimize_and_vacuum(str(folder), MONTH, ["weight"]).skipped == 0
    monkeypatch.undo()
    expected = day(WEEK_BEFORE, 2.0, 1.0) + day(DAY, 9.0, 8.0)
    assert stored(warehouse) == (expected if same_slice else day(WEEK_BEFORE, 9.0, 8.0) + day(DAY, 2.0, 1.0))
    assert not any("staged-" in file for file in DeltaTable(folder).file_uris())


def test_a_table_that_is_published_to_all_the_time_is_left(
    warehouse: Warehouse, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    publish(warehouse, arrow(day(DAY, 2.0, 1.0)), DAY)
    monkeypatch.setattr(table_maintenance.time, "sleep", lambda seconds: None)
    _overtaken(monkeypatch, lambda: publish(warehouse, arrow(day(DAY, 9.0, 8.0)), DAY))
    assert optimize_and_vacuum(str(folder), MONTH, ["weight"]) == MaintenanceResult(0, 0, 0, skipped=1)
    assert f"{folder}: other runs published to it all the time; left for the next maintenance" in caplog.text
    assert stored(warehouse) == day(DAY, 9.0, 8.0)


def _overtaken(monkeypatch: pytest.MonkeyPatch, publishes: Callable[[], object]) -> None:
    """Let a publish happen between the moment housekeeping opens a table and the moment it rewrites it."""
    rewrite = table_maintenance._rewrite

    def overtaken(table: DeltaTable, partition: dict[str, str], cluster_by: list[str]) -> dict[str, int]:
        publishes()
        return rewrite(table, partition, cluster_by)

    monkeypatch.setattr(table_maintenance, "_rewrite", overtaken)


def run(root: str, **settings: object) -> str:
    job = Job(
        "maintenance.optimize_and_vacuum",
        Settings(as_of_date=DAY, warehouse=root, **settings),
        READS,
        WRITES,
    )
    return main(job)


def metrics(when: date) -> pa.Table:
    values = {"string": "x", "date": when, "int": 12, "bigint": 1, "double": 0.5, "boolean": True}
    row = {
        column.name: column.allowed[0] if column.allowed else values[column.type]
        for column in EVALUATION_METRICS.columns
    }
    return pa.Table.from_pylist([row], arrow_schema(EVALUATION_METRICS))


def test_the_job_looks_after_every_table_there_is(warehouse: Warehouse) -> None:
    for when in (DAY, DAY, WEEK_BEFORE):
        warehouse.publish_arrow(EVALUATION_METRICS, metrics(when), {"as_of_date": [when]})
    root = Path(warehouse.uri(EVALUATION_METRICS))
    age(root, 10)
    assert run(warehouse.root).startswith("1 tables: 0 files made 0, 0 that nobody can reach removed")
    assert "1 that nobody can reach removed; replaced versions are kept 8 days" in run(warehouse.root, retention_days=8)
    assert DeltaTable(root).metadata().configuration["delta.logRetentionDuration"] == "interval 8 days"
    assert warehouse.read_arrow(EVALUATION_METRICS).num_rows == 2


def test_the_job_keeps_data_docs_of_the_newest_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.platform.data_docs.RUNS_KEPT", 2)
    for run_id in "abc":
        write_page(str(tmp_path), {"run_id": run_id}, THINGS, check_rows(THINGS, arrow(day(DAY, 1.0))), "passed", [])
    assert "Data Docs of 1 old runs removed" in run(str(tmp_path))
    assert sorted(path.name for path in (tmp_path / "data_docs").iterdir()) == ["b", "c", "index.html", "tables"]
    assert "Data Docs" not in run(str(tmp_path))


def test_an_empty_warehouse_is_fine(tmp_path: Path) -> None:
    assert run(str(tmp_path)).startswith("0 tables")


def test_the_retention_is_longer_than_any_run() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 7"):
        Settings(as_of_date=DAY, retention_days=6)


def test_tables_are_clustered_by_columns_they_have() -> None:
    assert RECOMMENDATIONS.name in CLUSTER_BY
    for name, columns in CLUSTER_BY.items():
        assert set(columns) <= set(CONTRACTS[name].column_names) - set(CONTRACTS[name].partition_by)
