"""A timetable of data intervals that wait to be asked for."""

from __future__ import annotations

from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from airflow.timetables.interval import CronDataIntervalTimetable


class OnRequest(CronDataIntervalTimetable):
    """A cron expression's data intervals, to be triggered or backfilled: none of them starts by itself.

    `schedule=None` would do for triggers, but a DAG without intervals cannot be backfilled. Takes effect in DAGs with
    `catchup=False`; Airflow knows it by scripts/plugins/timetables.py.
    """

    @property
    def summary(self) -> str:
        """What the UI's column "Schedule" says."""
        return f"{super().summary}, on request"

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """The interval after the last one for a backfill, which asks with catch-up; none for the scheduler."""
        if not restriction.catchup:
            return None
        return super().next_dagrun_info(
            last_automated_data_interval=last_automated_data_interval, restriction=restriction
        )
