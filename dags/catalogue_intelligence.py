"""# Catalogue intelligence

What pictures and texts of the catalogue say: colours and outlines, embeddings of each image and text encoder, the joint
space of both, similar articles by each method, and how good those are, measured on the last whole week before the as-of
date; tags of every label, and labels that pictures contradict. A catalogue without customers has this DAG alone
(`make catalogue`): its list of articles is taken in here, which is nothing to do where the weekly DAG did.

**When.** After the weekly DAG has taken in articles and transactions: it updates the assets `silver/articles` and
`silver/transactions`, and once both are new this DAG runs. By hand after pictures arrived between two weeks.

**As-of date.** A run that assets start has no date: as-of date, data, warehouse and the other parameters are those of
the weekly run that updated them last. Triggered by hand they are the form's; an empty
`as_of_date` is the newest whole week in the tables, where `make up` found one.

**When a task fails.** A method whose weights are missing fails by the one line that says which, and stops no other;
what has picks is measured (`similarity.quality`). A rerun computes only what is new. The tagger is fitted again where
pictures or labels changed, and replaces the one before only if it is better on held-out products.

**Tasks.** A task id is a module and, where the module runs once per encoder or method, its name:
`similarity.similar_articles.cosine_catalogue` runs
`jobs/similarity/similar_articles.py --method cosine_catalogue`. They share the pool `heavy` with the weekly run, whose
tasks go first.

Like every DAG it starts paused: switch it on in the UI, or by `scripts/airflow dags unpause catalogue_intelligence`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException

from dags.common import IN_BETWEEN, LATEST_WEEK, TASK_DEFAULTS, arguments, field, form, table
from dags.operators import JobOperator, SparkJobOperator

# Method -> the encoder it needs, as in jobs.similarity.methods; a test holds the two together.
BY_IMAGE = {
    "cosine_efficientnet_lite0_colour": "efficientnet_lite0_colour",
    "cosine_efficientnet_lite0": "efficientnet_lite0",
    "cosine_catalogue": "catalogue",
    "cosine_resnet50": "resnet50",
    "cosine_mobilenet_v2": "mobilenet_v2",
    "cosine_fashion_clip": "fashion_clip",
    "cosine_align": "align",
    "euclidean_autoencoder": "autoencoder",
    "eigenfaces": "eigenfaces",
    "cosine_resnet152": "resnet152",
}
BY_TEXT = {
    "minilm": "minilm",
    "tfidf": "tfidf",
    "roberta": "roberta",
    "fashion_clip_text": "fashion_clip",
    "align_text": "align",
}
# Method -> the encoder whose image and text half it needs.
BY_BOTH = {"fashion_clip_both": "fashion_clip", "align_both": "align"}
# The joint space is of MiniLM and of the image encoder that sees colours, too: words name both garment and colour, and
# so do tags.
BY_JOINT = ("joint", "joint_image", "joint_text")
JOINT_ENCODER = TAGGED_BY = "efficientnet_lite0_colour"

PARAMS = {
    "as_of_date": field(
        "as_of_date",
        default=None,
        type=["null", "string"],
        description="Nothing dated on or after this day touches the run; empty: the date that the assets "
        "bring, or by hand the newest whole week in the tables",
    ),
    **form("data", "warehouse", "mapping", "max_quarantine_share", "weights_dir", "accept_drift", "seed"),
    **form("predicted_property"),
}


def parameter(name: str, params: Mapping[str, Any], events: Mapping[Any, Sequence[Any]]) -> str:
    """A parameter of the run: of the newest asset event that started it, else of the form; empty for none.

    Raises AirflowFailException where there is no as-of date.
    """
    newest = max((event for some in events.values() for event in some), key=lambda e: e.timestamp, default=None)
    extra = newest.extra if newest else {}
    given = extra.get("params", {}) | {name: value for name, value in extra.items() if name == "as_of_date"}
    value = given.get(name, params[name])
    if name == "as_of_date" and newest is None:
        value = value or LATEST_WEEK
    if name == "as_of_date" and not value:
        raise AirflowFailException("no asset brought this run its date: give as_of_date")
    return "" if value is None else str(value)


def command_line(job: str, **given: str) -> list[str]:
    """A job's command line."""
    template = "{{{{ parameter('{}', params, triggering_asset_events) }}}}"
    return arguments(job, PARAMS, template.format, **given)


def task(job: str, variant: str | None, trigger_rule: str = "all_success", **given: str) -> JobOperator:
    """A job's task."""
    return JobOperator(task_id=job, variant=variant, arguments=command_line(job, **given), trigger_rule=trigger_rule)


with DAG(
    "catalogue_intelligence",
    description="Describe and embed the catalogue's pictures, find similar articles, measure them",
    doc_md=__doc__,
    schedule=[table("silver/articles"), table("silver/transactions")],
    start_date=datetime(2000, 1, 5, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    user_defined_macros={"parameter": parameter},
    params=PARAMS,
    tags=["images", "asset-triggered"],
    default_args=TASK_DEFAULTS | {"priority_weight": IN_BETWEEN},
) as dag:
    listed = SparkJobOperator(task_id="ingest.articles", arguments=command_line("ingest.articles"))
    described = task("features.image_features", None)  # colours and outlines need no encoder
    quality = task("similarity.quality", None, trigger_rule="all_done")
    images = {name: task("embeddings.images", name, encoder=name) for name in dict.fromkeys(BY_IMAGE.values())}
    texts = {name: task("embeddings.texts", name, text_encoder=name) for name in dict.fromkeys(BY_TEXT.values())}
    listed >> [described, *images.values(), *texts.values()]
    joint = task("embeddings.joint", None, encoder=JOINT_ENCODER)
    [images[JOINT_ENCODER], texts["minilm"]] >> joint
    needs = {method: [images[encoder]] for method, encoder in BY_IMAGE.items()}
    needs |= {method: [texts[encoder]] for method, encoder in BY_TEXT.items()}
    needs |= {method: [joint] for method in BY_JOINT}
    needs |= {method: [images[encoder], texts[encoder]] for method, encoder in BY_BOTH.items()}
    needs["fused"] = [joint, texts["minilm"], texts["tfidf"]]
    for method, embedded in needs.items():
        embedded >> task("similarity.similar_articles", method, method=method) >> quality
    tagged = images[TAGGED_BY]
    tagged >> task("tagging.train", None, encoder=TAGGED_BY) >> task("tagging.tag", None)
    tagged >> task("tagging.audit", None, encoder=TAGGED_BY)
    tagged >> task("tagging.properties", None, "all_done", encoder=TAGGED_BY)  # with pictures or without
