"""Gunicorn's settings for MLflow's server (`mlflow server --gunicorn-opts "--config scripts/mlflow_pages.py"`).

MLflow's pages open on language models, with an assistant and a notice on usage data, and send such data unless told
not to. They take no setting for it but what a browser remembers: here a page says what it is to remember at first. What
somebody chooses in the browser stays.
"""

from __future__ import annotations

import json
from typing import Any

FIRST_CHOICES = {
    "mlflow.workflowType_v1": '"machine_learning"',
    "mlflow.assistant.panelOpen_v1": "false",
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true",
    "mlflow.settings.telemetry.enabled_v1": "false",
    "mlflow.telemetry.info.alert.dismissed_v1": "true",
}
#: Cells of tables in a description, which is a model's card, would touch.
STYLE = (
    "<style>.note-view-outer-container table { margin-bottom: 12px }"
    ".note-view-outer-container :is(th, td) { padding: 1px 16px 1px 0; text-align: left }</style>"
)
SCRIPT = (
    f"<script>for (const [key, value] of Object.entries({json.dumps(FIRST_CHOICES)}))"
    " if (localStorage.getItem(key) === null) localStorage.setItem(key, value)</script>"
)


worker_class, threads = "gthread", 4
control_socket_disable = True  # it would be one in the home directory for all servers


def post_worker_init(worker: Any) -> None:
    """Called by gunicorn once the application is loaded."""
    worker.wsgi.after_request(with_choices)


def with_choices(response: Any) -> Any:
    """The page with script and style before MLflow's own."""
    if response.mimetype == "text/html" and response.status_code == 200:
        response.direct_passthrough = False
        response.set_data(response.get_data(as_text=True).replace("<head>", f"<head>{SCRIPT}{STYLE}", 1))
        del response.headers["ETag"]  # of the file as it was
    return response
