"""A Spark job killed in the middle of its write, and run again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable, write_deltalake

from expectations.articles import ARTICLES
from expectations.customers import CUSTOMERS
from expectations.features import INTERACTION_FEATURES
from expectations.transactions import TRANSACTIONS
from jobs.platform.schemas import arrow_schema
from jobs.platform.warehouse import Warehouse

ROOT = Path(__file__).resolve().parents[3]
OLDER = date(2019, 1, 2)
LINES = """
    SELECT DATE '2020-09-15' - (i % 14)::INT AS t_dat, 'c' || hash(i) AS customer_id, 'a' || (i % 997) AS article_id,
        (i % 991 + 1) / 590 AS price, (i % 2 + 1)::INT AS sales_channel_id, 'f' AS source_file, 'x' AS source_checksum
    FROM range(150000) t(i)
"""


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_job_killed_while_writing_is_whole_after_a_rerun(tmp_path):
    warehouse = Warehouse(str(tmp_path), {})
    lines = duckdb.sql(LINES).to_arrow_table()
    write_deltalake(warehouse.uri(TRANSACTIONS), lines)
    for parent, column, other in ((CUSTOMERS, "customer_id", "c"), (ARTICLES, "article_id", "a")):
        ids = [*pc.unique(lines[column]).to_pylist(), other]
        write_deltalake(warehouse.uri(parent), pa.table({column: ids}))
    # An older week that no run of this test may touch, so that the table is there.
    row = [OLDER, OLDER, "c", "a", 1.0, 1, 3, 1, False]
    older = pa.Table.from_arrays([pa.array([value]) for value in row], names=INTERACTION_FEATURES.column_names)
    older = older.cast(arrow_schema(INTERACTION_FEATURES))
    warehouse.publish_arrow(INTERACTION_FEATURES, older, {"week_start_date": [OLDER]})

    job = _start(tmp_path)
    _kill_once_new_files_appear(job, Path(warehouse.uri(INTERACTION_FEATURES)))
    assert _table(warehouse) == older, "a write that was not committed can be seen"

    rerun = _start(tmp_path)
    _, errors = rerun.communicate(timeout=300)
    assert rerun.returncode == 0, errors
    found = _table(warehouse).select(lines.column_names[:5])
    expected = pa.concat_tables([table.select(found.column_names).cast(found.schema) for table in (lines, older)])
    by = [(name, "ascending") for name in found.column_names]
    assert found.sort_by(by) == expected.sort_by(by)


def _start(root: Path) -> subprocess.Popen[str]:
    """The job as a process group of its own: Python and the Java it starts."""
    command = [sys.executable, "-m", "jobs.features.interactions"]
    command += ["--as-of-date", "2020-09-16", "--training-weeks", "10", "--warehouse", str(root)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True)


def _kill_once_new_files_appear(job: subprocess.Popen[str], table: Path) -> None:
    there = set(table.rglob("*.parquet"))
    commits = set(table.glob("_delta_log/*.json"))
    deadline = time.monotonic() + 300
    while set(table.rglob("*.parquet")) == there:
        assert job.poll() is None and time.monotonic() < deadline, "the job wrote nothing"
        time.sleep(0.002)
    os.killpg(job.pid, signal.SIGKILL)
    job.communicate()
    assert set(table.glob("_delta_log/*.json")) == commits, "killed too late: the write was committed"


def _table(warehouse: Warehouse) -> pa.Table:
    table = DeltaTable(warehouse.uri(INTERACTION_FEATURES)).to_pyarrow_table()
    return table.cast(arrow_schema(INTERACTION_FEATURES))
