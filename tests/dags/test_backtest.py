"""The DAG of the walk-forward backtest, as Airflow sees it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowFailException, ParamValidationError

from dags import operators, weekly_recommendations
from dags.backtest import FEATURES, PARAMS, dag, weeks
from dags.operators import JobOperator

ROOT = Path(__file__).resolve().parents[2]
EACH_WEEK, REPORT = dag.get_task("evaluation.backtest"), dag.get_task("evaluation.backtest_report")


def test_features_once_then_every_week_then_the_report() -> None:
    assert EACH_WEEK.upstream_task_ids == {*FEATURES, "weeks"}
    assert REPORT.upstream_task_ids == {"evaluation.backtest"} and not REPORT.downstream_task_ids
    assert EACH_WEEK.is_mapped
    for task_id in (*FEATURES, EACH_WEEK.task_id, REPORT.task_id):
        assert ROOT.joinpath("jobs", *task_id.split(".")).with_suffix(".py").is_file()


def test_a_task_per_week() -> None:
    assert weeks.function(params={"backtest_weeks": 3}) == [[f"--backtest-week={week}"] for week in (1, 2, 3)]


def test_by_hand_only_and_behind_the_weekly_run() -> None:
    assert dag.schedule is None and dag.max_active_runs == 1 and dag.doc_md
    weekly = {task.priority_weight for task in weekly_recommendations.dag.tasks}
    pools = {(task.pool, task.weight_rule) for task in (EACH_WEEK, REPORT, *map(dag.get_task, (*FEATURES, "weeks")))}
    assert len(pools) == 1 and pools.pop()[0] == "heavy"
    assert max(task.priority_weight for task in dag.tasks) < min(weekly)


def test_the_as_of_date_has_to_be_given() -> None:
    with pytest.raises(ParamValidationError):
        PARAMS["as_of_date"].resolve()
    assert PARAMS["as_of_date"].resolve("2020-09-23") == "2020-09-23"


def test_by_hand_the_newest_week_in_the_tables_is_offered() -> None:
    """As `make up` found it; a trigger with the form as it is then works."""
    code = (
        "from dags import backtest, catalogue_intelligence as catalogue, model_systems;"
        "print(*[dag.PARAMS['as_of_date'].resolve() for dag in (backtest, model_systems)],"
        " catalogue.parameter('as_of_date', {'as_of_date': None}, {}))"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT), "ATELIER_LATEST_WEEK": "2020-09-23"}
    outcome = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert outcome.stdout.splitlines()[-1].split() == ["2020-09-23"] * 3


def test_the_command_line() -> None:
    params = {name: PARAMS[name].resolve(suppress_exception=True) for name in PARAMS}
    params |= {"as_of_date": "2020-09-23", "extra_sources": ["als", "gru"]}

    def rendered(line: list[str]) -> list[str]:
        return REPORT.render_template(line, {"run_id": "manual__1", "params": params})

    assert rendered(REPORT.arguments) == [
        "--as-of-date=2020-09-23", "--run-id=manual__1", "--warehouse=warehouse", "--data=data/sample", "--mapping=hm",
        "--encoder=efficientnet_lite0", "--training-weeks=0", "--backtest-weeks=12", "--max-epochs=20",
        "--seed=20200916",
    ]  # fmt: skip
    assert "--extra-sources=als,gru" in rendered(EACH_WEEK.partial_kwargs["arguments"])
    assert rendered(dag.get_task("features.articles").application_args) == [
        "--as-of-date=2020-09-23", "--run-id=manual__1", "--warehouse=warehouse", "--accept-drift=False",
        "--data=data/sample", "--training-weeks=0", "--backtest-weeks=12",
    ]  # fmt: skip


def test_a_mapped_tasks_own_arguments_come_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / ".venv" / "jobs" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$@"\nexit 2\n')
    python.chmod(0o755)
    monkeypatch.setattr(operators, "REPOSITORY", tmp_path)
    job = JobOperator(task_id="evaluation.backtest", arguments=["--seed=1"], more=["--backtest-week=3"])
    with pytest.raises(AirflowFailException, match=r"^-m jobs\.evaluation\.backtest --seed=1 --backtest-week=3 --publ"):
        job.execute({})
