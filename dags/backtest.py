"""# Backtest

What the recommender would have been worth in the past: as of each of the last `backtest_weeks` weeks the model is
fitted again from nothing later, and judged on the week that followed and, as it ages, on up to eight more.

**When.** By hand only, once a weekly run of the same as-of date, or a later one, has taken in the data and embedded its
pictures: what stands in silver is what the past is made of. A table that is not there fails the task by one line.

**As-of date.** The day the last judged week ends, a Wednesday. The form offers the newest whole week in the
tables where `make up` found one. The first model is fitted as of a week before it.

**Tasks.** A task id is a module. The features of all dates come first; then one mapped task `evaluation.backtest` per
past week, `week 1` the newest, into `gold/backtest_metrics` and `gold/backtest_buyers`; then the report: table and
picture of `evaluation.backtest_report` are in its MLflow run. A week that failed is cleared and run again by itself.
All share the pool `heavy` with the weekly run, whose tasks go first.

Like every DAG it starts paused: switch it on in the UI, or by `scripts/airflow dags unpause backtest`.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, task

from dags.common import BY_HAND, arguments, as_of_field, field, form, lineage, week_end
from dags.operators import JobOperator, SparkJobOperator

FEATURES = ("features.customers", "features.articles", "features.interactions")

PARAMS = {
    "as_of_date": as_of_field(
        "Nothing dated on or after this day touches the run: the last judged week ends before it"
    ),
    "backtest_weeks": field("backtest_weeks", default=12, minimum=1),
    **form("data", "warehouse", "mapping", "encoder", "training_weeks", "max_epochs", "extra_sources", "system_epochs"),
    **form("accept_drift", "seed"),
}

AS_OF = "{{ week_end(params.as_of_date) }}"


@task(pool="heavy")
def weeks(params: dict[str, Any] | None = None) -> list[list[str]]:
    """What each week's task adds to the command line."""
    assert params is not None, "Airflow fills it in"
    return [[f"--backtest-week={week}"] for week in range(1, params["backtest_weeks"] + 1)]


with DAG(
    "backtest",
    description="Fit the recommender as of past weeks and judge it as it ages",
    doc_md=__doc__,
    user_defined_macros={"week_end": week_end},
    params=PARAMS,
    tags=["evaluation", "manual"],
    **BY_HAND,
) as dag:
    features = [
        SparkJobOperator(task_id=name, arguments=arguments(name, PARAMS, as_of_date=AS_OF)) for name in FEATURES
    ]
    each_week = JobOperator.partial(
        task_id="evaluation.backtest",
        arguments=arguments("evaluation.backtest", PARAMS, as_of_date=AS_OF),
        map_index_template="week {{ ti.map_index + 1 }}",
        **lineage("evaluation.backtest"),
    ).expand(more=weeks())
    report = JobOperator(
        task_id="evaluation.backtest_report",
        arguments=arguments("evaluation.backtest_report", PARAMS, as_of_date=AS_OF),
    )
    features >> each_week >> report
