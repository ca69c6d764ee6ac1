"""Look at the machine before a run: one line for each thing that it needs, with what to set where it is wrong.

`make doctor`, and the first task of the weekly run. Nothing else depends on it, and a run may begin without it.
Exit code 1 where something is wrong, 0 where there are remarks alone.
"""

from __future__ import annotations

import locale
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path
from urllib.parse import unquote, urlsplit

from jobs.ingest.mapping import load_mapping
from jobs.platform import machine, storage
from jobs.platform.code import ROOT
from jobs.platform.errors import JobError
from jobs.platform.job import Job, run
from jobs.platform.settings import Settings

READS, WRITES = (), ()
SETTINGS = ("data", "mapping", "mlflow_tracking_uri")

#: Least free space, in GB, of the warehouse and of the temporary folder; least memory of the machine.
WAREHOUSE_GB, TEMPORARY_GB, MEMORY_GB = 1.0, 0.5, 2.0
PYTHONS = ((3, 11), (3, 13))
JAVA = 17
#: What MLflow can keep its records in: the part of a tracking URI before a driver and the colon.
STORES = ("", "databricks", "file", "http", "https", "mssql", "mysql", "postgresql", "sqlite")
#: Of Airflow's and MLflow's pages.
PORTS = (8080, 5000)


class Fault(Exception):
    """What is wrong, and what to set; the run would fail."""


def python(settings: Settings) -> str:
    found = sys.version_info[:2]
    if not PYTHONS[0] <= found <= PYTHONS[1]:
        raise Fault(f"{sys.executable} is Python {sys.version.split()[0]}, not 3.11 to 3.13; run `make setup`")
    return sys.version.split()[0]


def packages(settings: Settings) -> str:
    """What is installed against what is locked; Delta's jar for Spark."""
    lock = ROOT / "requirements" / "jobs.txt"
    pins = re.findall(r"^([\w.-]+)(?:\[.*?\])?==([^\s;\\]+)", lock.read_text(), re.M) if lock.exists() else []
    locked: dict[str, set[str]] = {}
    for name, number in pins:
        locked.setdefault(name, set()).add(number)
    installed = {re.sub(r"[-_.]+", "-", d.name).lower(): d.version.partition("+")[0] for d in distributions()}
    if wrong := [
        f"{name} {installed[name]}" for name in locked.keys() & installed.keys() if installed[name] not in locked[name]
    ]:
        raise Fault(f"not the locked versions: {', '.join(sorted(wrong)[:5])}; run `make setup`")
    try:
        words = ", ".join(f"{name} {version(name)}" for name in ("pyspark", "deltalake", "mlflow", "torch"))
    except PackageNotFoundError as error:
        raise Fault(f"{error.name} is not installed; run `make setup`") from None
    return words


