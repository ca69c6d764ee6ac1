"""Airflow, the MLflow UI and the shop window as background services of this machine: start, find, stop.

    python -m scripts.services up [--warehouse DIR]      (make up)
    python -m scripts.services down                      (make down)

Runs in the airflow environment. What is running is kept in <Airflow's home>/services.json, each process with its
start time, so that `down` ends those processes and no other. Everything listens on 127.0.0.1.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import psutil

from scripts.airflow_api import DAG_ID, AirflowApi, open_local

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / os.environ.get("ATELIER_AIRFLOW_HOME", ".airflow")
LOGS = HOME / "logs" / "services"
AIRFLOW = str(ROOT / "scripts" / "airflow")

#: What a run needs; the UI shows a fault where there is no triggerer, so that `up` starts one as well.
AIRFLOW_SERVICES = ("api-server", "scheduler", "dag-processor")
AIRFLOW_PORT, MLFLOW_PORT, SHOP_PORT = 8080, 5000, 8000
START_SECONDS, STOP_SECONDS = 120, 5


class ServiceError(Exception):
    """A service that does not start; the message says which, and where its log is."""


@dataclass
class Service:
    """One background process, the port it listens on and the warehouse it serves, if any."""

    pid: int
    started: float
    port: int | None = None
    warehouse: str | None = None

    def process(self) -> psutil.Process | None:
        """The process, if it still runs; a later process with the same number is not it."""
        try:
            process = psutil.Process(self.pid)
            alive = process.create_time() == self.started and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return None
        return process if alive else None


@dataclass
class Services:
    """The services of one Airflow home, as services.json knows them."""

    file: Path = field(default_factory=lambda: HOME / "services.json")

    def running(self) -> dict[str, Service]:
        """Name -> service, of those that still run."""
        if not self.file.exists():
            return {}
        known = {name: Service(**facts) for name, facts in json.loads(self.file.read_text()).items()}
        return {name: service for name, service in known.items() if service.process()}

    def start(
        self, name: str, command: list[str], port: int | None = None, warehouse: str | None = None, **environment: str
    ) -> None:
        """Start `command` in the background with its output in logs/services/<name>.log."""
        LOGS.mkdir(parents=True, exist_ok=True)
        with (LOGS / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=os.environ | environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        service = Service(process.pid, psutil.Process(process.pid).create_time(), port, warehouse)
        self._save(self.running() | {name: service})

    def stop(self, names: Iterable[str] | None = None) -> list[str]:
        """End the named services (default: all) and all they started: asked first, then forced. Returns the names."""
        running = self.running()
        stopping = {name: running.pop(name) for name in list(running) if names is None or name in names}
        asked = [process for service in stopping.values() if (process := service.process())]
        everything = [*asked, *(child for process in asked for child in process.children(recursive=True))]
        for process in asked:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
        psutil.wait_procs(asked, timeout=STOP_SECONDS)
        for process in everything:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(everything, timeout=STOP_SECONDS)
        self._save(running)
        return list(stopping)

    def _save(self, services: dict[str, Service]) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(json.dumps({name: vars(service) for name, service in services.items()}))


def free_port(preferred: int) -> int:
    """The preferred port of 127.0.0.1 if nothing listens there, else any free one."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return probe.getsockname()[1]
    raise ServiceError("no free port on 127.0.0.1")


def start_airflow(
    services: Services, names: Iterable[str] = AIRFLOW_SERVICES, warehouse: str | None = None, **environment: str
) -> list[str]:
    """Start those of Airflow's services that are not running; the names of those started.

    The metadata database is made, or migrated, first. Return does not mean ready: see connect().
    """
    running = services.running()
    migrate()
    port = running["api-server"].port if "api-server" in running else free_port(AIRFLOW_PORT)
    missing = [name for name in names if name not in running]
    for name in missing:
        # Logs are read from files here: no need for the scheduler to serve them.
        arguments = ["--skip-serve-logs"] if name == "scheduler" else []
        services.start(name, [AIRFLOW, name, *arguments], port, warehouse, AIRFLOW__API__PORT=str(port), **environment)
    return missing


def migrate() -> None:
    """Bring the metadata database to the installed Airflow's version, once per version."""
    HOME.mkdir(parents=True, exist_ok=True, mode=0o700)
    stamp = HOME / "migrated"
    installed = version("apache-airflow-core")
    if stamp.exists() and stamp.read_text() == installed:
        return
    outcome = subprocess.run([AIRFLOW, "db", "migrate"], capture_output=True, text=True, check=False)
    if outcome.returncode:
        raise ServiceError(f"airflow db migrate failed:\n{outcome.stderr[-2000:]}")
    stamp.write_text(installed)


def start_mlflow(services: Services, warehouse: Path) -> None:
    """Start the MLflow UI on the warehouse's own SQLite store, unless it runs."""
    if "mlflow" in services.running():
        return
    store = warehouse.resolve() / "mlflow"
    store.mkdir(parents=True, exist_ok=True)
    port = free_port(MLFLOW_PORT)
    command = [str(ROOT / ".venv/jobs/bin/mlflow"), "server", "--host", "127.0.0.1", "--port", str(port)]
    database = str(store).replace("%", "%25").replace("?", "%3F")  # as jobs.platform.settings has it
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{database}/mlflow.db"]
    command += ["--gunicorn-opts", f"--config '{ROOT / 'scripts' / 'mlflow_pages.py'}'"]
    # Its own job queue (evaluations of language models) would start some ten processes that nothing here uses.
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    services.start("mlflow", command, port, str(warehouse.resolve()), **quiet)


