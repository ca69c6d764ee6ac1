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

**Which methods.** Those that the form names; without a word those whose weights the set-up fetches. A run that assets
start has the form's as well: `ATELIER_METHODS=minilm,tfidf`, in the environment or a target's file, changes them for
all runs. Each brings the encoders that it needs, and no other.

**When a task fails.** An encoder whose weights are missing fails by the one line that says which, as its methods do,
and stops no other; the run then counts as failed. What has picks is measured (`similarity.quality`). A rerun computes
only what is new. The tagger is fitted again where pictures or labels changed, and replaces the one before only if it is
better on held-out products.

**Tasks.** A task id is a module. `embeddings.images`, `embeddings.texts`, `embeddings.joint` and
`similarity.similar_articles` are mapped over encoders and methods, each labelled with its name. They share the pool
`heavy` with the weekly run, whose tasks go first.

Like every DAG it starts paused: switch it on in the UI, or by `scripts/airflow dags unpause catalogue_intelligence`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowFailException

from dags.common import (
    IN_BETWEEN,
    LATEST_WEEK,
    TASK_DEFAULTS,
    arguments,
    field,
    form,
    lineage,
    several,
    table,
)
from dags.operators import JobOperator, SparkJobOperator

if TYPE_CHECKING:
    from airflow.sdk.definitions.mappedoperator import MappedOperator

# The joint space is of MiniLM and of the image encoder that sees colours, too: words name both garment and colour, and
# so do tags.
JOINT_ENCODER = TAGGED_BY = "efficientnet_lite0_colour"


class MadeFrom(NamedTuple):
    """What a method's picks are made from: encoders, and whether the joint heads over them."""

    image_encoder: str | None = None
    text_encoders: tuple[str, ...] = ()
    is_joint: bool = False


_JOINT = MadeFrom(JOINT_ENCODER, ("minilm",), is_joint=True)

# As in jobs.similarity.methods; a test holds the two together.
METHODS = {
    "cosine_efficientnet_lite0_colour": MadeFrom("efficientnet_lite0_colour"),
    "cosine_efficientnet_lite0": MadeFrom("efficientnet_lite0"),
    "minilm": MadeFrom(None, ("minilm",)),
    "tfidf": MadeFrom(None, ("tfidf",)),
    "joint": _JOINT,
    "joint_image": _JOINT,
    "joint_text": _JOINT,
    "fused": MadeFrom(JOINT_ENCODER, ("minilm", "tfidf"), is_joint=True),
    "cosine_catalogue": MadeFrom("catalogue"),
    "cosine_catalogue_lite0": MadeFrom("catalogue_lite0"),
    "euclidean_autoencoder": MadeFrom("autoencoder"),
    "eigenfaces": MadeFrom("eigenfaces"),
    "cosine_resnet50": MadeFrom("resnet50"),
    "cosine_resnet152": MadeFrom("resnet152"),
    "cosine_mobilenet_v2": MadeFrom("mobilenet_v2"),
    "cosine_fashion_clip": MadeFrom("fashion_clip"),
    "fashion_clip_text": MadeFrom(None, ("fashion_clip",)),
    "fashion_clip_both": MadeFrom("fashion_clip", ("fashion_clip",)),
    "cosine_align": MadeFrom("align"),
    "align_text": MadeFrom(None, ("align",)),
    "align_both": MadeFrom("align", ("align",)),
    "roberta": MadeFrom(None, ("roberta",)),
}
#: Those whose weights the set-up fetches; others train an encoder here, or want weights from a hub.
USUAL = ["cosine_efficientnet_lite0_colour", "cosine_efficientnet_lite0", "minilm", "tfidf"]
USUAL += ["joint", "joint_image", "joint_text", "fused"]

PARAMS = {
    "as_of_date": field(
        "as_of_date",
        default=None,
        type=["null", "string"],
        description="Nothing dated on or after this day touches the run; empty: the date that the assets "
        "bring, or by hand the newest whole week in the tables",
    ),
    **form("data", "warehouse", "mapping", "max_quarantine_share", "weights_dir", "accept_drift", "seed"),
    **form("predicted_property", "tuned_blocks"),
    "methods": several("methods", list(METHODS), USUAL, "How similar articles are found; the encoders follow from it"),
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


def job_task(job: str, trigger_rule: str = "all_success", **given: str) -> JobOperator:
    """A job's task."""
    return JobOperator(task_id=job, arguments=command_line(job, **given), trigger_rule=trigger_rule)


def mapped(job: str, more: Any, trigger_rule: str = "all_success", **given: str) -> MappedOperator:
    """A job's task, mapped over what each run of it adds to the command line: one flag, whose value is its label."""
    return JobOperator.partial(
        task_id=job,
        arguments=command_line(job, **given),
        trigger_rule=trigger_rule,
        map_index_template="{{ task.more[0].partition('=')[2] }}",
        **lineage(job),
    ).expand(more=more)


def flags(flag: str, values: Iterable[str]) -> list[list[str]]:
    """What each mapped task adds to the command line, once for each value."""
    return [[f"--{flag}={value}"] for value in dict.fromkeys(values)]


@task(pool="heavy")
def image_encoders(params: dict[str, Any] | None = None) -> list[list[str]]:
    """Those that the methods need, and the tags."""
    chosen = made_from(params)
    return flags("encoder", [TAGGED_BY, *(some.image_encoder for some in chosen if some.image_encoder)])


@task(pool="heavy")
def text_encoders(params: dict[str, Any] | None = None) -> list[list[str]]:
    """Those that the methods need."""
    return flags("text-encoder", [encoder for some in made_from(params) for encoder in some.text_encoders])


@task(pool="heavy")
def joint_heads(params: dict[str, Any] | None = None) -> list[list[str]]:
    """One pair of heads, or none."""
    return flags("encoder", [JOINT_ENCODER for some in made_from(params) if some.is_joint])


@task(pool="heavy")
def methods(params: dict[str, Any] | None = None) -> list[list[str]]:
    """Those of the form."""
    assert params is not None, "Airflow fills it in"
    return flags("method", params["methods"])


@task(pool="heavy", trigger_rule="one_failed", retries=0, on_failure_callback=[])
def any_failed() -> None:
    """Fails with any other task: else the run would count as done, as its last tasks are."""
    raise AirflowFailException("a task failed, and what does not need it was done: see the tasks in red")


def made_from(params: Mapping[str, Any] | None) -> list[MadeFrom]:
    """What the form's methods are made from."""
    assert params is not None, "Airflow fills it in"
    return [METHODS[method] for method in params["methods"]]


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
    described = job_task("features.image_features")  # colours and outlines need no encoder
    planned = image_encoders(), text_encoders(), joint_heads(), methods()
    listed >> [described, *planned]
    images = mapped("embeddings.images", planned[0])
    texts = mapped("embeddings.texts", planned[1])
    # What needs an encoder that has failed says so itself, and stops no other.
    joint = mapped("embeddings.joint", planned[2], "all_done")
    found = mapped("similarity.similar_articles", planned[3], "all_done")
    [images, texts] >> joint
    [images, texts, joint] >> found >> job_task("similarity.quality", "all_done")
    images >> job_task("tagging.train", "all_done_min_one_success", encoder=TAGGED_BY) >> job_task("tagging.tag")
    images >> job_task("tagging.audit", "all_done_min_one_success", encoder=TAGGED_BY)
    images >> job_task("tagging.properties", "all_done", encoder=TAGGED_BY)  # with pictures or without
    list(dag.tasks) >> any_failed()
