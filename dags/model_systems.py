"""# Model systems

Sequence and collaborative recommenders beside the two-stage model: each is judged on the same label weeks, and asked
for each customer's next purchase as in the paper; then the tables and pictures of all.

**When.** By hand only, once a weekly run of the same as-of date has taken in the data: the networks take hours on the
full data. What the pictures show comes from the DAG `catalogue_intelligence`; where that has
not run, the systems with side features do without, and say so.

**As-of date.** The day the last label week ends, a Wednesday; it has to be given.

**Which systems.** All, or those that the form names; the tasks of the others are skipped.

**When a task fails.** A system that fails stops no other, and the report tells of those that were judged. Cleared and
run again, a network goes on from its last checkpoint.

**Tasks.** A task id is a module and, where the module runs once per system, its name: `evaluation.weekly_protocol.als`
runs `jobs/evaluation/weekly_protocol.py --system als`, into `gold/system_metrics` and `gold/system_recommendations`;
`evaluation.next_purchase.als` writes `gold/next_purchase_metrics`. Table and pictures of
`evaluation.recommender_report` are in its MLflow run. All share the pool `heavy` with the weekly run, whose tasks go
first.

Like every DAG it starts paused: switch it on in the UI, or by `scripts/airflow dags unpause model_systems`.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Param, task

from dags.common import (
    BY_HAND,
    encoder_setting,
    epochs_setting,
    flags,
    retailer_settings,
    seed_setting,
    setting,
    top_k_setting,
)
from dags.operators import JobOperator

# The systems of jobs.recommenders.registry; a test holds the two together.
SYSTEMS = ("als", "als_spark", "bpr", "logistic_mf", "item_knn", "user_knn", "rnn", "lstm", "gru", "self_attentive")
WITH_FEATURES = ("rnn_features", "lstm_features", "gru_features", "self_attentive_features")
EVERY = [*SYSTEMS, *WITH_FEATURES]
JUDGES = ("evaluation.weekly_protocol", "evaluation.next_purchase")

# The form. Defaults, limits and words are those of jobs.platform.settings.Settings, but for `systems`, which is this
# DAG's own; a test holds the two together.
PARAMS = {
    "as_of_date": Param(
        type="string",
        format="date",
        description="Nothing dated on or after this day touches the run: the last label week ends before it",
    ),
    "systems": Param(
        EVERY,
        type="array",
        items={"type": "string", "enum": EVERY},
        minItems=1,
        examples=EVERY,
        description="Systems that are fitted and judged",
    ),
    **retailer_settings(),
    "encoder": encoder_setting(),
    "keyword_method": setting(
        "keyword_method",
        "tfidf",
        enum=["tfidf", "yake"],
        description="How keywords of descriptions are found; yake is an optional package of licence GPL-3.0",
    ),
    "language": setting(
        "language",
        "en",
        type="string",
        description="Language of the descriptions, as ISO 639-1 code such as en or de",
    ),
    "system_epochs": epochs_setting(),
    "top_k": top_k_setting(),
    "seed": seed_setting(),
}

ARGUMENTS = ["--run-id={{ run_id }}", *flags([name for name in PARAMS if name != "systems"])]


@task.branch(pool="heavy")
def chosen(params: dict[str, Any] | None = None) -> list[str]:
    """The tasks of the systems that the form names; those of the others are skipped."""
    assert params is not None, "Airflow fills it in"
    return [f"{job}.{system}" for job in JUDGES for system in params["systems"]]


with DAG(
    "model_systems",
    description="Fit and judge the sequence and collaborative recommenders",
    doc_md=__doc__,
    params=PARAMS,
    tags=["recommendations"],
    **BY_HAND,
) as dag:
    keywords = JobOperator(task_id="features.keywords", arguments=ARGUMENTS)
    report = JobOperator(task_id="evaluation.recommender_report", arguments=ARGUMENTS, trigger_rule="all_done")
    choice = chosen()
    for system in EVERY:
        for job in JUDGES:
            judge = JobOperator(task_id=job, variant=system, arguments=[*ARGUMENTS, f"--system={system}"])
            choice >> judge >> report
            if system in WITH_FEATURES:
                keywords >> judge
