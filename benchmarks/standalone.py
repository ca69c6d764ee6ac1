"""A Spark cluster on this machine: a standalone master and its workers as processes of their own, and jobs run on it.

As in docker/compose.yaml every process has the repository on its PYTHONPATH and jobs/platform/spark_conf as its
configuration. All of them listen on the loopback interface only, and all end with the block that started them.

    python -m benchmarks.standalone WORKERS DATA WAREHOUSE AS_OF FIGURES

runs the jobs of benchmarks/cluster.py on workers of one core each and writes what each took to the file FIGURES.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

Found = TypeVar("Found")

ROOT = Path(__file__).resolve().parents[1]
LOOPBACK = "127.0.0.1"
#: Both names are this machine's, but to Spark they are two machines: it never tries a task twice on the same one.
HOSTS = (LOOPBACK, "localhost")

#: From CSV to the feature tables, in the order of the weekly DAG.
JOBS = (
    "ingest.articles",
    "ingest.customers",
    "ingest.transactions",
    "features.customers",
    "features.articles",
    "features.interactions",
)

#: Master and workers compute nothing, so they need not be fast; a port that is taken meanwhile is a clear failure.
_DAEMON = {
    "SPARK_DAEMON_MEMORY": "256m",
    "SPARK_DAEMON_JAVA_OPTS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Dspark.port.maxRetries=0",
}
#: Linux's libc, and what tells it which signal a process gets when the one that started it ends, in whatever way.
_LIBC, _SIGNAL_OF_PARENTS_DEATH = ctypes.CDLL(None), 1
_START_SECONDS, _END_SECONDS, _JOB_SECONDS = 60, 10, 3600
#: Of each worker with `python -m benchmarks.standalone`, and of the one executor it runs.
_WORKER_MEMORY, _EXECUTOR_MEMORY = "3g", "2g"


def spark_home() -> Path:
    """The folder of the installed pyspark, which is a whole Spark."""
    spec = find_spec("pyspark")
    assert spec is not None and spec.origin is not None, "pyspark is not installed here"
    return Path(spec.origin).parent


def environment(scratch: Path) -> dict[str, str]:
    """The environment of every Spark process, without the caller's own settings for Spark or the jobs.

    Args:
        scratch: folder for Spark's own files.
    """
    foreign = ("SPARK_", "PYSPARK_", "ATELIER_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return inherited | {
        "JAVA_HOME": os.environ.get("JAVA_HOME", str(ROOT / ".venv" / "java")),
        "PYTHONPATH": str(ROOT),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_HOME": str(spark_home()),
        "SPARK_CONF_DIR": str(ROOT / "jobs" / "platform" / "spark_conf"),
        "SPARK_LOCAL_DIRS": str(scratch),
        "SPARK_LOCAL_IP": LOOPBACK,
    }


def free_port() -> int:
    """A free port."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def wait_for(what: str, look: Callable[[], Found | None], seconds: float, pause: float = 0.1) -> Found:
    """What `look` finds once it finds something; raises TimeoutError, which says `what` was not there."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"no {what} within {seconds} s")
        time.sleep(pause)
    return found


@contextmanager
def process(
    command: Sequence[str], log: Path, variables: Mapping[str, str], core: int | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """The command in a session of its own; with the block, or with this process, ends everything that it started.

    Args:
        command: program and arguments.
        log: file that its output is added to.
        variables: its environment.
        core: the one core that it and all it starts may use; None: all of this process's.
    """
    cores = os.sched_getaffinity(0) if core is None else {core}

    def prepare() -> None:
        os.sched_setaffinity(0, cores)
        _LIBC.prctl(_SIGNAL_OF_PARENTS_DEATH, signal.SIGTERM)

    with log.open("ab") as output:
        started = subprocess.Popen(
            command,
            cwd=ROOT,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=prepare,
        )
    try:
        yield started
    finally:
        _end(started)


def _end(started: subprocess.Popen[bytes]) -> None:
    """End all processes of the session, whatever groups they have made (Spark's Python workers make one)."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in members(started.pid):
            send(pid, number)
        deadline = time.monotonic() + _END_SECONDS
        while members(started.pid) and time.monotonic() < deadline:
            time.sleep(0.05)
    started.wait()


def send(pid: int, number: signal.Signals) -> None:
    """Send the signal to a process that may have ended meanwhile."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def members(session: int) -> list[int]:
    """The running processes of a session."""
    return [pid for pid, fields in _processes() if int(fields[3]) == session and fields[0] != "Z"]


def children(parent: int) -> list[int]:
    """The running processes that this one has started."""
    return [pid for pid, fields in _processes() if int(fields[1]) == parent and fields[0] != "Z"]


def _processes() -> Iterator[tuple[int, list[str]]]:
    """Of each process its id and what Linux says of it: state, parent, group, session, and so on."""
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            yield int(file.parent.name), file.read_text().rpartition(")")[2].split()
        except OSError:  # ended meanwhile
            continue


def arguments(pid: int) -> list[str]:
    """The command line of a process; empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[:-1]
    except OSError:
        return []


@dataclass(frozen=True)
class Cluster:
    """A master, and workers that are all registered with it.

    Args:
        master: its URL.
        sessions: the workers' sessions, in which their executors run.
    """

    master: str
    sessions: tuple[int, ...]

    def executors(self) -> list[int]:
        """The executors' processes that run now."""
        name = "org.apache.spark.executor.CoarseGrainedExecutorBackend"
        return [pid for session in self.sessions for pid in members(session) if name in arguments(pid)]


@contextmanager
def cluster(
    folder: Path, workers: int, memory: str = "2g", cores: Sequence[int | None] | None = None
) -> Iterator[Cluster]:
    """A cluster of workers that offer one core each.

    Args:
        folder: for logs and Spark's own files.
        workers: how many.
        memory: that each worker may give to executors.
        cores: the core that each worker and its executors are held to; None: they may run on any.
    """
    variables = environment(folder) | _DAEMON
    program, page = str(spark_home() / "bin" / "spark-class"), free_port()
    with ExitStack() as stack:
        command = [program, "org.apache.spark.deploy.master.Master", "--host", LOOPBACK, "--port", "0"]
        command += ["--webui-port", str(page)]
        daemons = [stack.enter_context(process(command, folder / "master.log", variables))]
        master = _answer(daemons, folder, "master", lambda: _state(page).get("url"))
        for number, core in enumerate(cores or [None] * workers):
            command = [program, "org.apache.spark.deploy.worker.Worker", "--host", HOSTS[number % len(HOSTS)]]
            command += ["--cores", "1", "--memory", memory, "--webui-port", "0"]
            command += ["--work-dir", str(folder / f"worker-{number}"), master]
            daemons.append(stack.enter_context(process(command, folder / f"worker-{number}.log", variables, core)))
        _answer(daemons, folder, "workers", lambda: _state(page).get("aliveworkers") == workers)
        yield Cluster(master, tuple(daemon.pid for daemon in daemons[1:]))


def _state(page: int) -> dict[str, Any]:
    """What the master's page says of the cluster; nothing while it is not there."""
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{page}/json/", timeout=5) as answer:
            return dict(json.load(answer))
    except OSError:
        return {}


def _answer(
    daemons: Sequence[subprocess.Popen[bytes]], folder: Path, what: str, look: Callable[[], Found | None]
) -> Found:
    """What `look` finds while all daemons live; raises RuntimeError with their logs if one ends."""

    def looked() -> Found | None:
        if any(daemon.poll() is not None for daemon in daemons):
            logs = (f"{log.name}: {log.read_text()[-2000:]}" for log in sorted(folder.glob("*.log")))
            raise RuntimeError("\n".join(["a process of the cluster has ended", *logs]))
        return look()

    return wait_for(what, looked, _START_SECONDS)


def submission(job: str, flags: Sequence[str], master: str, conf: Mapping[str, str] | None = None) -> list[str]:
    """The command that runs a job's file by spark-submit, as the weekly DAG does."""
    options = [option for name, value in (conf or {}).items() for option in ("--conf", f"{name}={value}")]
    file = ROOT.joinpath("jobs", *job.split(".")).with_suffix(".py")
    return [str(spark_home() / "bin" / "spark-submit"), "--master", master, *options, str(file), *flags]


def flags(job: str, as_of: str, data: Path, warehouse: Path) -> list[str]:
    """A job's arguments, the data folder where it takes one."""
    takes_data = "data" in import_module(f"jobs.{job}").SETTINGS
    return ["--as-of-date", as_of, "--warehouse", str(warehouse), *(["--data", str(data)] if takes_data else [])]


def call(command: Sequence[str], log: Path, variables: Mapping[str, str], seconds: float = _JOB_SECONDS) -> str:
    """Run the command to its end; its output. Raises RuntimeError, with the output's end, if it does not end well."""
    before = log.stat().st_size if log.exists() else 0
    with process(command, log, variables) as started:
        return finished(started, log, before, seconds)


def finished(started: subprocess.Popen[bytes], log: Path, before: int = 0, seconds: float = _JOB_SECONDS) -> str:
    """Wait for the end of a `process`; its output, from byte `before` of its log; raises as `call` does."""
    try:
        code: int | None = started.wait(seconds)
    except subprocess.TimeoutExpired:
        code = None
    output = log.read_bytes()[before:].decode(errors="replace")
    if code:
        raise RuntimeError(f"exit code {code} of {started.args}\n{output[-4000:]}")
    if code is None:
        raise RuntimeError(f"no end within {seconds} s of {started.args}\n{output[-4000:]}")
    return output


def main(workers: int, data: Path, warehouse: Path, as_of: str, figures: Path) -> None:
    """Run the jobs on a cluster whose workers have one core each to themselves, and write down what each took.

    The file holds, by job, its seconds and the processor seconds of its driver.
    """
    cores = sorted(os.sched_getaffinity(0))
    if workers > len(cores):
        raise SystemExit(f"{workers} workers need as many cores: there are {len(cores)}")
    taken: dict[str, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory(prefix="atelier-cluster-") as folder:
        scratch = Path(folder)
        with cluster(scratch, workers, _WORKER_MEMORY, cores[:workers]) as ready:
            for job in JOBS:
                begun, busy = time.perf_counter(), _driver_seconds()
                conf = {"spark.executor.memory": _EXECUTOR_MEMORY}
                command = submission(job, flags(job, as_of, data, warehouse), ready.master, conf)
                print(call(command, scratch / "jobs.log", environment(scratch)).strip(), flush=True)
                taken[job] = (time.perf_counter() - begun, _driver_seconds() - busy)
    figures.write_text(json.dumps(taken))


def _driver_seconds() -> float:
    """Processor seconds of the drivers so far: of all that has been waited for, which master and workers are not."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4], Path(sys.argv[5]))
