"""Tells Airflow of the timetables of dags/timetables.py, which it would not read back from its database otherwise."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from dags.timetables import OnRequest


class TimetablesPlugin(AirflowPlugin):
    """Read by Airflow at start (AIRFLOW__CORE__PLUGINS_FOLDER)."""

    name = "timetables"
    timetables = [OnRequest]  # noqa: RUF012  Airflow's own declaration
