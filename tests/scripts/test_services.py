"""Background services: found again, stopped with all they started, and nothing else touched."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import psutil
import pytest

from scripts import services as module
from scripts.services import Service, ServiceError, Services, free_port, mlflow_page, wait

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]
PARENT = [sys.executable, "-c", f"import subprocess; subprocess.run({SLEEPER!r})"]


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Services:
    monkeypatch.setattr(module, "LOGS", tmp_path / "logs")
    services = Services(tmp_path / "services.json")
    yield services
    services.stop()


def test_a_service_is_found_by_another_process_and_stopped_with_its_children(services: Services) -> None:
    services.start("parent", PARENT, port=1234)
    found = Services(services.file).running()
    assert found["parent"].port == 1234
    process = found["parent"].process()
    assert process is not None
    while not process.children():
        time.sleep(0.02)
    child = process.children()[0]
    assert services.stop() == ["parent"]
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    assert services.running() == {}


def test_stopping_some_leaves_the_others(services: Services) -> None:
    services.start("one", SLEEPER)
    services.start("two", SLEEPER)
    assert services.stop(["one"]) == ["one"]
    assert list(services.running()) == ["two"]


def test_a_later_process_with_the_same_number_is_not_ours(services: Services) -> None:
    """Numbers are reused: a service is its number and its start time."""
    other = subprocess.Popen(SLEEPER)
    try:
        services._save({"scheduler": Service(other.pid, psutil.Process(other.pid).create_time() - 100)})
        assert services.running() == {}
        assert services.stop() == []
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_service_that_ignores_the_request_is_ended(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STOP_SECONDS", 0.5)
    ready = services.file.with_name("ready")
    code = f"import signal, time, pathlib; signal.signal(15, lambda *_: None); pathlib.Path({str(ready)!r}).touch()"
    services.start("deaf", [sys.executable, "-c", code + "; time.sleep(60); time.sleep(60)"])
    process = services.running()["deaf"].process()
    assert process is not None
    while not ready.exists():
        time.sleep(0.02)
    services.stop()
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_a_service_that_dies_while_starting_is_named_with_its_log(services: Services) -> None:
    services.start("scheduler", [sys.executable, "-c", "raise SystemExit('no database')"])
    with pytest.raises(ServiceError, match=r"scheduler stopped while starting: see .*scheduler\.log"):
        wait(services, ["scheduler"], lambda: False)
    assert (module.LOGS / "scheduler.log").read_text() == "no database\n"


def test_a_busy_port_is_not_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) != port
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    assert free_port(free) == free


@contextmanager
def answering(status: int, body: dict) -> Iterator[int]:
    """A server that answers everything so; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def test_mlflow_opens_on_the_jobs_experiment() -> None:
    with answering(200, {"experiment": {"experiment_id": "7"}}) as port:
        assert mlflow_page(port) == f"http://127.0.0.1:{port}/#/experiments/7?workflowType=machine_learning"
    with answering(404, {"error_code": "RESOURCE_DOES_NOT_EXIST"}) as port:
        assert mlflow_page(port) == f"http://127.0.0.1:{port}/#/experiments?workflowType=machine_learning"
