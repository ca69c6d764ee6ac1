"""Staged rows: unseen until their commit, and gone when something fails before it."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Barrier, Thread

import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs.platform.errors import ContractError
from jobs.platform.gates import Audit
from jobs.platform.warehouse import Warehouse
from tests.jobs.platform.things import DAY, THINGS, WEEK_BEFORE, arrow, day, frame, publish, stored


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    found = Warehouse(str(tmp_path / "ware house 100%"), {"run_id": "test"})
    publish(found, arrow(day(WEEK_BEFORE, 7.0)), WEEK_BEFORE)
    return found


def test_nobody_sees_rows_before_their_commit(spark: SparkSession, warehouse: Warehouse) -> None:
    with warehouse.staging(THINGS) as files:
        files.write_spark(frame("spark", day(DAY, 1.0), spark))
        assert stored(warehouse) == day(WEEK_BEFORE, 7.0)
        warehouse.publish_staged(files, files.written(), {"as_of_date": [DAY]})
    assert stored(warehouse) == day(WEEK_BEFORE, 7.0) + day(DAY, 1.0)


def test_files_of_one_name_in_several_partitions(spark: SparkSession, warehouse: Warehouse) -> None:
    """As each task of Spark's writes them."""
    rows = day(DAY, 1.0, 2.0, 3.0, 4.0) + day(WEEK_BEFORE, 5.0)
    publish(warehouse, frame("spark", rows, spark).coalesce(1), DAY, WEEK_BEFORE)
    assert stored(warehouse) == sorted(rows)


def test_only_files_that_a_task_told_of_are_published(spark: SparkSession, warehouse: Warehouse) -> None:
    """A task that dies after its write runs again elsewhere, and its rows would be there twice."""
    with warehouse.staging(THINGS) as files:
        files.write(arrow(day(DAY, 2.0)), as_of_date=str(DAY))
        told = files.write(arrow(day(DAY, 1.0)), as_of_date=str(DAY))
        assert warehouse.publish_staged(files, [told], {"as_of_date": [DAY]}) == 1
    assert stored(warehouse) == day(WEEK_BEFORE, 7.0) + day(DAY, 1.0)


def test_files_are_found_whatever_the_warehouse_is_called(warehouse: Warehouse) -> None:
    (file,) = warehouse.data_files(THINGS)
    assert file.read(["thing_id"]).num_rows == file.rows == len(day(WEEK_BEFORE, 7.0))


def test_a_failure_leaves_no_file(spark: SparkSession, warehouse: Warehouse) -> None:
    root = Path(warehouse.uri(THINGS))
    before = sorted(root.rglob("*.parquet"))
    with pytest.raises(ValueError, match="looked wrong"), warehouse.staging(THINGS) as files:
        files.write_spark(frame("spark", day(DAY, 1.0), spark))
        assert sorted(root.rglob("*.parquet")) != before
        raise ValueError("looked wrong")
    assert sorted(root.rglob("*.parquet")) == before


def test_a_failure_after_the_commit_takes_nothing_away(spark: SparkSession, warehouse: Warehouse) -> None:
    with pytest.raises(KeyboardInterrupt), warehouse.staging(THINGS) as files:
        path = files.write(arrow(day(DAY, 1.0)), as_of_date=str(DAY))
        warehouse.publish_staged(files, [path], {"as_of_date": [DAY]})
        raise KeyboardInterrupt
    assert stored(warehouse) == day(WEEK_BEFORE, 7.0) + day(DAY, 1.0)


def test_two_runs_that_commit_at_once_leave_the_slices_of_both(spark: SparkSession, warehouse: Warehouse) -> None:
    """Of two runs of one date the later stands; neither touches another date."""
    together = Barrier(3)

    def run(when: object, weight: float) -> None:
        with warehouse.staging(THINGS) as files:
            path = files.write(arrow(day(when, weight)), as_of_date=str(when))  # type: ignore[arg-type]
            together.wait()
            warehouse.publish_staged(files, [path], {"as_of_date": [when]})  # type: ignore[list-item]

    runs = [Thread(target=run, args=arguments) for arguments in ((DAY, 1.0), (DAY, 2.0), (WEEK_BEFORE, 9.0))]
    for thread in runs:
        thread.start()
    for thread in runs:
        thread.join()
    assert stored(warehouse) in [day(WEEK_BEFORE, 9.0) + day(DAY, weight) for weight in (1.0, 2.0)]


