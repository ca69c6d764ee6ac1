"""Alerts when a task fails for good or a run misses its deadline, to where the connection says; off by default.

`ATELIER_ALERT_CONNECTION` names an Airflow connection, say `alerts`, which is
- an e-mail server, whose extra says to whom: AIRFLOW_CONN_ALERTS='{"conn_type": "smtp", "host": "mail.example.com",
  "extra": {"from_email": "atelier@example.com", "to": "team@example.com"}}'
- or a webhook that takes `{"text": ...}`, as those of Slack, Mattermost and Teams do: its URL is the connection,
  AIRFLOW_CONN_ALERTS='https://hooks.example.com/services/...'

`ATELIER_DEADLINE_HOURS` is when a weekly run is late, 24 hours after it was queued unless given.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from html import escape
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier, Connection, DeadlineAlert, DeadlineReference, SyncCallback

if TYPE_CHECKING:
    from airflow.sdk import Context

#: A weekly run that is not done by then is late. Its tasks alone may each take twelve hours.
DEADLINE_HOURS = 24.0
SECONDS = 30


class Alert(BaseNotifier):
    """Sends what happened by an Airflow connection.

    Args:
        connection: its id.
        context: of the task or, where a deadline is missed, of the run.
    """

    def __init__(self, connection: str, context: Context | None = None) -> None:
        super().__init__(context=context)
        self.connection = connection

    def notify(self, context: Context) -> None:
        """Send. Raises ValueError for a connection of another type, and what the server's answer makes of it."""
        subject, lines = message_of(context)
        connection = Connection.get(self.connection)
        if connection.conn_type == "smtp":
            from airflow.providers.smtp.notifications.smtp import SmtpNotifier

            html = "<br>".join(escape(line) for line in lines)
            to = connection.extra_dejson["to"]
            SmtpNotifier(to=to, subject=subject, html_content=html, smtp_conn_id=self.connection).notify(context)
        elif connection.conn_type in ("http", "https"):
            import requests

            body = {"text": "\n".join([subject, *lines])}
            requests.post(webhook(connection), json=body, timeout=SECONDS).raise_for_status()
        else:
            raise ValueError(f"connection {self.connection}: {connection.conn_type} is neither smtp, http nor https")


def webhook(connection: Connection) -> str:
    """The URL that the connection was made of."""
    port = f":{connection.port}" if connection.port else ""
    return f"{connection.conn_type}://{connection.host}{port}/{connection.schema or ''}"


def message_of(context: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Subject and lines of a message: DAG, task, run, the job's last line, and where the log is."""
    if "deadline" in context:
        run = context["dag_run"]  # as the REST API has it
        late = f"not done by {str(context['deadline']['deadline_time'])[:16]} UTC"
        return f"{run['dag_id']} is late", [f"run: {run['dag_run_id']}", late]
    task = context["ti"]
    last_line = str(context.get("exception") or "no reason given")
    lines = [f"task: {task.task_id}", f"run: {task.run_id}", last_line, f"log: {task.log_url}"]
    return f"{task.dag_id}: {task.task_id} failed", lines


def _connection() -> str | None:
    return os.environ.get("ATELIER_ALERT_CONNECTION") or None


def on_failure() -> list[Alert]:
    """What Airflow calls when a task has failed and will not be tried again."""
    connection = _connection()
    return [Alert(connection)] if connection else []


def deadline() -> DeadlineAlert | None:
    """The deadline of a weekly run, counted from when it was queued; set where alerts are on."""
    connection = _connection()
    if not connection:
        return None
    # Synchronous: it runs in the executor like a task, so that no triggerer is needed.
    callback = SyncCallback(Alert, kwargs={"connection": connection})
    interval = timedelta(hours=float(os.environ.get("ATELIER_DEADLINE_HOURS") or DEADLINE_HOURS))
    return DeadlineAlert(reference=DeadlineReference.DAGRUN_QUEUED_AT, interval=interval, callback=callback)
