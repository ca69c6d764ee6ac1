"""The DAG of the recommender systems, as Airflow sees it."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow.sdk.exceptions import ParamValidationError

from dags import weekly_recommendations
from dags.model_systems import EVERY, JUDGES, PARAMS, dag, systems

ROOT = Path(__file__).resolve().parents[2]


def test_a_task_per_protocol_mapped_over_the_systems_then_the_report() -> None:
    report = dag.get_task("evaluation.recommender_report")
    assert report.upstream_task_ids == set(JUDGES)
    assert report.trigger_rule == "all_done"  # a system that fails stops no other
    for job in JUDGES:
        task = dag.get_task(job)
        assert task.is_mapped and task.upstream_task_ids == {"systems", "features.keywords"}
        assert ROOT.joinpath("jobs", *job.split(".")).with_suffix(".py").is_file()


def test_the_form_names_the_systems_that_run() -> None:
    assert PARAMS["systems"].resolve() == EVERY
    chosen = systems.function(params={"systems": ["als", "gru_features"]})
    assert chosen == [["--system=als"], ["--system=gru_features"]]
    for bad in ([], ["fpgrowth"], "als"):
        with pytest.raises(ParamValidationError):
            PARAMS["systems"].resolve(bad)


def test_by_hand_only_and_behind_the_weekly_run() -> None:
    assert dag.schedule is None and dag.max_active_runs == 1 and dag.doc_md
    weekly = {task.priority_weight for task in weekly_recommendations.dag.tasks}
    assert {(task.pool, task.weight_rule) for task in dag.tasks} == {("heavy", "absolute")}
    assert max(task.priority_weight for task in dag.tasks) < min(weekly)


def test_the_as_of_date_has_to_be_given() -> None:
    with pytest.raises(ParamValidationError):
        PARAMS["as_of_date"].resolve()


def test_the_command_line() -> None:
    params = {name: PARAMS[name].resolve(suppress_exception=True) for name in PARAMS} | {"as_of_date": "2020-09-23"}
    task = dag.get_task("evaluation.weekly_protocol")
    assert task.render_template(task.partial_kwargs["arguments"], {"run_id": "manual__1", "params": params}) == [
        "--as-of-date=2020-09-23", "--run-id=manual__1", "--warehouse=warehouse", "--accept-drift=False",
        "--data=data/sample", "--mapping=hm", "--encoder=efficientnet_lite0", "--keyword-method=tfidf",
        "--system-epochs=10", "--training-weeks=0", "--max-epochs=20", "--extra-sources=",
        "--seed=20200916", "--top-k=12",
    ]  # fmt: skip
