"""How MLflow runs end: FINISHED, FAILED, or KILLED by a signal; and which store it was where MLflow itself fails."""

from __future__ import annotations

import logging
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import mlflow
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

#: Tag of a run: host, process id and start of the process that writes it.
PROCESS = "process"
#: A run of another host is taken for killed after so long: no task of a weekly run may take longer than its week.
ABANDONED_DAYS = 7


def this_process() -> str:
    """Value of the tag PROCESS: no other process has the same, however often ids are used again."""
    pid = Path("/proc/self").resolve().name
    return f"{socket.gethostname()} {pid} {_started(pid)}"


def _started(pid: str) -> str | None:
    """When a process was started, in clock ticks since boot; None where there is none."""
    try:
        return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return None


def close_stale_runs(experiment_id: str) -> None:
    """End, as KILLED, the runs whose process is no more: nothing else would ever end them.

    Of this host that is known. Of another one, a container maybe that is gone with its name, a run counts as killed
    once it is ABANDONED_DAYS old; should it go on after all, it says how it ended when it does.
    """
    client, host = mlflow.MlflowClient(), socket.gethostname()
    oldest = int((time.time() - ABANDONED_DAYS * 86_400) * 1000)

    def running(and_that: str) -> list[Run]:
        return list(client.search_runs([experiment_id], f"attributes.status = 'RUNNING' AND {and_that}"))

    old = running(f"tags.{PROCESS} LIKE '% %' AND attributes.start_time < {oldest}")
    of_this_host = running(f"tags.{PROCESS} LIKE '{host} %'")
    for run in {run.info.run_id: run for run in [*old, *of_this_host]}.values():
        its_host, pid, started = run.data.tags[PROCESS].rsplit(" ", 2)
        if its_host != host or _started(pid) != started:
            for child in running(f"tags.`mlflow.parentRunId` = '{run.info.run_id}'"):
                client.set_terminated(child.info.run_id, "KILLED")
            client.set_terminated(run.info.run_id, "KILLED")
            where = "" if its_host == host else f" of {its_host}, begun over {ABANDONED_DAYS} days ago"
            print(
                f"MLflow run {run.info.run_name}{where}, whose process was killed, is closed as KILLED", file=sys.stderr
            )


@contextmanager
def ends_as_it_ends() -> Iterator[None]:
    """Around the work of the active run: SIGTERM ends the process with code 143 after the run was ended as KILLED.

    Left to itself SIGTERM ends Python on the spot, and the run would seem to go on for ever.
    """

    def terminate(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    is_main = threading.current_thread() is threading.main_thread()  # no other may set a signal's handler
    before = signal.signal(signal.SIGTERM, terminate) if is_main else None
    try:
        yield
    except (SystemExit, KeyboardInterrupt):
        run = mlflow.active_run()
        print(f"killed; MLflow run {run.info.run_name if run else ''} ends as KILLED", file=sys.stderr, flush=True)
        mlflow.end_run("KILLED")
        raise
    finally:
        if is_main:
            signal.signal(signal.SIGTERM, before)


@contextmanager
def naming_store(*more: type[Exception]) -> Iterator[None]:
    """Add to a fault of MLflow, or of these kinds, which store it was: neither SQLite nor the disk says so."""
    kinds: tuple[type[Exception], ...] = (MlflowException, SQLAlchemyError, *more)
    try:
        yield
    except kinds as error:
        words = f"in MLflow's store {mlflow.get_tracking_uri()}"
        if "database is locked" in str(error):
            words += "; another process holds it, run again once that has ended"
        error.add_note(words)
        raise


@contextmanager
def without_warning(start: str) -> Iterator[None]:
    """Keep MLflow from logging a message of models that starts so."""
    logger = logging.getLogger("mlflow.models.model")

    def is_other(record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith(start)

    logger.addFilter(is_other)
    try:
        yield
    finally:
        logger.removeFilter(is_other)
