"""A disk that is full in the middle of a write: one clear line, the last good table, and a rerun that succeeds."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from expectations.customers import CUSTOMERS
from expectations.recommendations import RECOMMENDATIONS
from jobs.ingest import customers
from jobs.platform.job import run
from tests.faults.runs import WEEK_BEFORE, data_files, ended, publish, rows_of, start, stored, together
from tests.jobs.ingest.retail import CUSTOMERS_HEADER, write

ADVICE = "the tables are as they were; free some space there and run again"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 512 KiB, where it may be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a small disk can be mounted by root only, and not in every container")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def grow(disk: Path) -> None:
    """Give the disk all the space it needs."""
    subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)


def test_a_full_disk(disk: Path) -> None:
    root = disk / "warehouse"
    good, new = rows_of(RECOMMENDATIONS, WEEK_BEFORE), rows_of(RECOMMENDATIONS, count=20_000)
    publish(root, RECOMMENDATIONS, good)
    table = root / RECOMMENDATIONS.path
    before = data_files(table)
    assert ended(start(root, RECOMMENDATIONS, new), root) == (
        1,
        f"ERROR publish.recommendations: No space left on device while writing {table}; {ADVICE}",
    )
    assert data_files(table) == before
    assert stored(root, RECOMMENDATIONS) == good

    grow(disk)
    assert ended(start(root, RECOMMENDATIONS, new), root) == (0, "")
    assert stored(root, RECOMMENDATIONS) == together(good, new)


def test_a_file_that_cannot_grow(tmp_path: Path) -> None:
    """The same without a disk of its own: the operating system refuses to make a file longer."""
    root = tmp_path / "warehouse"
    good, new = rows_of(RECOMMENDATIONS, WEEK_BEFORE), rows_of(RECOMMENDATIONS, count=20_000)
    publish(root, RECOMMENDATIONS, good)
    table = root / RECOMMENDATIONS.path
    before = data_files(table)
    assert ended(start(root, RECOMMENDATIONS, new, file_bytes=200_000), root) == (
        1,
        f"ERROR publish.recommendations: File too large while writing {table}; {ADVICE}",
    )
    assert data_files(table) == before
    assert stored(root, RECOMMENDATIONS) == good
    assert ended(start(root, RECOMMENDATIONS, new), root) == (0, "")
    assert stored(root, RECOMMENDATIONS) == together(good, new)


@pytest.mark.slow
def test_a_spark_job_on_a_full_disk(
    spark: SparkSession,
    disk: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys.modules["__main__"], "__file__", customers.__file__)
    warehouse = disk / "warehouse"
    table = warehouse / CUSTOMERS.path

    def take_in(lines: int) -> tuple[object, str]:
        """Exit code and error line of ingest.customers."""
        ids = [os.urandom(32).hex() for _ in range(lines)]
        write(tmp_path / "customers.csv", CUSTOMERS_HEADER, [f"{one},,,,,," for one in ids])
        argv = ["--as-of-date", "2020-09-16", "--data", str(tmp_path), "--warehouse", str(warehouse)]
        with pytest.raises(SystemExit) as left:
            run(
                customers.main,
                reads=customers.READS,
                writes=customers.WRITES,
                settings=customers.SETTINGS,
                argv=argv,
            )
        lines_said = capsys.readouterr().err.splitlines()
        return left.value.code, next((line for line in lines_said if line.startswith("ERROR ingest")), "")

    assert take_in(3) == (0, "")
    before, good = data_files(table), stored(warehouse, CUSTOMERS)
    said = f"ERROR ingest.customers: No space left on device while writing {table}; {ADVICE}"
    assert take_in(20_000) == (1, said)
    assert data_files(table) == before
    assert stored(warehouse, CUSTOMERS) == good

    grow(disk)
    assert take_in(20_000) == (0, "")
    assert stored(warehouse, CUSTOMERS).num_rows == 20_003  # those who have left stay known
