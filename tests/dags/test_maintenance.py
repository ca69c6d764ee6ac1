"""The maintenance DAG as Airflow sees it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.sdk import timezone
from airflow.serialization.serialized_objects import DagSerialization

from dags import weekly_recommendations
from dags.maintenance import dag

ROOT = Path(__file__).resolve().parents[2]
(TASK,) = dag.tasks


def test_it_runs_one_job_in_the_heavy_pool_one_run_at_a_time() -> None:
    assert ROOT.joinpath("jobs", *TASK.task_id.split(".")).with_suffix(".py").is_file()
    assert (TASK.pool, TASK.retries, dag.max_active_runs) == ("heavy", 2, 1)
    assert dag.doc_md and "Retention" in dag.doc_md


def test_it_comes_on_sundays_between_two_weekly_runs() -> None:
    timetable = DagSerialization.from_dict(DagSerialization.to_dict(dag)).timetable
    wednesday = timezone.coerce_datetime(datetime(2020, 9, 16, tzinfo=UTC))
    assert timetable._get_next(wednesday) == datetime(2020, 9, 20, tzinfo=UTC)


def test_no_run_is_as_long_as_the_shortest_retention() -> None:
    shortest = timedelta(days=dag.params.get_param("retention_days").schema["minimum"])
    for task in (*weekly_recommendations.dag.tasks, TASK):
        assert task.execution_timeout is not None and task.execution_timeout < shortest / 2


@pytest.mark.parametrize("retention", [30, 8])
def test_the_command_line(retention: int) -> None:
    run = SimpleNamespace(run_after=datetime(2020, 9, 20, tzinfo=UTC))
    params = {"warehouse": "w", "retention_days": retention}
    context = {"dag_run": run, "run_id": "manual__1", "params": params}
    assert TASK.render_template(TASK.arguments, context) == [
        "--as-of-date=2020-09-20", "--run-id=manual__1", "--warehouse=w", f"--retention-days={retention}",
    ]  # fmt: skip
