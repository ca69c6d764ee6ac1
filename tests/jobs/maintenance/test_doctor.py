"""The look at the machine: every fault by its name with what to set, and the exit code."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from datetime import date

import pytest

from jobs.maintenance import doctor
from jobs.platform.code import ROOT
from jobs.platform.settings import Settings


@pytest.fixture
def faults(tmp_path):
    """Settings -> check -> what it found wrong, in folders where all is well without them."""
    (tmp_path / "data").mkdir()

    def found(**given):
        places = {"warehouse": str(tmp_path / "warehouse"), "data": str(tmp_path / "data")}
        settings = Settings(as_of_date=date(2020, 9, 16), **places | given)
        return {name: words for name, is_well, words in doctor.findings(settings) if not is_well}

    return found


def test_nothing_is_wrong_with_this_machine(faults):
    assert faults() == {}


def test_each_fault_says_what_to_set(faults, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setattr(doctor, "MEMORY_GB", 1e6)
    monkeypatch.setattr(doctor, "TEMPORARY_GB", 1e9)
    found = faults(
        warehouse=str(tmp_path / "file" / "w"),
        data=str(tmp_path / "absent"),
        mapping="nobody",
        mlflow_tracking_uri="http://127.0.0.1:9",
    )
    assert sorted(found) == ["data", "java", "memory", "mlflow", "temporary folder", "warehouse"]
    assert "cannot be written to (Not a directory" in found["warehouse"] and "--warehouse" in found["warehouse"]
    assert "does not answer" in found["mlflow"] and "ATELIER_MLFLOW_TRACKING_URI" in found["mlflow"]
    assert "set JAVA_HOME" in found["java"] and "set TMPDIR" in found["temporary folder"] and "nobody" in found["data"]
    assert "foo:bar is no store of MLflow" in faults(mlflow_tracking_uri="foo:bar")["mlflow"]
    assert "File name too long" in faults(warehouse=str(tmp_path / ("w" * 300)))["warehouse"]
    assert f"{tmp_path / 'absent'}: no such folder" in faults(data=str(tmp_path / "absent"))["data"]


def test_a_store_that_somebody_has_locked(faults, tmp_path):
    folder = tmp_path / "warehouse" / "mlflow"
    folder.mkdir(parents=True)
    held = sqlite3.connect(folder / "mlflow.db", isolation_level=None)
    held.execute("BEGIN EXCLUSIVE")
    assert "database is locked" in faults()["mlflow"]
    held.close()
    assert faults() == {}


def test_a_fault_is_exit_code_1_and_the_last_line(tmp_path):
    command = [sys.executable, "-m", "jobs.maintenance.doctor", "--as-of-date=2020-09-16"]
    places = [f"--warehouse={tmp_path}", f"--data={tmp_path / 'absent'}"]
    outcome = subprocess.run([*command, *places], cwd=ROOT, capture_output=True, text=True, check=False)
    assert outcome.returncode == 1
    assert len(outcome.stdout.splitlines()) == len(doctor.CHECKS)
    (line,) = outcome.stderr.splitlines()
    assert line.startswith(f"ERROR maintenance.doctor: data: {tmp_path / 'absent'}: no such folder")