def start_shop(services: Services, warehouse: Path) -> None:
    """Start the shop window on the warehouse, unless it runs; data and mapping come from the environment."""
    if "shop" in services.running():
        return
    port, root = free_port(SHOP_PORT), str(warehouse.resolve())
    known = {"ATELIER_WAREHOUSE": root, "ATELIER_SHOP_BIND": f"127.0.0.1:{port}"}
    services.start("shop", [str(ROOT / ".venv/jobs/bin/python"), "-m", "app"], port, root, **known)


def mlflow_page(port: int) -> str:
    """The page of the jobs' experiment, or of all before there is one; by default MLflow opens on language models."""
    url = f"http://127.0.0.1:{port}"
    try:
        with open_local(f"{url}/api/2.0/mlflow/experiments/get-by-name?experiment_name=atelier") as answer:
            place = f"experiments/{json.load(answer)['experiment']['experiment_id']}"
    except urllib.error.HTTPError:
        place = "experiments"
    return f"{url}/#/{place}?workflowType=machine_learning"


def connect(services: Services, dag_id: str = DAG_ID) -> AirflowApi:
    """Airflow's API, once everything is up and the DAG can be run. ServiceError when that does not happen."""
    port = services.running()["api-server"].port
    assert port is not None
    wait(services, AIRFLOW_SERVICES, lambda: _healthy(port))
    api = AirflowApi(port, password(), dag_id)
    try:
        api.prepare()
    except TimeoutError as error:
        raise ServiceError(str(error)) from None
    return api


def wait(services: Services, names: Iterable[str], ready: Callable[[], bool]) -> None:
    """Return when the named services are ready; ServiceError when one stops, or not all are in time."""
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        running = services.running()
        for name in names:
            if name not in running:
                raise ServiceError(f"{name} stopped while starting: see {LOGS / name}.log")
        if time.monotonic() > deadline:
            raise ServiceError(f"{', '.join(names)}: not ready after {START_SECONDS} s: see {LOGS}")
        time.sleep(0.5)


def _healthy(port: int) -> bool:
    """API server answers, scheduler and DAG processor have reported to it."""
    try:
        with open_local(f"http://127.0.0.1:{port}/api/v2/monitor/health", timeout=5) as response:
            health = json.load(response)
    except (OSError, ValueError):
        return False
    return all(health[part]["status"] == "healthy" for part in ("scheduler", "dag_processor"))


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def password() -> str:
    """The generated password of Airflow's user `admin`."""
    return json.loads((HOME / "passwords.json").read_text())["admin"]


def require_same(services: Services, warehouse: Path) -> None:
    """Raises ServiceError where another warehouse is served: forms and MLflow would be of the wrong one."""
    served = {service.warehouse for service in services.running().values()} - {None, str(warehouse.resolve())}
    if served:
        raise ServiceError(f"{served.pop()} is served already: run `make down` first")


def latest_week(warehouse: Path) -> str:
    """The as-of date of the newest whole week in the tables; empty where there is none."""
    command = [str(ROOT / ".venv/jobs/bin/python"), "-m", "jobs.ingest.latest_week", str(warehouse.resolve())]
    outcome = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return outcome.stdout.strip()


def folder(text: str) -> Path:
    """The warehouse to serve. Raises argparse.ArgumentTypeError for one in an object store."""
    if "://" in text:
        raise argparse.ArgumentTypeError(f"{text}: a folder can be served; for an object store see docker/compose.yaml")
    return Path(text)


def up(warehouse: Path) -> None:
    """`make up`: start everything, saying what takes its time, and say where it is."""
    services = Services()
    require_same(services, warehouse)
    begun = time.monotonic()

    def say(words: str) -> None:
        print(f"{time.monotonic() - begun:4.0f} s  {words}", flush=True)

    say("preparing Airflow's database" if not (HOME / "migrated").exists() else "looking at the tables")
    known = {"ATELIER_WAREHOUSE": str(warehouse.resolve())}
    if week := latest_week(warehouse):
        known["ATELIER_LATEST_WEEK"] = week
    started = start_airflow(services, [*AIRFLOW_SERVICES, "triggerer"], str(warehouse.resolve()), **known)
    say(f"starting {', '.join(started)}, MLflow and the shop" if started else "Airflow runs already")
    start_mlflow(services, warehouse)
    start_shop(services, warehouse)
    say("waiting until all answer: half a minute on two cores")
    airflow = connect(services)
    mlflow, shop = (services.running()[name].port for name in ("mlflow", "shop"))
    assert mlflow is not None and shop is not None
    wait(services, ["mlflow", "shop"], lambda: _listens(mlflow) and _listens(shop))
    say("ready")
    print(f"Airflow    {airflow.url}   user admin, password {password()}")
    print(f"MLflow     {mlflow_page(mlflow)}   store {warehouse.resolve() / 'mlflow'}")
    print(f"Shop       http://127.0.0.1:{shop}/")
    print(f"Data Docs  {airflow.url}/data-docs/   files {warehouse.resolve() / 'data_docs'}")
    print(f"Reports    {airflow.url}/reports/   files {warehouse.resolve() / 'reports'}")
    if week:
        print(f"A run triggered without a date uses the newest whole week in the tables: as-of date {week}")
    print(f"Logs in {LOGS}; stop with: make down")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["up", "down"])
    default = os.environ.get("ATELIER_WAREHOUSE", ROOT / "warehouse")
    parser.add_argument("--warehouse", type=folder, default=str(default), help="its tables and MLflow store are served")
    arguments = parser.parse_args()
    try:
        if arguments.command == "up":
            up(arguments.warehouse)
        else:
            stopped = Services().stop()
            print(f"stopped: {', '.join(stopped)}" if stopped else "nothing was running")
    except ServiceError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
