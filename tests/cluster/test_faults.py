"""Executors that are killed, slow or short of memory: the tables are the same as ever."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import TypeVar

import pytest

from benchmarks.standalone import (
    LOOPBACK,
    Cluster,
    arguments,
    call,
    children,
    finished,
    members,
    process,
    send,
    wait_for,
)
from tests.cluster.events import events, recorded, stages_done
from tests.cluster.listening import addresses
from tests.cluster.tables import assert_same
from tests.cluster.weekly import SECONDS, submit

Found = TypeVar("Found")

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

JOB, TABLE = "features.customers", "gold/customer_features"
#: The job starts with both executors and shares out even the little work of a small shop.
SHARED_OUT = {
    "spark.cores.max": "2",
    "spark.scheduler.minRegisteredResourcesRatio": "1",
    "spark.sql.adaptive.coalescePartitions.enabled": "false",
    "spark.sql.shuffle.partitions": "8",
}
#: A task that takes longer than others of its stage, or a lone one than this, is started once more.
SPECULATION = {
    "spark.speculation": "true",
    "spark.speculation.multiplier": "1",
    "spark.speculation.quantile": "0.1",
    "spark.speculation.minTaskRuntime": "0s",
    "spark.speculation.task.duration.threshold": "500ms",
}
#: Processor seconds after which a Python worker is amid a task, and not only started.
BUSY_SECONDS = 0.3


@pytest.fixture
def ready(spark_cluster: Cluster) -> Cluster:
    """The cluster once the executors of earlier applications are gone."""
    wait_for("idle cluster", lambda: not spark_cluster.executors(), SECONDS)
    return spark_cluster


def left_by(job: str, stages: Path, folder: Path) -> Path:
    """A warehouse in the folder as this job of the week left it."""
    return Path(shutil.copytree(stages / job, folder / "warehouse"))


def before_the_end(started: subprocess.Popen[bytes], what: str, look: Callable[[], Found | None]) -> Found:
    """What `look` finds while the job runs."""

    def looked() -> Found | None:
        assert started.poll() is None, f"the job ended and there was no {what}"
        return look()

    return wait_for(what, looked, SECONDS, pause=0.02)


def python_workers(executor: int) -> list[int]:
    """The Python workers of an executor, children of their daemon."""
    return [worker for daemon in children(executor) for worker in children(daemon)]


def amid_a_task(cluster: Cluster, _: Path) -> int | None:
    """An executor one of whose Python workers computes."""
    for executor in cluster.executors():
        activities = map(_activity, python_workers(executor))
        if any(is_running and seconds > BUSY_SECONDS for is_running, seconds in activities):
            return executor
    return None


def after_a_stage(cluster: Cluster, log: Path) -> int | None:
    """Any executor, once a stage is complete and others may need what it left there."""
    return next(iter(cluster.executors()), None) if stages_done(log) else None


def _activity(pid: int) -> tuple[bool, float]:
    """Whether the process is running right now, and its processor seconds."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # ended meanwhile
        return False, 0
    return fields[0] == "R", (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("moment", [amid_a_task, after_a_stage])
def test_a_killed_executor_changes_nothing(
    moment: Callable[[Cluster, Path], int | None], shop: Path, alone: Path, stages: Path, ready: Cluster, tmp_path: Path
) -> None:
    warehouse, log = left_by("ingest.transactions", stages, tmp_path), tmp_path / "events"
    command, output, variables = submit(JOB, shop, warehouse, ready.master, SHARED_OUT | recorded(log))
    with process(command, output, variables) as started:
        send(before_the_end(started, "executor to kill", lambda: moment(ready, log)), signal.SIGKILL)
        finished(started, output, seconds=SECONDS)
    reasons = [event["Removed Reason"] for event in events(log, "ExecutorRemoved")]
    assert any(f"code {128 + signal.SIGKILL}" in reason for reason in reasons), f"killed too late: {reasons}"
    assert_same(TABLE, alone, warehouse)


def test_tasks_run_twice_leave_no_row_twice(
    shop: Path, alone: Path, stages: Path, ready: Cluster, tmp_path: Path
) -> None:
    """One of the executors has a slow machine, and Spark starts its tasks again on the other one."""
    warehouse = left_by("ingest.customers", stages, tmp_path)
    for job in ("ingest.transactions", JOB):
        log = tmp_path / job
        conf = SHARED_OUT | SPECULATION | recorded(log)
        with slow(ready):
            call(*submit(job, shop, warehouse, ready.master, conf), SECONDS)
        twice = [event for event in events(log, "TaskStart") if event["Task Info"]["Speculative"]]
        assert twice, f"{job}: no task was started twice"
    for name in ("silver/transactions", "silver/quarantine", TABLE):
        assert_same(name, alone, warehouse)


@contextmanager
def slow(cluster: Cluster) -> Iterator[None]:
    """The executors of the first worker stand still most of the time, once they have Python workers."""
    over = Event()

    def brake() -> None:
        while not over.wait(0.1):
            first = [pid for pid in cluster.executors() if pid in members(cluster.sessions[0])]
            workers = [worker for executor in first for worker in python_workers(executor)]
            if workers:
                _each(first + workers, signal.SIGSTOP)
                over.wait(0.4)
                _each(first + workers, signal.SIGCONT)

    thread = Thread(target=brake)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _each(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        send(pid, number)


def test_executors_keep_to_their_memory_and_to_this_machine(
    shop: Path, alone: Path, stages: Path, ready: Cluster, tmp_path: Path
) -> None:
    warehouse = left_by("ingest.transactions", stages, tmp_path)
    conf = SHARED_OUT | {"spark.executor.memory": "600m"}
    command, output, variables = submit(JOB, shop, warehouse, ready.master, conf)
    with process(command, output, variables) as started:

        def both() -> list[int] | None:
            executors = ready.executors()
            return executors if len(executors) == 2 and any(map(python_workers, executors)) else None

        executors = before_the_end(started, "pair of executors with a Python worker", both)
        assert ["-Xmx600M" in arguments(executor) for executor in executors] == [True, True]
        running = [pid for session in (*ready.sessions, started.pid) for pid in members(session)]
        assert addresses(running) == {LOOPBACK}
        finished(started, output, seconds=SECONDS)
    assert_same(TABLE, alone, warehouse)
