"""The DAG as Airflow sees it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import AirflowFailException
from airflow.serialization.definitions.dag import SerializedDAG
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.base import DagRunInfo

from dags import weekly_recommendations
from dags.common import JOBS, week_end
from dags.weekly_recommendations import as_of_date, dag

ROOT = Path(__file__).resolve().parents[2]


def ancestors(task_id: str) -> set[str]:
    return {task.task_id for task in dag.get_task(task_id).get_flat_relatives(upstream=True)}


def test_the_dags_folder_loads() -> None:
    bag = DagBag(dag_folder=str(ROOT / "dags"), known_pools={"heavy"})
    assert bag.import_errors == {}
    others = ["backtest", "catalogue_intelligence", "maintenance", "model_systems", "shop_events"]
    assert sorted(bag.dags) == [*others, "weekly_recommendations"]
    assert DagSerialization.to_dict(dag)["dag"]["dag_id"] == "weekly_recommendations"


def test_loading_it_imports_nothing_heavy() -> None:
    code = (
        "import sys, dags.backtest, dags.catalogue_intelligence, dags.maintenance, dags.model_systems;"
        " import dags.shop_events, dags.weekly_recommendations; print(*{m.split('.')[0] for m in sys.modules})"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    outcome = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    loaded = set(outcome.stdout.splitlines()[-1].split())
    assert loaded & {"pandas", "pyspark", "torch", "polars", "mlflow", "deltalake", "jobs", "expectations"} == set()


def test_a_task_id_is_a_module_of_jobs() -> None:
    absent = [
        task.task_id
        for task in dag.tasks
        if not ROOT.joinpath("jobs", *task.task_id.split(".")).with_suffix(".py").is_file()
    ]
    assert absent == []


@pytest.mark.parametrize(
    ("task", "waits_for"),
    [
        ("ingest.transactions", {"ingest.articles", "ingest.customers"}),
        ("ranking.train", {"features.customers", "features.articles", "features.interactions", "embeddings.images"}),
        ("ranking.score", {"evaluation.evaluate", "evaluation.gate"}),
        ("publish.recommendations", {"evaluation.gate", "ranking.score", "ingest.transactions"}),
        ("evaluation.realised_performance", {"ingest.transactions"}),
        ("reports.run_page", {"reports.business_metrics", "evaluation.realised_performance"}),
        ("reports.business_metrics", {"publish.recommendations"}),
        ("publish.personal_picks", {"ingest.transactions", "embeddings.images"}),
    ],
)
def test_the_order_that_matters(task: str, waits_for: set[str]) -> None:
    assert waits_for <= ancestors(task)


def test_last_week_is_measured_without_waiting_for_this_weeks_model() -> None:
    measures = ("evaluation.realised_performance", "reports.recommendation_performance")
    assert not {"ranking.train", "publish.recommendations"} & {task for name in measures for task in ancestors(name)}


def test_the_log_is_an_asset_that_picks_performance_and_baskets_follow_from() -> None:
    """The tasks run without it, too: no task of this DAG writes it."""
    readers = {task.task_id for task in dag.tasks if "silver/events" in {asset.name for asset in task.inlets}}
    assert readers == {"publish.personal_picks", "reports.recommendation_performance", "baskets.bought_together"}


def test_every_task_is_retried_with_growing_pauses_in_the_heavy_pool() -> None:
    for task in dag.tasks:
        assert (task.pool, task.retries, task.retry_exponential_backoff) == ("heavy", 2, True)
        assert task.execution_timeout is not None


def test_a_task_gets_the_settings_that_its_job_takes_and_no_other() -> None:
    passed = set[str]()
    for task in dag.tasks:
        line = getattr(task, "arguments", None) or task.application_args
        names = {argument.split("=")[0].removeprefix("--").replace("-", "_") for argument in line}
        assert names == {"run_id", *dag.params} & set(JOBS[task.task_id]["settings"])
        passed |= names
    assert passed == {"run_id", *dag.params}  # no field of the form says nothing
    assert any("as_of_date(dag_run, params.as_of_date)" in part for part in dag.get_task("ranking.train").arguments)


def test_weeks_run_from_wednesday_to_wednesday() -> None:
    timetable = read_back().timetable
    week = timetable.infer_manual_data_interval(run_after=_pendulum(datetime(2020, 9, 16, tzinfo=UTC)))
    assert (week.start, week.end) == (datetime(2020, 9, 9, tzinfo=UTC), datetime(2020, 9, 16, tzinfo=UTC))


def read_back() -> SerializedDAG:
    """The DAG as the scheduler has it."""
    return DagSerialization.from_dict(DagSerialization.to_dict(dag))


def test_no_week_starts_unless_it_is_asked_for() -> None:
    scheduled = read_back()
    assert "on request" in scheduled.timetable.summary
    last = DagRunInfo.interval(start=_pendulum(SEP_09), end=_pendulum(SEP_16))
    assert [scheduled.next_dagrun_info(last_automated_run_info=run) for run in (None, last)] == [None, None]
    asked_for = scheduled.iter_dagrun_infos_between(SEP_09 - timedelta(days=8), SEP_09)
    assert [week.logical_date for week in asked_for] == [SEP_09 - timedelta(days=7), SEP_09]


def _pendulum(moment: datetime) -> Any:
    from airflow.sdk import timezone

    return timezone.coerce_datetime(moment)


def _run(logical: datetime | None, end: datetime | None) -> SimpleNamespace:
    return SimpleNamespace(logical_date=logical, data_interval_end=end, run_type="manual")


SEP_09, SEP_16 = datetime(2020, 9, 9, tzinfo=UTC), datetime(2020, 9, 16, tzinfo=UTC)
LONG_AFTER = datetime(2026, 11, 18, tzinfo=UTC)


@pytest.mark.parametrize(
    ("logical", "end", "override", "expected"),
    [
        (SEP_09, SEP_16, None, "2020-09-16"),  # the schedule, a backfill: named by the week's start
        (SEP_16, SEP_16, None, "2020-09-16"),  # triggered in the UI: the last week that ended
        (SEP_16 + timedelta(days=6), SEP_16, None, "2020-09-16"),
        (SEP_16, LONG_AFTER, None, "2020-09-16"),  # dags trigger --logical-date: its interval is today's
        (SEP_16 + timedelta(days=6), LONG_AFTER, None, "2020-09-16"),
        (SEP_16 - timedelta(days=1), LONG_AFTER, None, "2020-09-09"),
        (SEP_09, SEP_16, "2020-08-19", "2020-08-19"),  # the form wins
        (None, None, "2020-08-19", "2020-08-19"),
    ],
)
def test_as_of_date(logical: datetime | None, end: datetime | None, override: str | None, expected: str) -> None:
    assert as_of_date(_run(logical, end), override) == expected


@pytest.mark.parametrize(
    ("logical", "end", "override", "run_type", "expected"),
    [
        (LONG_AFTER, LONG_AFTER, None, "manual", "2020-09-23"),  # the Trigger button, on files of the past
        (None, None, None, "manual", "2020-09-23"),
        (SEP_16 + timedelta(days=2), SEP_16, None, "manual", "2020-09-16"),  # a day of the past was chosen
        (LONG_AFTER, LONG_AFTER, "2020-08-19", "manual", "2020-08-19"),
        (LONG_AFTER - timedelta(days=7), LONG_AFTER, None, "manual", "2026-11-18"),  # as the demo asks: an interval
        (LONG_AFTER - timedelta(days=7), LONG_AFTER, None, "scheduled", "2026-11-18"),  # missing data is to fail
    ],
)
def test_a_triggered_run_is_of_the_newest_week_at_hand(
    logical: datetime | None,
    end: datetime | None,
    override: str | None,
    run_type: str,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(weekly_recommendations, "LATEST_WEEK", "2020-09-23")
    run = SimpleNamespace(logical_date=logical, data_interval_end=end, run_type=run_type)
    assert as_of_date(run, override) == expected


@pytest.mark.parametrize("end_of_week", [as_of_date, lambda _, day: week_end(day)], ids=["weekly", "by hand"])
def test_a_day_that_ends_no_week_is_refused_by_the_first_task(end_of_week: Callable[[Any, str], str]) -> None:
    with pytest.raises(AirflowFailException, match=r"2020-09-17 is a Thursday; .* give 2020-09-16 or 2020-09-23$"):
        end_of_week(_run(SEP_09, SEP_16), "2020-09-17")


def test_every_task_waits_for_the_look_at_the_machine() -> None:
    assert all("maintenance.doctor" in ancestors(task.task_id) for task in dag.tasks[1:])


def test_a_run_without_any_date_must_be_given_one() -> None:
    with pytest.raises(AirflowFailException, match="give as_of_date"):
        as_of_date(_run(None, None), None)


def test_defaults_and_the_schedule_come_from_the_environment() -> None:
    code = (
        "from dags.weekly_recommendations import dag; p = dag.params;"
        "print(p['data'], p['top_k'], p['exclude_bought'], p['extra_sources'], type(dag.timetable).__name__)"
    )
    given = {"ATELIER_DATA": "/data/hm", "ATELIER_TOP_K": "20", "ATELIER_EXCLUDE_BOUGHT": "True"}
    given |= {"ATELIER_EXTRA_SOURCES": "als,gru", "ATELIER_WEEKLY_SCHEDULE": "True"}
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | given
    outcome = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert outcome.stdout.splitlines()[-1] == "/data/hm 20 True ['als', 'gru'] CronDataIntervalTimetable"


def test_a_week_of_an_older_retailers_data_runs_every_task() -> None:
    # Airflow makes no task instance for a logical date before the start date, and calls the empty run a success.
    complete_journey_begins = datetime(2017, 1, 1, tzinfo=UTC)
    starts = [dag.start_date, *(task.start_date for task in dag.tasks)]
    assert all(start is None or start < complete_journey_begins for start in starts)
