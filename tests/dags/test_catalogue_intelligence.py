"""The DAG that assets start, as Airflow sees it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization

from dags import weekly_recommendations
from dags.catalogue_intelligence import METHODS, PARAMS, TAGGED_BY, USUAL, dag, parameter

ROOT = Path(__file__).resolve().parents[2]


def test_it_runs_once_articles_and_transactions_are_both_new() -> None:
    timetable = DagSerialization.from_dict(DagSerialization.to_dict(dag)).timetable
    waits_for = {asset.name for _, asset in timetable.asset_condition.iter_assets()}
    updated = {asset.name for task in weekly_recommendations.dag.tasks for asset in task.outlets}
    assert waits_for == {"silver/articles", "silver/transactions"} <= updated
    assert "AssetAll" in type(timetable.asset_condition).__name__


PLANS = ("image_encoders", "text_encoders", "joint_heads", "methods")
MAPPED = {
    "embeddings.images": {"image_encoders"},
    "embeddings.texts": {"text_encoders"},
    "embeddings.joint": {"joint_heads", "embeddings.images", "embeddings.texts"},
    "similarity.similar_articles": {"methods", "embeddings.images", "embeddings.texts", "embeddings.joint"},
}


def test_encoders_then_the_joint_heads_then_methods_then_the_figures() -> None:
    for job, upstream in MAPPED.items():
        task = dag.get_task(job)
        assert task.is_mapped and task.upstream_task_ids == upstream
    for plan in PLANS:  # without articles nothing is planned
        assert dag.get_task(plan).upstream_task_ids == {"ingest.articles"}
    quality = dag.get_task("similarity.quality")
    assert quality.upstream_task_ids == {"similarity.similar_articles"}
    red = dag.get_task("any_failed")
    assert red.upstream_task_ids == {*dag.task_ids} - {"any_failed"} and red.trigger_rule == "one_failed"
    # An encoder or a method that fails stops no other.
    for task in (*map(dag.get_task, ("embeddings.joint", "similarity.similar_articles")), quality):
        assert task.trigger_rule == "all_done"


FLAGS = ("--encoder=", "--text-encoder=", "--encoder=", "--method=")


def planned(*methods: str) -> list[list[str]]:
    """What is planned for these methods: encoders of pictures and of texts, joint heads, methods, each by its label."""
    found = [dag.get_task(plan).python_callable(params={"methods": list(methods)}) for plan in PLANS]
    assert all(
        len(more) == 1 and more[0].startswith(flag) for some, flag in zip(found, FLAGS, strict=True) for more in some
    )
    return [[more[0].partition("=")[2] for more in some] for some in found]


def test_without_a_word_what_needs_no_hub_and_no_training_of_an_encoder() -> None:
    assert PARAMS["methods"].resolve() == USUAL and set(PARAMS["methods"].schema["items"]["enum"]) == set(METHODS)
    images = ["efficientnet_lite0_colour", "efficientnet_lite0"]
    assert planned(*USUAL) == [images, ["minilm", "tfidf"], ["efficientnet_lite0_colour"], USUAL]


def test_each_method_brings_its_encoders_and_no_other() -> None:
    assert planned("tfidf") == [[TAGGED_BY], ["tfidf"], [], ["tfidf"]]
    both = ["align_both", "cosine_align"]
    assert planned(*both) == [[TAGGED_BY, "align"], ["align"], [], both]
    assert planned("fused")[1:3] == [["minilm", "tfidf"], ["efficientnet_lite0_colour"]]


def test_only_known_methods_can_be_asked_for() -> None:
    for bad in ([], ["minilm", "word2vec"], "minilm"):
        with pytest.raises(ParamValidationError):
            PARAMS["methods"].resolve(bad)


def test_tags_follow_their_encoder_whatever_other_is_missing() -> None:
    for job, rule in (
        ("tagging.train", "all_done_min_one_success"),
        ("tagging.audit", "all_done_min_one_success"),
        ("tagging.properties", "all_done"),
    ):
        task = dag.get_task(job)
        assert task.upstream_task_ids == {"embeddings.images"} and task.trigger_rule == rule
        assert f"--encoder={TAGGED_BY}" in task.arguments
    assert dag.get_task("tagging.tag").upstream_task_ids == {"tagging.train"}


def test_a_task_id_is_its_module() -> None:
    assert dag.get_task("ingest.articles").task_type == "SparkJobOperator"
    for task in (task for task in dag.tasks if task.task_id not in (*PLANS, "any_failed")):
        assert ROOT.joinpath("jobs", *task.task_id.split(".")).with_suffix(".py").is_file()


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
    task = dag.get_task("similarity.similar_articles")
    params = {name: PARAMS[name].value for name in PARAMS}
    brought = {"warehouse": "w; rm -rf x", "encoder": "resnet152"}
    events = {"silver/articles": [event(1, as_of_date="2020-09-23", params=brought)]}
    context = {"run_id": "asset_triggered__1", "params": params, "triggering_asset_events": events}
    context |= dag.user_defined_macros
    assert task.render_template(task.partial_kwargs["arguments"], context) == [
        "--as-of-date=2020-09-23", "--run-id=asset_triggered__1", "--warehouse=w; rm -rf x", "--accept-drift=False",
        "--data=data/sample", "--mapping=hm",
    ]  # fmt: skip
