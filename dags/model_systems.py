"""# Model systems

Every recommender system: collaborative ones, sequence networks, similar articles and the two-stage model. Each is
judged on the same label weeks, and by each customer's next purchase as in the paper; then the tables and pictures of
all.

**When.** By hand only, after a weekly run of the same as-of date and training weeks: the networks take hours on the
full data. What the pictures show comes from the DAG `catalogue_intelligence`; where that has
not run, the systems with side features do without, and say so. `similar_articles` and `embedding_image` fail where
there are no images, `embedding_text` and `embedding_joint` where there are no vectors of texts, or of both;
`evaluation.next_purchase.two_stage` judges nothing, since the feature tables count the purchases that it would hide.

**As-of date.** The day the last label week ends, a Wednesday. The form offers the newest whole week in the
tables where `make up` found one.

**Which systems.** All, or those that the form names.

**When a task fails.** A system that fails stops no other, and the report shows those that were judged. Cleared and
run again, a network goes on from its last checkpoint.

**Tasks.** A task id is a module. `evaluation.weekly_protocol` and `evaluation.next_purchase` are mapped over the
systems, each labelled with its name: `jobs/evaluation/weekly_protocol.py --system als` writes its rows of
`gold/system_metrics` and `gold/system_recommendations`; `evaluation.next_purchase` those of
`gold/next_purchase_metrics`. Table and pictures of `evaluation.recommender_report` are in its MLflow run. All share
the pool `heavy` with the weekly run, whose tasks go first.

Like every DAG it starts paused: switch it on in the UI, or by `scripts/airflow dags unpause model_systems`.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, task

from dags.common import BY_HAND, SETTINGS, arguments, as_of_field, form, lineage, several, week_end
from dags.operators import JobOperator

EVERY: list[str] = SETTINGS["system"]["enum"]
JUDGES = ("evaluation.weekly_protocol", "evaluation.next_purchase")

PARAMS = {
    "as_of_date": as_of_field("Nothing dated on or after this day is used; the last label week ends before it"),
    "systems": several("systems", EVERY, EVERY, "Systems that are fitted and judged"),
    **form("data", "warehouse", "mapping", "encoder", "keyword_method", "language", "system_epochs", "top_k"),
    **form("training_weeks", "max_epochs", "extra_sources", "accept_drift", "seed"),
}

AS_OF = "{{ week_end(params.as_of_date) }}"


@task(pool="heavy")
def systems(params: dict[str, Any] | None = None) -> list[list[str]]:
    """What each system's task adds to the command line."""
    assert params is not None, "Airflow fills it in"
    return [[f"--system={system}"] for system in params["systems"]]


with DAG(
    "model_systems",
    description="Fit and judge every recommender system",
    doc_md=__doc__,
    user_defined_macros={"week_end": week_end},
    params=PARAMS,
    tags=["evaluation", "manual"],
    **BY_HAND,
) as dag:
    keywords = JobOperator(
        task_id="features.keywords", arguments=arguments("features.keywords", PARAMS, as_of_date=AS_OF)
    )
    report = JobOperator(
        task_id="evaluation.recommender_report",
        arguments=arguments("evaluation.recommender_report", PARAMS, as_of_date=AS_OF),
        trigger_rule="all_done",
    )
    each_system = systems()
    for job in JUDGES:
        judged = JobOperator.partial(
            task_id=job,
            arguments=arguments(job, PARAMS, as_of_date=AS_OF),
            map_index_template="{{ task.more[0].removeprefix('--system=') }}",
            **lineage(job),
        ).expand(more=each_system)
        keywords >> judged >> report
