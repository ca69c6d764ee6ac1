"""The DAG of the shop's log, as Airflow sees it."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.serialization.serialized_objects import DagSerialization

from dags.shop_events import PARAMS, dag, end_of_day, is_end_of_day, timetable

DAY = datetime(2020, 9, 2, tzinfo=UTC)


def run_of(end: datetime | None, kind: str = "scheduled") -> Any:
    return SimpleNamespace(data_interval_end=end, run_after=datetime(2020, 9, 1, 7, 30, tzinfo=UTC), run_type=kind)


def test_visitors_come_after_the_events_and_products_by_themselves() -> None:
    waits = {task.task_id: task.upstream_task_ids for task in dag.tasks}
    assert waits == {
        "ingest.shop_events": set(),
        "ingest.products": set(),
        "is_end_of_day": {"ingest.shop_events"},
        "ingest.visitors": {"is_end_of_day"},
    }
    assert dag.max_active_runs == 1 and {task.pool for task in dag.tasks} == {"heavy"}


def test_it_starts_on_arrival_and_by_the_clock_only_where_told() -> None:
    stored = DagSerialization.from_dict(DagSerialization.to_dict(dag)).timetable
    assert {asset.name for _, asset in stored.asset_condition.iter_assets()} == {"delivered/events"}
    assert type(stored.timetable).__name__ == "OnRequest"  # which starts nothing by itself: tests of the weekly DAG
    assert (type(timetable(True)).__name__, timetable(True).expression) == ("CronDataIntervalTimetable", "0 * * * *")


@pytest.mark.parametrize(
    ("end", "override", "day"),
    [
        (DAY, None, "2020-09-02"),
        (DAY.replace(hour=5), None, "2020-09-03"),
        (None, None, "2020-09-02"),
        (DAY, "2020-08-01", "2020-08-01"),
    ],
)
def test_the_as_of_date_is_when_the_day_is_over(end: datetime | None, override: str | None, day: str) -> None:
    assert end_of_day(run_of(end), override) == day


def test_visitors_are_put_down_once_a_day() -> None:
    ends = is_end_of_day.function
    assert ends(run_of(DAY)) and not ends(run_of(DAY.replace(hour=5))) and ends(run_of(DAY.replace(hour=5), "manual"))
    assert not ends(run_of(None, "asset_triggered"))


def test_the_command_line() -> None:
    task = dag.get_task("ingest.shop_events")
    params = {name: PARAMS[name].value for name in PARAMS}
    context = {"run_id": "r", "params": params, "dag_run": run_of(DAY)} | dag.user_defined_macros
    assert task.render_template(task.application_args, context) == [
        "--as-of-date=2020-09-02", "--run-id=r", "--warehouse=warehouse", "--accept-drift=False",
        "--data=data/sample", "--event-mapping=atelier", "--max-quarantine-share=0.05", "--session-gap-minutes=30",
    ]  # fmt: skip
