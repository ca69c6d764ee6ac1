"""# Maintenance

Every Sunday at 00:00 UTC, between two weekly runs: the tables' small files are made few and put in the order that
lookups ask for, files that nobody can reach any more are removed, and each table's log is summed up. No row changes.

**Retention.** Replaced versions of a table (time travel), and files that killed runs left, are kept for
`retention_days`, 30 by default and never fewer than 7, because only their age distinguishes the
files of a run that is still writing from a killed run's. For another number give `retention_days` in the form, or set
`ATELIER_RETENTION_DAYS` for good. It is noted in each table, where every engine's VACUUM finds it.

**Beside a weekly run.** Both take slots of the pool `heavy`. Where it has several, a publish that meets housekeeping
wins, and the partition is left for the next Sunday. The task can be run again at any time.

Like every DAG it starts paused: switch it on in the UI, or by `scripts/airflow dags unpause maintenance`.
"""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG, CronTriggerTimetable

from dags.common import TASK_DEFAULTS, arguments, form
from dags.operators import JobOperator

JOB = "maintenance.optimize_and_vacuum"
PARAMS = form("warehouse", "retention_days")

# The as-of date says nothing here, but every job is given one: the day of the run.
ARGUMENTS = arguments(JOB, PARAMS, as_of_date="{{ dag_run.run_after | ds }}")

with DAG(
    "maintenance",
    description="Compact, cluster and vacuum the tables",
    doc_md=__doc__,
    schedule=CronTriggerTimetable("0 0 * * SUN", timezone="UTC"),
    start_date=datetime(2000, 1, 2, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    params=PARAMS,
    tags=["tables", "weekly"],
    default_args=TASK_DEFAULTS | {"owner": "data-engineering"},
) as dag:
    # No outlets: no row changes, and who waits for a table waits for new ones.
    JobOperator(task_id=JOB, arguments=ARGUMENTS, outlets=[])