def java(settings: Settings) -> str:
    home = os.environ.get("JAVA_HOME")
    command = f"{home}/bin/java" if home else shutil.which("java")
    if command is None or not os.access(command, os.X_OK):
        raise Fault(
            f"no Java {'at JAVA_HOME=' + home if home else 'on PATH'}; run `make setup`, set JAVA_HOME to .venv/java"
        )
    said = subprocess.run([command, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', said)
    if found is None or int(found[1]) < JAVA:
        raise Fault(f"{command} is not Java {JAVA} or newer ({said.partition(os.linesep)[0]}); set JAVA_HOME")
    return said.partition(os.linesep)[0]


def memory(settings: Settings) -> str:
    found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.exists() and (text := limit.read_text().strip()).isdecimal():
        found = min(found, int(text))
    if found < MEMORY_GB * 1e9:
        raise Fault(f"{found / 1e9:.1f} GB; give the machine or container {MEMORY_GB:.0f} GB or more")
    return f"{found / 1e9:.1f} GB, {len(os.sched_getaffinity(0))} cores"


def warehouse(settings: Settings) -> str:
    """A folder that can be written to, with space; or a store that answers."""
    root = storage.normalized(settings.warehouse)
    storage.require_reachable(root)
    if storage.is_uri(root):
        return f"{root} answers"
    return f"{root}: {_space(Path(root), WAREHOUSE_GB, 'give another --warehouse or free some space')}"


def temporary_folder(settings: Settings) -> str:
    folder = Path(tempfile.gettempdir())
    return f"{folder}: {_space(folder, TEMPORARY_GB, 'set TMPDIR to a folder with space')}"


def _space(folder: Path, least: float, advice: str) -> str:
    """Free space where the folder is or will be; Fault where it is too little or nothing can be written there."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        with tempfile.NamedTemporaryFile(dir=there):
            pass
    except OSError as error:
        raise Fault(f"{folder}: cannot be written to ({error.strerror} in {there}); {advice}") from None
    free = shutil.disk_usage(there).free
    if free < least * 1e9:
        raise Fault(f"{folder}: {free / 1e9:.2f} GB free of the {least} GB that a run needs at least; {advice}")
    return f"{free / 1e9:,.1f} GB free"


def data(settings: Settings) -> str:
    """The retailer's files can be read, and the mapping that says what they are."""
    load_mapping(settings.mapping)
    if storage.is_uri(settings.data):
        storage.require_reachable(settings.data, by_spark=False)
        return f"{settings.data} answers, mapping {settings.mapping}"
    folder = Path(storage.normalized(settings.data))
    if not folder.is_dir():
        raise Fault(f"{folder}: no such folder; give --data, or run `make data` for a sample")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise Fault(f"{folder}: may not be read by user {os.getuid()}; change its rights")
    return f"{folder}, mapping {settings.mapping}"


def mlflow(settings: Settings) -> str:
    """The server answers, or its SQLite file can be written to."""
    try:
        uri = settings.tracking_uri
    except ValueError as error:
        raise Fault(str(error)) from None
    if urlsplit(uri).scheme.partition("+")[0] not in STORES:
        raise Fault(
            f"{uri} is no store of MLflow; set ATELIER_MLFLOW_TRACKING_URI to http://HOST:PORT or sqlite:///FILE"
        )
    if urlsplit(uri).scheme in ("http", "https"):
        try:
            urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=5).close()
        except OSError as error:
            raise Fault(f"{uri} does not answer ({error}); start it, or set ATELIER_MLFLOW_TRACKING_URI") from None
        return f"{uri} answers"
    file = Path(unquote(uri.removeprefix("sqlite:///")))
    if not uri.startswith("sqlite:///") or not file.exists():
        return f"{uri}: made by the first run that trains"
    try:
        store = sqlite3.connect(file, timeout=2, isolation_level=None)
        store.execute("BEGIN IMMEDIATE")
        store.close()
    except sqlite3.Error as error:
        raise Fault(f"{file}: {error}; end what else uses it, or restore it from a backup") from None
    return f"{file}"


def host_name(settings: Settings) -> str:
    name = socket.gethostname()
    try:
        return f"{name} is {socket.gethostbyname(name)}"
    except OSError:
        return f"{name} has no address: Spark uses {os.environ.get('SPARK_LOCAL_IP', '127.0.0.1')}"


def user(settings: Settings) -> str:
    return f"{os.getuid()}" + ("" if machine.has_user_name() else ": has no name, which does not matter")


def text_encoding(settings: Settings) -> str:
    found = locale.getencoding().upper()
    return found if found == "UTF-8" else f"{found}: Java is started with LC_ALL=C.UTF-8 instead"


def ports(settings: Settings) -> str:
    taken = []
    for port in PORTS:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                taken.append(str(port))
    return f"{' and '.join(taken)} in use: `make up` takes others where it is not itself" if taken else "free"


CHECKS: tuple[Callable[[Settings], str], ...] = (
    python, packages, java, memory, warehouse, temporary_folder, data, mlflow, host_name, user, text_encoding, ports,
)  # fmt: skip


def findings(settings: Settings) -> Iterator[tuple[str, bool, str]]:
    """Of every check its name, whether all is well, and what it says."""
    for check in CHECKS:
        name = check.__name__.replace("_", " ")
        try:
            yield name, True, check(settings)
        except (Fault, JobError, OSError) as fault:  # the last of a folder that may not even be entered
            yield name, False, str(fault)


def main(job: Job) -> str:
    wrong = []
    for name, is_well, words in findings(job.settings):
        print(f"{'ok   ' if is_well else 'FAULT'}  {name:<16}  {words}", flush=True)
        wrong += [] if is_well else [f"{name}: {words}"]
    if wrong:  # no JobError, after which Airflow would not try again: a disk may be emptied
        print(f"ERROR {job.name}: {'; '.join(wrong)}", file=sys.stderr, flush=True)
        sys.exit(1)
    return f"{len(CHECKS)} checks, no fault"


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES, settings=SETTINGS)
