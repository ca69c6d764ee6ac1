"""The DAG of the recommender systems, as Airflow sees it."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow.sdk.exceptions import ParamValidationError

from dags import weekly_recommendations
from dags.model_systems import EVERY, JUDGES, PARAMS, chosen, dag

ROOT = Path(__file__).resolve().parents[2]


def test_a_task_per_system_and_protocol_then_the_report() -> None:
    report = dag.get_task("evaluation.recommender_report")
    assert report.upstream_task_ids == {f"{job}.{system}" for job in JUDGES for system in EVERY}
    assert report.trigger_rule == "all_done"  # a system that fails stops no other
    for job in JUDGES:
        assert dag.get_task(f"{job}.als").upstream_task_ids == {"chosen"}
        assert dag.get_task(f"{job}.gru_features").upstream_task_ids == {"chosen", "features.keywords"}


def test_the_form_names_the_systems_that_run() -> None:
    everything = PARAMS["systems"].resolve()
    assert sorted(chosen.function(params={"systems": everything})) == sorted(dag.get_task("chosen").downstream_task_ids)
    assert chosen.function(params={"systems": ["als", "gru_features"]}) == [
        "evaluation.weekly_protocol.als", "evaluation.weekly_protocol.gru_features",
        "evaluation.next_purchase.als", "evaluation.next_purchase.gru_features",
    ]  # fmt: skip
    for bad in ([], ["fpgrowth"], "als"):
        with pytest.raises(ParamValidationError):
            PARAMS["systems"].resolve(bad)


def test_a_task_id_begins_with_its_module() -> None:
    for task in (task for task in dag.tasks if task.task_id != "chosen"):
        assert ROOT.joinpath("jobs", *task.job.split(".")).with_suffix(".py").is_file()
        assert task.task_id == task.job or task.task_id.startswith(f"{task.job}.")


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
    task = dag.get_task("evaluation.weekly_protocol.lstm_features")
    assert task.render_template(task.arguments, {"run_id": "manual__1", "params": params}) == [
        "--as-of-date=2020-09-23", "--run-id=manual__1", "--warehouse=warehouse", "--accept-drift=False",
        "--data=data/sample", "--mapping=hm", "--encoder=catalogue", "--keyword-method=tfidf",
        "--system=lstm_features", "--system-epochs=10", "--training-weeks=10", "--max-epochs=20", "--extra-sources=",
        "--seed=20200916", "--top-k=12",
    ]  # fmt: skip
