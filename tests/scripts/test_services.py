"""Background services: found again, stopped with all they started, and nothing else touched."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
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
from scripts.services import Service, ServiceError, Services, free_port, mlflow_page, require_same, start_shop, wait

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


def test_another_warehouse_is_refused_while_one_is_served(services: Services, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    services.start("mlflow", SLEEPER, 5000, str(one))
    require_same(services, one)
    with pytest.raises(ServiceError, match=r"one is served already: run `make down` first$"):
        require_same(services, other)
    services.stop()
    require_same(services, other)


def test_a_warehouse_in_an_object_store_is_refused() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="s3://a/b: a folder can be served"):
        module.folder("s3://a/b")


def in_airflow(tmp_path: Path, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What scripts/airflow would start Airflow with: a copy of it, where Airflow is a shell script."""
    scripts = tmp_path / "scripts"
    shutil.copytree(module.ROOT / "scripts", scripts)
    binary = tmp_path / ".venv" / "airflow" / "bin"
    binary.mkdir(parents=True)
    (binary / "airflow").write_text(f"#!/bin/sh\n{command}\n")
    (binary / "airflow").chmod(0o755)
    (binary / "python").symlink_to(sys.executable)
    variables = {"PATH": os.environ["PATH"]} | environment
    return subprocess.run([scripts / "airflow"], env=variables, capture_output=True, text=True, check=False)


SHOWN = 'echo "$ATELIER_WAREHOUSE $ATELIER_MODEL_NAME $ATELIER_WEEKLY_SCHEDULE $AIRFLOW_HOME"'


def test_without_a_target_the_settings_defaults_hold(tmp_path: Path) -> None:
    assert in_airflow(tmp_path, SHOWN).stdout.split() == [f"{tmp_path}/.airflow"]


def test_staging_has_tables_a_model_and_an_airflow_of_its_own(tmp_path: Path) -> None:
    said = in_airflow(tmp_path, SHOWN, ATELIER_TARGET="staging", ATELIER_MODEL_NAME="mine").stdout.split()
    assert said == ["warehouse-staging", "mine", "False", f"{tmp_path}/.airflow-staging"]  # what is given wins


def test_production_runs_every_week(tmp_path: Path) -> None:
    said = in_airflow(tmp_path, SHOWN, ATELIER_TARGET="production").stdout.split()
    assert said == ["warehouse", "weekly_recommender", "True", f"{tmp_path}/.airflow"]


def test_an_unknown_target_is_refused(tmp_path: Path) -> None:
    outcome = in_airflow(tmp_path, SHOWN, ATELIER_TARGET="test")
    assert outcome.returncode == 2
    assert outcome.stderr == "error: ATELIER_TARGET: no target called 'test': production or staging\n"


def in_make(*arguments: str) -> str:
    """What make prints."""
    command = ["make", "--no-print-directory", *arguments]  # which it would print where it runs in another make
    return subprocess.run(command, cwd=module.ROOT, capture_output=True, text=True, check=True).stdout


def test_make_gives_a_target_to_all_that_it_starts() -> None:
    said = in_make("--eval", "shown: ; @echo $$ATELIER_WAREHOUSE $$ATELIER_TARGET", "shown", "TARGET=staging")
    assert said.split() == ["warehouse-staging", "staging"]


def test_make_help_lists_every_target_under_a_heading() -> None:
    text = in_make("help")
    targets = re.findall(r"^([a-z-]+):", (module.ROOT / "Makefile").read_text(), re.MULTILINE)
    assert [target for target in targets if not re.search(rf"^  {target} +\S", text, re.MULTILINE)] == []
    assert re.findall(r"^(\w+)\n  ", text, re.MULTILINE) == ["Run", "Data", "Models", "Test", "Maintain"]


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


def test_the_shop_is_started_on_the_warehouse_and_is_well(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"ATELIER_SHOP_HOME": tmp_path / "home", "ATELIER_SHOP_EVENTS": tmp_path / "events"}.items():
        monkeypatch.setenv(name, str(value))
    start_shop(services, tmp_path / "warehouse")
    start_shop(services, tmp_path / "warehouse")
    shop = services.running()["shop"]
    assert shop.warehouse == str(tmp_path / "warehouse") and shop.port
    wait(services, ["shop"], lambda: module._listens(shop.port))
    with module.open_local(f"http://127.0.0.1:{shop.port}/health") as answer:
        assert json.load(answer) == {"status": "ok", "database": "ok", "events": "ok", "tables": "no articles"}
    assert services.stop(["shop"]) == ["shop"] and not module._listens(shop.port)
