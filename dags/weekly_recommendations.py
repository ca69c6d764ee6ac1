"""# Weekly recommendations

The week that just ended, `[start, end)` from Wednesday to Wednesday, is taken in, features are computed, the model is
retrained, judged against the baselines and the champion, and every customer's recommendations are published.

**When.** Each week when it is asked for, by a trigger or a backfill, because the data may be of the past.
Where data arrive every week, `ATELIER_WEEKLY_SCHEDULE=True` in Airflow's environment, part of
`ATELIER_TARGET=production`, starts it every Wednesday at 00:00 UTC.

**As-of date.** The data interval's end. Nothing dated on or after it touches the run. For another date give
`as_of_date` in the form or with `dags trigger --conf`; for several weeks backfill, naming the first and the last week
by their starts: `scripts/airflow backfill create --dag-id weekly_recommendations --from-date 2020-08-26
--to-date 2020-09-09 --max-active-runs 1`. A rerun of a date writes the same tables.

**When a task fails.** Exit code 2 is the job's own verdict (bad input, a refused result): the task's log ends in one
line that says what to do, and there is no retry. Anything else is retried twice, with growing pauses.

**Tasks.** A task id is a module: `features.customers` runs `jobs/features/customers.py`. Each takes a slot of the pool
`heavy` (one slot by default), so that heavy tasks never share a small machine.

**Report.** After the picks are published the week's business metrics are added to `gold/business_metrics`, and the page
of the run is written: a tab of the run, or *Browse*, *Reports*.

**Events.** Where the DAG `shop_events` has taken in the shop's log, `silver/events` counts for the personal picks, and
`gold/recommendation_performance` says what became of what the shop showed. Without it purchases alone count.

**Tables.** Each is an asset: its events tell of Delta version, rows, as-of date and the page of its checks. Those of
`silver/articles` and `silver/transactions` start the DAG `catalogue_intelligence`.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, CronDataIntervalTimetable, TaskGroup
from airflow.sdk.exceptions import AirflowFailException

from dags.alerts import deadline
from dags.common import LATEST_WEEK, TASK_DEFAULTS, WEDNESDAY, arguments, field, form, week_end
from dags.operators import JobOperator, SparkJobOperator
from dags.timetables import OnRequest

WEEK = timedelta(days=7)
BY_THE_CLOCK = json.loads(os.environ.get("ATELIER_WEEKLY_SCHEDULE", "False").lower())

# As the data flows: stage -> its jobs, how each runs, and the jobs it waits for. A stage is a group in the UI (groups
# may not wait for each other in a circle, so a stage is not always the module's folder). The lineage test checks the
# waiting against the jobs' READS and WRITES.
STAGES: dict[str, list[tuple[str, type, list[str]]]] = {
    "check": [
        ("maintenance.doctor", JobOperator, []),
    ],
    "ingest": [
        ("ingest.articles", SparkJobOperator, ["maintenance.doctor"]),
        ("ingest.customers", SparkJobOperator, ["maintenance.doctor"]),
        ("ingest.transactions", SparkJobOperator, ["ingest.articles", "ingest.customers"]),
    ],
    "monitor": [
        ("evaluation.realised_performance", JobOperator, ["ingest.transactions"]),
        ("reports.recommendation_performance", SparkJobOperator, ["maintenance.doctor"]),
    ],
    "features": [
        ("features.customers", SparkJobOperator, ["ingest.transactions"]),
        ("features.articles", SparkJobOperator, ["ingest.transactions"]),
        ("features.interactions", SparkJobOperator, ["ingest.transactions"]),
        ("embeddings.images", JobOperator, ["ingest.articles"]),
    ],
    "train": [
        (
            "ranking.train",
            JobOperator,
            ["features.customers", "features.articles", "features.interactions", "embeddings.images"],
        ),
        ("evaluation.evaluate", JobOperator, ["ranking.train"]),
        ("evaluation.gate", JobOperator, ["evaluation.evaluate"]),
    ],
    "publish": [
        ("ranking.score", JobOperator, ["evaluation.gate"]),
        ("publish.recommendations", JobOperator, ["ranking.score"]),
        ("baskets.bought_together", JobOperator, ["ingest.transactions"]),
        ("publish.personal_picks", JobOperator, ["ingest.transactions", "embeddings.images"]),
    ],
    "report": [
        (
            "reports.business_metrics",
            SparkJobOperator,
            ["publish.recommendations", "reports.recommendation_performance"],
        ),
        (
            "reports.run_page",
            JobOperator,
            ["reports.business_metrics", "reports.recommendation_performance", "evaluation.realised_performance"],
        ),
    ],
}

#: Stages whose tasks are not the data scientists' to mend.
OWNERS = {"check": "data-engineering", "ingest": "data-engineering", "features": "data-engineering"}

PARAMS = {
    "as_of_date": field(
        "as_of_date",
        default=None,
        type=["null", "string"],
        description="Nothing dated on or after this day touches the run; empty: "
        + (f"the newest whole week in the tables, {LATEST_WEEK}" if LATEST_WEEK else "the last week that ended"),
    ),
    **form("data", "warehouse", "mapping", "encoder", "weights_dir", "top_k", "exclude_bought"),
    **form("max_variants", "new_arrivals_share", "diversity", "max_article_share"),
    **form("max_quarantine_share", "accept_drift", "training_weeks", "max_epochs", "extra_sources", "system_epochs"),
    **form("seed"),
}


def as_of_date(dag_run: Any, override: str | None) -> str:
    """The run's as-of date (YYYY-MM-DD): the form's, else the data interval's end.

    `airflow dags trigger --logical-date D` makes the interval of today, whatever D is; the week meant is the last one
    that ended by D. A run triggered by hand without a date is of the newest whole week in the tables, where that is
    known: the data may be of the past. A run without any date (triggered by an asset, say) has to be given one.

    Raises AirflowFailException where there is no date, or the form's is no Wednesday.
    """
    if override:
        return week_end(override)
    latest = LATEST_WEEK if dag_run.run_type == "manual" else None
    if dag_run.logical_date is None:
        if latest:
            return latest
        raise AirflowFailException("this run has no logical date: give as_of_date")
    if latest and dag_run.logical_date >= dag_run.data_interval_end:
        return min(latest, dag_run.data_interval_end.date().isoformat())
    if dag_run.data_interval_end - dag_run.logical_date <= WEEK:
        return dag_run.data_interval_end.date().isoformat()
    day = dag_run.logical_date.date()
    return (day - timedelta(days=(day.weekday() - WEDNESDAY) % 7)).isoformat()


with DAG(
    "weekly_recommendations",
    description="Retrain the recommender on the week that ended and publish its picks",
    doc_md=__doc__,
    schedule=(CronDataIntervalTimetable if BY_THE_CLOCK else OnRequest)("0 0 * * WED", timezone="UTC"),
    start_date=datetime(2000, 1, 5, tzinfo=UTC),  # before any retailer's data: an older week would run no task at all
    catchup=False,
    max_active_runs=1,
    user_defined_macros={"as_of_date": as_of_date},
    params=PARAMS,
    tags=["recommendations", "weekly"],
    default_args=TASK_DEFAULTS,
    deadline=deadline(),
) as dag:
    for stage, jobs in STAGES.items():
        with TaskGroup(stage, prefix_group_id=False):
            for job, operator, after in jobs:
                task = operator(
                    task_id=job,
                    arguments=arguments(job, PARAMS, as_of_date="{{ as_of_date(dag_run, params.as_of_date) }}"),
                    owner=OWNERS.get(stage, TASK_DEFAULTS["owner"]),
                )
                task.set_upstream([dag.get_task(other) for other in after])
