"""Failure alerts: off by default, else to a mail server or webhook, which here listen on this machine."""

from __future__ import annotations

import json
import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.serialization.serialized_objects import DagSerialization

from dags import alerts
from dags.alerts import Alert
from dags.weekly_recommendations import dag

ROOT = Path(__file__).resolve().parents[2]

TASK = SimpleNamespace(dag_id="weekly", task_id="evaluation.gate", run_id="r", log_url="http://here/log")
FAILED: Any = {"ti": TASK, "exception": "evaluation.gate: refused <b>"}


class Hook(BaseHTTPRequestHandler):
    """A webhook that remembers what it was sent."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.said.append((self.path, json.loads(body)))  # type: ignore[attr-defined]
        self.send_response(500 if self.path == "/broken" else 200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


class Mail(socketserver.StreamRequestHandler):
    """Just enough of a mail server to take one message."""

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        while line := self.rfile.readline().decode().strip():
            if line.upper() == "DATA":
                self.wfile.write(b"354 go on\r\n")
                lines = iter(lambda: self.rfile.readline().decode().rstrip(), ".")
                self.server.said.append("\n".join(lines))  # type: ignore[attr-defined]
            self.wfile.write(b"221 bye\r\n" if line.upper() == "QUIT" else b"250 fine\r\n")
            if line.upper() == "QUIT":
                return


@pytest.fixture(params=[(HTTPServer, Hook), (socketserver.TCPServer, Mail)], ids=["webhook", "mail"])
def server(request: pytest.FixtureRequest) -> Iterator[Any]:
    kind, handler = request.param
    server = kind(("127.0.0.1", 0), handler)
    server.said = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_failure_is_told_with_the_jobs_last_line_and_its_log(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    port = server.server_address[1]
    extra = {"to": "team@example.com", "from_email": "a@example.com", "disable_tls": True, "disable_ssl": True}
    mail = {"conn_type": "smtp", "host": "127.0.0.1", "port": port, "extra": extra}
    is_mail = not isinstance(server, HTTPServer)
    uri = json.dumps(mail) if is_mail else f"http://127.0.0.1:{port}/services/a/b"
    monkeypatch.setenv("AIRFLOW_CONN_ALERTS", uri)
    Alert("alerts")(FAILED)
    (said,) = server.said
    if is_mail:
        assert "weekly: evaluation.gate failed" in said and "team@example.com" in said
        return
    assert said == (
        "/services/a/b",
        {
            "text": "weekly: evaluation.gate failed\ntask: evaluation.gate\nrun: r\nevaluation.gate: refused <b>\n"
            "log: http://here/log"
        },
    )
    monkeypatch.setenv("AIRFLOW_CONN_ALERTS", f"http://127.0.0.1:{port}/broken")
    with pytest.raises(Exception, match="500"):
        Alert("alerts")(FAILED)


def test_another_type_of_connection_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_ALERTS", "ftp://here")
    with pytest.raises(ValueError, match="connection alerts: ftp is neither smtp, http nor https"):
        Alert("alerts")(FAILED)


def test_a_missed_deadline_names_the_run() -> None:
    context = {
        "dag_run": {"dag_id": "weekly", "dag_run_id": "r"},
        "deadline": {"id": "1", "deadline_time": datetime(2020, 9, 24, 12, 5, 25, 1, UTC)},
    }
    assert alerts.message_of(context) == ("weekly is late", ["run: r", "not done by 2020-09-24 12:05 UTC"])


def test_nobody_is_told_by_default() -> None:
    assert dag.deadline in (None, []) and not any(task.on_failure_callback for task in dag.tasks)


@pytest.mark.parametrize(("settings", "seconds"), [({}, "86400.0"), ({"ATELIER_DEADLINE_HOURS": "0.5"}, "1800.0")])
def test_one_setting_names_the_connection_for_failures_and_the_deadline(settings: dict[str, str], seconds: str) -> None:
    code = (
        "from dags.weekly_recommendations import dag; from dags import maintenance;"
        "from airflow.serialization.serialized_objects import DagSerialization as D; import json;"
        "callbacks = [c.connection for d in (dag, maintenance.dag) for t in d.tasks for c in t.on_failure_callback];"
        "print(json.dumps([sorted(set(callbacks)), D.to_dict(dag)['dag']['deadline']]))"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT), "ATELIER_ALERT_CONNECTION": "alerts"} | settings
    outcome = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    connections, deadline = json.loads(outcome.stdout.splitlines()[-1])
    assert connections == ["alerts"]
    text = json.dumps(deadline)
    assert "dags.alerts.Alert" in text and "SyncCallback" in text and seconds in text
    assert DagSerialization.to_dict(dag)["dag"].get("deadline") is None
