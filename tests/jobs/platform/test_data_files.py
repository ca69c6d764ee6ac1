"""Tables read by Arrow: nothing written in Python is left to its threads, which would abort a process at its end."""

from __future__ import annotations

import pyarrow.fs as pafs
from deltalake import DeltaTable

from jobs.platform.code import ROOT
from jobs.platform.data_files import dataset
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
