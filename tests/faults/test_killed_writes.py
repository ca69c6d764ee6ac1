"""SIGKILL in the middle of each table's write: the last good table stays, and a rerun leaves one result.

Every table is published here by Arrow, and two by a Spark job; tests/jobs/platform/test_killed_job.py has another.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from expectations.contract import Contract
from expectations.registry import CONTRACTS
from expectations.transactions import QUARANTINE, TRANSACTIONS
from jobs.ingest import transactions
from tests.faults.runs import (
    WEEK_BEFORE,
    commits,
    data_files,
    ended,
    publish,
    rows_of,
    start,
    stored,
    together,
    wait_for_new_files,
)
from tests.jobs.ingest import retail
from tests.jobs.ingest.retail import TRANSACTIONS_HEADER, purchase, write

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=lambda contract: contract.name)
def test_a_killed_write_leaves_the_last_good_table(tmp_path: Path, contract: Contract) -> None:
    root = tmp_path / "warehouse"
    table = root / contract.path
    good, older = rows_of(contract, seed=1), rows_of(contract, WEEK_BEFORE, seed=2)
    kept = (older,) if contract.partition_by else ()  # a table without partitions is replaced as a whole
    for rows in (*kept, good):
        publish(root, contract, rows)
    before, log = data_files(table), commits(table)

    new = rows_of(contract, seed=3)
    killed = start(root, contract, new, hang=True)
    wait_for_new_files(table, before, killed.is_alive)
    killed.kill()
    killed.join()
    assert commits(table) == log
    assert stored(root, contract) == together(good, *kept)

    assert ended(start(root, contract, new), root) == (0, "")
    assert stored(root, contract) == together(new, *kept)
    assert len(commits(table) - log) == 1


@pytest.mark.slow
def test_a_killed_spark_job_that_writes_two_tables(spark: SparkSession, tmp_path: Path) -> None:
    """Purchases and refused lines are written at once; neither is there after the kill, and both after the rerun."""
    retail.publish_parents(tmp_path)
    lines = [purchase(f"2020-09-{day:02}", price="0.05") for day in range(1, 15)]
    write(tmp_path / "transactions_1.csv", TRANSACTIONS_HEADER, lines)
    transactions.main(retail.job(transactions, spark, tmp_path))
    before = retail.rows_of(tmp_path, TRANSACTIONS, "t_dat", "price")

    others = [purchase(f"2020-09-{day:02}", retail.C2, price="0.05") for day in range(1, 15)]
    write(tmp_path / "transactions_2.csv", TRANSACTIONS_HEADER, [*others * 3, purchase("2020-09-15", price="-1")])
    table = tmp_path / "warehouse" / TRANSACTIONS.path
    files, log = data_files(table), commits(table)
    command = [sys.executable, "-m", "jobs.ingest.transactions", "--as-of-date", "2020-09-16"]
    command += ["--data", str(tmp_path), "--warehouse", str(tmp_path / "warehouse")]
    killed = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_for_new_files(table, files, lambda: killed.poll() is None)
    finally:
        os.killpg(killed.pid, signal.SIGKILL)  # Python, and the Java it started
        killed.wait()
    assert commits(table) == log, "killed too late: the write was committed"
    assert retail.rows_of(tmp_path, TRANSACTIONS, "t_dat", "price") == before
    assert retail.rows_of(tmp_path, QUARANTINE, "source_file") == []

    transactions.main(retail.job(transactions, spark, tmp_path))
    assert retail.rows_of(tmp_path, TRANSACTIONS, "t_dat", "price") == sorted(before * 4)
    assert retail.rows_of(tmp_path, QUARANTINE, "source_file", "source_line") == [("transactions_2.csv", 44)]
