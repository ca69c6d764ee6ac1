"""# Catalogue intelligence

What the pictures of the catalogue say: their colours and outlines, embeddings of each image encoder, similar articles
by each method, and how good those are, measured on the last whole week before the as-of date; tags of every label, and
labels that pictures contradict. A catalogue without customers has this DAG alone (`make catalogue`): its list of
articles is taken in here, which is nothing to do where the weekly DAG did.

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
from dags.operators import JobOperator

# Method -> the image encoder it needs, as in jobs.similarity.methods; a test holds the two together.
METHODS = {
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
# The encoder whose vectors articles are tagged by: the garment says its type, and its colours their names.
TAGGED_BY = "efficientnet_lite0_colour"

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
    listed = JobOperator(task_id="ingest.articles", arguments=command_line("ingest.articles"))
    describe = "features.image_features"  # colours and outlines need no encoder
    listed >> JobOperator(task_id=describe, arguments=command_line(describe))
    quality = JobOperator(
        task_id="similarity.quality", arguments=command_line("similarity.quality"), trigger_rule="all_done"
    )
    for method, encoder in METHODS.items():
        embed = JobOperator(
            task_id="embeddings.images", variant=encoder, arguments=command_line("embeddings.images", encoder=encoder)
        )
        find = JobOperator(
            task_id="similarity.similar_articles",
            variant=method,
            arguments=command_line("similarity.similar_articles", method=method),
        )
        listed >> embed >> find >> quality
        if encoder == TAGGED_BY:
            train, audit = (
                JobOperator(task_id=job, arguments=command_line(job, encoder=encoder))
                for job in ("tagging.train", "tagging.audit")
            )
            embed >> train >> JobOperator(task_id="tagging.tag", arguments=command_line("tagging.tag"))
            embed >> audit
            job = "tagging.properties"  # with pictures or without
            told = command_line(job, encoder=encoder)
            embed >> JobOperator(task_id=job, arguments=told, trigger_rule="all_done")