@pytest.mark.parametrize(
    ("row", "constraint"),
    [
        ((DAY, "z", "big", -0.5), "weight_minimum"),
        ((DAY, "z", "big", 10.5), "weight_maximum"),
        ((DAY, "z", "big", float("nan")), "weight_maximum"),
        ((DAY, "z", None, 1.0), "kind NOT NULL"),
        ((DAY, "z", "big", 7.0), "seven"),
    ],
)
@pytest.mark.parametrize("path", ["spark", "arrow", "blocks", "task"])
def test_constraints_hold_whoever_writes(
    spark: SparkSession, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, path: str, row: tuple, constraint: str
) -> None:
    """With the audit switched off, and a constraint that only the table knows."""
    monkeypatch.setattr(Audit, "run", lambda self: {})
    table = DeltaTable(warehouse.uri(THINGS))
    table.alter.add_constraint({"seven": "weight IS NULL OR weight <> 7 OR as_of_date < '2020-09-10'"})
    rows, replace = [*day(DAY, 1.0), row], {"as_of_date": [DAY]}
    with pytest.raises(Exception, match=rf"{constraint}|Invalid data found: 1 rows|null values to non-nullable"):
        if path == "spark":
            warehouse.publish_spark(THINGS, spark.createDataFrame(rows, THINGS.ddl), replace)
        elif path == "arrow":
            warehouse.publish_arrow(THINGS, arrow(rows), replace)
        elif path == "blocks":
            warehouse.publish_blocks(THINGS, [arrow(rows)], replace)
        else:
            with warehouse.staging(THINGS) as files:
                written = [files.write(arrow(rows), as_of_date=str(DAY))]
                warehouse.publish_staged(files, written, replace)
    assert DeltaTable(warehouse.uri(THINGS)).version() == table.version()
    assert stored(warehouse) == day(WEEK_BEFORE, 7.0)


def test_a_nan_is_no_missing_value(spark: SparkSession, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Great Expectations takes it for one where rows are checked in memory."""
    monkeypatch.setattr("jobs.platform.warehouse.ARROW_ROWS", 1000)
    with pytest.raises(ContractError, match=r"weight: numbers that are not finite, or beyond 1e\+15, in 1 rows"):
        publish(warehouse, frame("spark", day(DAY, 1.0, float("nan")), spark), DAY)
    assert stored(warehouse) == day(WEEK_BEFORE, 7.0)


def test_statistics_let_readers_skip_files_and_never_lie(spark: SparkSession, warehouse: Warehouse) -> None:
    rows = frame("spark", day(DAY, 3.0, None, 1.0), spark).withColumn("thing_id", F.concat(F.lit("z" * 40), "thing_id"))
    publish(warehouse, rows.coalesce(1), DAY)
    table = DeltaTable(warehouse.uri(THINGS))
    log = Path(warehouse.uri(THINGS), "_delta_log", f"{table.version():020}.json").read_text()
    (added,) = [json.loads(entry["add"]["stats"]) for entry in map(json.loads, log.splitlines()) if "add" in entry]
    assert added["numRecords"] == 3
    assert (added["minValues"]["weight"], added["maxValues"]["weight"], added["nullCount"]["weight"]) == (1.0, 3.0, 1)
    ids = table.to_pyarrow_table(columns=["thing_id"], filters=[("as_of_date", "=", DAY)])["thing_id"].to_pylist()
    low, high = added["minValues"]["thing_id"], added["maxValues"]["thing_id"]
    assert all(low.encode() <= text.encode() <= high.encode() for text in ids)
    found = table.to_pyarrow_table(filters=[("thing_id", "=", ids[0])])
    assert found.num_rows == 1


def test_a_constraint_that_is_added_during_the_audit_holds(
    spark: SparkSession, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = Audit.run

    def added(self: Audit) -> dict[str, str]:
        found = audit(self)
        DeltaTable(warehouse.uri(THINGS)).alter.add_constraint({"light": "weight IS NULL OR weight < 8"})
        return found

    monkeypatch.setattr(Audit, "run", added)
    with pytest.raises(ContractError, match="breaks the constraint light on 1 rows"):
        publish(warehouse, frame("spark", day(DAY, 1.0, 9.0), spark), DAY)
    assert stored(warehouse) == day(WEEK_BEFORE, 7.0)
