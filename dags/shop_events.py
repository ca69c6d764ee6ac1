"""# Shop events

The shop's log becomes `silver/events` (each event once, in sessions, bots apart), price lists and attributes of
products become tables, and once a day what is known of each visitor is put down as of that day.

**When.** By a trigger or a backfill, by day; or when the asset `delivered/events` says that files have arrived (by
Airflow's API, say). `ATELIER_HOURLY_EVENTS=True` in Airflow's environment starts it every hour.

**Files.** Each is taken in once, by its content, whatever its name; a rerun does what is left to do. A file that comes
late, or again with other content, has its days put together anew.

**As-of date.** The end of the interval, or of the day it is in. `silver/visitors` knows nothing dated on or after it.
To make past days of it anew: `scripts/airflow backfill create --dag-id shop_events --from-date 2020-09-01
--to-date 2020-09-07 --reprocess-behavior completed`.

**When a task fails.** Exit code 2 is the job's own verdict, such as too many broken rows in a file: nothing of it is
taken in, and there is no retry.

**Tables.** Each is an asset, for whoever waits for events: the weekly run, a report.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from airflow.sdk import DAG, AssetOrTimeSchedule, CronDataIntervalTimetable, task

from dags.common import IN_BETWEEN, TASK_DEFAULTS, arguments, delivered, field, form
from dags.operators import SparkJobOperator
from dags.timetables import OnRequest

BY_THE_CLOCK = json.loads(os.environ.get("ATELIER_HOURLY_EVENTS", "False").lower())


def timetable(by_the_clock: bool) -> CronDataIntervalTimetable | OnRequest:
    """Hours that start by themselves, or days that wait to be asked for."""
    if by_the_clock:
        return CronDataIntervalTimetable("0 * * * *", timezone="UTC")
    return OnRequest("0 0 * * *", timezone="UTC")


PARAMS = {
    "as_of_date": field(
        "as_of_date",
        default=None,
        type=["null", "string"],
        description="Nothing dated on or after this day is known of visitors; empty: the end of the run's day",
    ),
    **form("data", "warehouse", "event_mapping", "session_gap_minutes", "max_quarantine_share", "accept_drift"),
}


def end_of_day(dag_run: Any, override: str | None) -> str:
    """The run's as-of date (YYYY-MM-DD): the form's, else that by which all of its interval is over."""
    if override:
        return date.fromisoformat(override).isoformat()
    moment = dag_run.data_interval_end or dag_run.run_after
    return (moment.date() + timedelta(days=moment.time() != time(0))).isoformat()


@task.short_circuit(pool="heavy")
def is_end_of_day(dag_run: Any = None) -> bool:
    """Whether visitors are put down: by hand, and in the run whose interval ends a day."""
    end = dag_run.data_interval_end
    return dag_run.run_type == "manual" or (end is not None and end.time() == time(0))


with DAG(
    "shop_events",
    description="Take in the shop's log: events in sessions, prices, attributes, visitors",
    doc_md=__doc__,
    schedule=AssetOrTimeSchedule(timetable=timetable(BY_THE_CLOCK), assets=[delivered("events")]),
    start_date=datetime(2000, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    user_defined_macros={"end_of_day": end_of_day},
    params=PARAMS,
    tags=["events", "hourly"],
    default_args=TASK_DEFAULTS | {"owner": "data-engineering", "priority_weight": IN_BETWEEN},
) as dag:
    events, products, visitors = (
        SparkJobOperator(
            task_id=job,
            arguments=arguments(job, PARAMS, as_of_date="{{ end_of_day(dag_run, params.as_of_date) }}"),
        )
        for job in ("ingest.shop_events", "ingest.products", "ingest.visitors")
    )
    events >> is_end_of_day() >> visitors
