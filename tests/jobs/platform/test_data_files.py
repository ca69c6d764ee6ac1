"""Tables read by Arrow: no thread of it keeps what is written in Python, and damage is named."""

from __future__ import annotations

from pathlib import Path

import pyarrow.fs as pafs
import pytest
from deltalake import DeltaTable

from jobs.platform.code import ROOT
from jobs.platform.data_files import dataset
from jobs.platform.errors import JobError
from jobs.platform.warehouse import Warehouse
from tests.jobs.platform.things import DAY, THINGS, arrow, day, publish


def test_tables_are_read_through_arrows_own_file_system(tmp_path):
    warehouse = Warehouse(str(tmp_path), {})
    publish(warehouse, arrow(day(DAY, 1.0)), DAY)
    rows = dataset(DeltaTable(warehouse.uri(THINGS)))
    assert isinstance(rows.filesystem, pafs.SubTreeFileSystem)
    assert isinstance(rows.filesystem.base_fs, pafs.LocalFileSystem)
    assert rows.to_table()["weight"].to_pylist() == [1.0]


def test_jobs_read_tables_in_no_other_way():
    readers = [path for path in (ROOT / "jobs").rglob("*.py") if "to_pyarrow" in path.read_text(encoding="utf-8")]
    assert [path.name for path in readers] == ["data_files.py"]


def truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@pytest.mark.parametrize("damage", [Path.unlink, truncated, lambda file: file.write_bytes(b"")])
def test_a_damaged_file_is_one_line_that_names_it(tmp_path, damage):
    warehouse = Warehouse(str(tmp_path), {})
    publish(warehouse, arrow(day(DAY, 1.0)), DAY)
    (file,) = tmp_path.rglob("*.parquet")
    damage(file)
    for read in (lambda: warehouse.read_arrow(THINGS), lambda: list(warehouse.read_batches(THINGS, ["weight"]))):
        with pytest.raises(JobError, match=rf"^{warehouse.uri(THINGS)}: missing or damaged .*{file.name}.* backup"):
            read()
    with pytest.raises(JobError, match=f"^{file}: missing or damaged"):
        warehouse.data_files(THINGS)[0].read(["weight"])


def test_a_broken_log_is_one_line_that_names_the_table(tmp_path):
    warehouse = Warehouse(str(tmp_path), {})
    publish(warehouse, arrow(day(DAY, 1.0)), DAY)
    max(tmp_path.rglob("_delta_log/*.json")).write_text("{")
    with pytest.raises(JobError, match=f"^{warehouse.uri(THINGS)}: missing or damaged"):
        warehouse.read_arrow(THINGS)
