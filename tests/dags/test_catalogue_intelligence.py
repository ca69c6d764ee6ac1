"""The DAG that assets start, as Airflow sees it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from airflow.serialization.serialized_objects import DagSerialization

from dags import weekly_recommendations
from dags.catalogue_intelligence import BY_IMAGE, BY_JOINT, BY_TEXT, JOINT_ENCODER, PARAMS, TAGGED_BY, dag, parameter

ROOT = Path(__file__).resolve().parents[2]


def test_it_runs_once_articles_and_transactions_are_both_new() -> None:
    timetable = DagSerialization.from_dict(DagSerialization.to_dict(dag)).timetable
    waits_for = {asset.name for _, asset in timetable.asset_condition.iter_assets()}
    updated = {asset.name for task in weekly_recommendations.dag.tasks for asset in task.outlets}
    assert waits_for == {"silver/articles", "silver/transactions"} <= updated
    assert "AssetAll" in type(timetable.asset_condition).__name__


def test_a_task_per_encoder_and_method_then_the_figures() -> None:
    for job, flag, methods in (("images", "encoder", BY_IMAGE), ("texts", "text-encoder", BY_TEXT)):
        for method, encoder in methods.items():
            find = dag.get_task(f"similarity.similar_articles.{method}")
            embed = dag.get_task(f"embeddings.{job}.{encoder}")
            assert find.upstream_task_ids == {embed.task_id} and embed.upstream_task_ids == {"ingest.articles"}
            assert f"--method={method}" in find.arguments and f"--{flag}={encoder}" in embed.arguments
    joint = dag.get_task("embeddings.joint")
    assert joint.upstream_task_ids == {f"embeddings.images.{JOINT_ENCODER}", "embeddings.texts.minilm"}
    assert {f"similarity.similar_articles.{method}" for method in (*BY_JOINT, "fused")} == joint.downstream_task_ids
    quality = dag.get_task("similarity.quality")
    finding = {task.task_id for task in dag.tasks if task.task_id.startswith("similarity.similar_articles.")}
    assert quality.upstream_task_ids == finding
    assert quality.trigger_rule == "all_done"  # a method that fails stops no other


def test_tags_follow_their_encoder() -> None:
    embed = f"embeddings.images.{TAGGED_BY}"
    assert dag.get_task("tagging.train").upstream_task_ids == {embed}
    assert dag.get_task("tagging.tag").upstream_task_ids == {"tagging.train"}
    assert dag.get_task("tagging.audit").upstream_task_ids == {embed}
    for job in ("tagging.train", "tagging.audit", "tagging.properties"):
        assert f"--encoder={TAGGED_BY}" in dag.get_task(job).arguments


def test_a_task_id_begins_with_its_module() -> None:
    assert dag.get_task("ingest.articles").task_type == "SparkJobOperator"
    for task in (task for task in dag.tasks if task.task_id != "ingest.articles"):
        assert ROOT.joinpath("jobs", *task.job.split(".")).with_suffix(".py").is_file()
        assert task.task_id == task.job or task.task_id.startswith(f"{task.job}.")


def test_the_weekly_run_goes_first() -> None:
    weekly = {task.priority_weight for task in weekly_recommendations.dag.tasks}
    assert {(task.pool, task.weight_rule) for task in dag.tasks} == {("heavy", "absolute")}
    assert max(task.priority_weight for task in dag.tasks) < min(weekly)
    assert dag.max_active_runs == 1 and dag.doc_md and "As-of date" in dag.doc_md


def event(hour: int, **extra: Any) -> SimpleNamespace:
    return SimpleNamespace(timestamp=datetime(2020, 9, 23, hour, tzinfo=UTC), extra=extra)


FORM = {"as_of_date": None, "data": "form", "weights_dir": None, "accept_drift": False}


def test_the_newest_event_brings_the_parameters() -> None:
    events = {
        "silver/articles": [
            event(1, as_of_date="2020-09-16", params={"data": "old"}),
            event(3, as_of_date="2020-09-23", params={"as_of_date": None, "data": "d"}),
        ],
        "silver/transactions": [event(2, as_of_date="2020-09-09", params={"data": "older"})],
    }
    assert parameter("as_of_date", FORM, events) == "2020-09-23"
    assert parameter("data", FORM, events) == "d"
    assert parameter("accept_drift", FORM, events) == "False"  # the event does not say
    assert parameter("weights_dir", FORM, {"a": [event(1, params={"weights_dir": "w"})]}) == "w"


def test_by_hand_the_form_does() -> None:
    assert parameter("as_of_date", FORM | {"as_of_date": "2020-08-19"}, {}) == "2020-08-19"
    assert (parameter("data", FORM, {}), parameter("weights_dir", FORM, {})) == ("form", "")
    with pytest.raises(AirflowFailException, match="give as_of_date"):
        parameter("as_of_date", FORM, {})
    with pytest.raises(AirflowFailException, match="give as_of_date"):
        parameter("as_of_date", FORM, {"a": [event(1)]})


def test_the_command_line() -> None:
    task = dag.get_task("similarity.similar_articles.eigenfaces")
    params = {name: PARAMS[name].value for name in PARAMS}
    brought = {"warehouse": "w; rm -rf x", "encoder": "resnet152"}
    events = {"silver/articles": [event(1, as_of_date="2020-09-23", params=brought)]}
    context = {"run_id": "asset_triggered__1", "params": params, "triggering_asset_events": events}
    context |= dag.user_defined_macros
    assert task.render_template(task.arguments, context) == [
        "--as-of-date=2020-09-23", "--run-id=asset_triggered__1", "--warehouse=w; rm -rf x", "--accept-drift=False",
        "--data=data/sample", "--mapping=hm", "--method=eigenfaces",
    ]  # fmt: skip
