"""What becomes of a job's MLflow run where the job fails or is killed, or where MLflow's store cannot be written."""

from __future__ import annotations

import logging
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path

import mlflow
import pytest
from pytorch_lightning.loggers import Logger
from sqlalchemy.exc import OperationalError

from jobs.platform import tracking
from jobs.platform.code import ROOT
from jobs.platform.errors import headline
from jobs.platform.lightning import RunLogger, fit
from jobs.platform.mlflow_runs import ABANDONED_DAYS, PROCESS, this_process, without_warning
from jobs.platform.settings import Settings
from lightning_modules.pairs import PairDataModule
from lightning_modules.ranker import Ranker
from tests.lightning_modules.small import SIZES, tensors

#: A job whose second fit never ends.
FITS_FOR_EVER = """
import sys
from datetime import date
from pathlib import Path
from jobs.platform.lightning import RunLogger
from jobs.platform.settings import Settings
from jobs.platform.tracking import start_run
from tests.jobs.platform.test_mlflow_runs import fit_small

folder = Path(sys.argv[1])
with start_run(Settings(as_of_date=date(2020, 9, 16), warehouse=str(folder)), "test.fit") as run:
    fit_small(folder / "first", 1, RunLogger(run.info.run_id))
    print("fitting", flush=True)
    fit_small(folder / "second", 1_000_000, RunLogger(run.info.run_id))
"""


def fit_small(folder: Path, epochs: int, logger: Logger | None = None) -> int:
    """Fit a small network; the epochs that it took."""
    data = PairDataModule(tensors(), None, 100, 0)
    return fit(Ranker(**SIZES, pair_size=1), data, epochs, folder, logger=logger)[1]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    warehouse = tmp_path_factory.mktemp("warehouse")
    settings = Settings(as_of_date=date(2020, 9, 16), run_id="test-run", warehouse=str(warehouse))
    tracking.use_tracking(settings)
    yield settings


def status(run_id: str) -> str:
    return str(mlflow.get_run(run_id).info.status)


def test_a_fit_does_not_end_the_run_and_a_failure_after_it_shows(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), tracking.start_run(settings, "test.fit") as run:
        fit_small(tmp_path, 1, RunLogger(run.info.run_id))
        assert status(run.info.run_id) == "RUNNING"
        _ = 1 / 0
    assert status(run.info.run_id) == "FAILED"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_terminated_job_ends_its_run_as_killed(settings: Settings) -> None:
    command = [sys.executable, "-c", FITS_FOR_EVER, settings.warehouse]
    job = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert job.stdout is not None
    while "fitting" not in (line := job.stdout.readline()):
        assert line, job.communicate()
    job.terminate()
    _, errors = job.communicate(timeout=120)
    assert job.returncode == 128 + signal.SIGTERM, errors
    assert "killed; MLflow run test.fit 2020-09-16 ends as KILLED" in errors.splitlines()
    (run,) = mlflow.search_runs(filter_string="status = 'KILLED'", output_format="list")
    assert run.data.tags["job"] == "test.fit" and run.info.end_time


def test_the_next_run_closes_what_a_kill_left_open(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    client = mlflow.MlflowClient()
    experiment = mlflow.get_experiment_by_name(tracking.EXPERIMENT).experiment_id
    host, pid, started = this_process().rsplit(" ", 2)
    gone = [
        client.create_run(experiment, run_name=name, tags={PROCESS: process}).info.run_id
        for name, process in {"none": f"{host} 999999999 5", "another's id": f"{host} {pid} {int(started) - 1}"}.items()
    ]
    child = client.create_run(experiment, tags={"mlflow.parentRunId": gone[0]}).info.run_id
    others = [
        client.create_run(experiment, tags={PROCESS: process}).info.run_id
        for process in (this_process(), f"not-{socket.gethostname()} 999999999 5")
    ]
    long_ago = int((time.time() - ABANDONED_DAYS * 86_400 - 60) * 1000)  # another host's, a container's maybe
    for process, of in ((f"not-{host} {pid} {started}", gone), (this_process(), others)):
        of.append(client.create_run(experiment, start_time=long_ago, tags={PROCESS: process}).info.run_id)
    with tracking.start_run(settings, "test.next") as run:
        pass
    assert [status(one) for one in (*gone, child)] == ["KILLED"] * 4
    assert [status(one) for one in others] == ["RUNNING"] * 3 and status(run.info.run_id) == "FINISHED"
    assert "MLflow run none, whose process was killed, is closed as KILLED" in capsys.readouterr().err


def test_a_locked_store_is_named(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    file = Path(settings.warehouse, "mlflow", "mlflow.db")
    with closing(sqlite3.connect(file)) as other, tracking.start_run(settings, "test.locked"):
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Exception, match="database is locked") as raised:
            tracking.find_versions("any")
        other.execute("ROLLBACK")
    words = f"database is locked in MLflow's store sqlite:///{file}; another process holds it, run again once that"
    assert words in " ".join(headline(raised.value).split())


def test_a_full_disk_of_the_store_is_named(settings: Settings) -> None:
    full = OperationalError("INSERT", None, sqlite3.OperationalError("database or disk is full"))
    with pytest.raises(OperationalError) as raised, tracking.start_run(settings, "test.full"):
        raise full
    assert headline(raised.value) == (
        f"database or disk is full in MLflow's store {settings.tracking_uri}; the tables are as they were; "
        "free some space there and run again"
    )


@pytest.mark.parametrize("name", ["last.ckpt", "best.ckpt"])
def test_a_damaged_checkpoint_is_dropped_with_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    fit_small(tmp_path, 1)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    assert fit_small(tmp_path, 2) == 2
    (said,) = [line for line in capsys.readouterr().out.splitlines() if "checkpoint" in line]
    assert said.startswith(f"{tmp_path / name}: damaged checkpoint (") and said.endswith("the fit starts afresh")


def test_only_the_named_warning_of_mlflow_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("mlflow.models.model")
    logger.addHandler(caplog.handler)
    try:
        with without_warning("Failed to validate"):
            logger.warning("Failed to validate serving input example")
            logger.warning("Another")
        logger.warning("Failed to validate, afterwards")
    finally:
        logger.removeHandler(caplog.handler)
    assert list(dict.fromkeys(caplog.messages)) == ["Another", "Failed to validate, afterwards"]
