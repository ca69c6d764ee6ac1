"""The weekly jobs with data and warehouse in an object store: the same tables, nothing lost, faults in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import polars as pl
import pyarrow.fs as pafs
import pytest
from deltalake import DeltaTable
from polars.testing import assert_frame_equal

from benchmarks.standalone import environment
from jobs.platform import storage
from jobs.platform.warehouse import Warehouse
from tests.cluster import weekly
from tests.cluster.tables import STAMPS
from tests.jobs.platform.things import DAY, THINGS, arrow, day, publish
from tests.object_store.server import BUCKET, ObjectStore

pytestmark = pytest.mark.slow

TABLES = (
    *weekly.TABLES,
    "gold/recommendations",
    "gold/candidates",
    "ops/deliveries",
    "ops/feature_slices",
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return weekly.shop(tmp_path_factory.mktemp("shop"))


def run_week(data: str, warehouse: str, folder: Path) -> None:
    command = [sys.executable, "-m", "tests.object_store.week", weekly.AS_OF, data, warehouse]
    done = subprocess.run(command, env=environment(folder), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]


@pytest.fixture(scope="module")
def in_folder(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("alone")
    run_week(str(shop), f"{folder}/warehouse", folder)
    return f"{folder}/warehouse"


@pytest.fixture(scope="module")
def in_store(shop: Path, object_store: ObjectStore, tmp_path_factory: pytest.TempPathFactory) -> str:
    data = f"s3://{BUCKET}/shop"
    filesystem, root = storage.filesystem(data)
    pafs.copy_files(str(shop), root, destination_filesystem=filesystem)
    run_week(data, f"s3a://{BUCKET}/warehouse", tmp_path_factory.mktemp("store"))
    return f"s3://{BUCKET}/warehouse"


def rows(warehouse: str, table: str) -> pl.DataFrame:
    """All rows as an analyst reads them, without stamps and what tells where files lay."""
    uri = f"{warehouse}/{table}"
    found = pl.from_arrow(DeltaTable(uri, storage_options=storage.storage_options(uri)).to_pyarrow_table())
    assert isinstance(found, pl.DataFrame)
    found = found.drop((STAMPS | {"file_state", "source_version"}) & set(found.columns))
    return found.sort([name for name, type_ in found.schema.items() if not type_.is_nested()])


@pytest.mark.parametrize("table", TABLES)
def test_tables_are_those_of_a_folder(in_folder: str, in_store: str, table: str) -> None:
    assert_frame_equal(rows(in_folder, table), rows(in_store, table), check_exact=True)


def test_data_docs_are_kept_beside_the_tables(in_store: str) -> None:
    filesystem, root = storage.filesystem(f"{in_store}/data_docs/test")
    with filesystem.open_input_stream(f"{root}/index.html") as stream:
        assert "silver/transactions" in stream.read().decode()


@pytest.mark.parametrize("way", ["arrow", "staged"])
def test_publishes_at_once_lose_nothing(location: str, way: str) -> None:
    """Each commit is put only where there is none; who comes second commits again."""
    days = [DAY - timedelta(7 * n) for n in range(4)]
    publish(Warehouse(location, {}), arrow(day(days[0] - timedelta(700), 1.0)), days[0] - timedelta(700))

    def run(when) -> int:
        warehouse = Warehouse(location, {})
        if way == "arrow":
            return publish(warehouse, arrow(day(when, 1.0, 2.0)), when)
        return warehouse.publish_blocks(THINGS, [arrow(day(when, 1.0, 2.0))], {"as_of_date": [when]})

    with ThreadPoolExecutor() as pool:
        assert list(pool.map(run, days)) == [2, 2, 2, 2]
    table = DeltaTable(f"{location}/{THINGS.path}", storage_options=storage.storage_options(location))
    assert table.to_pyarrow_table().num_rows == 9
    assert [commit["operation"] for commit in table.history()].count("WRITE") == 5


def run_job(data: str, warehouse: str, **variables: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "jobs.ingest.articles", "--as-of-date", weekly.AS_OF]
    command += ["--data", data, "--warehouse", warehouse]
    done = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def test_a_missing_bucket_is_one_line(shop: Path, object_store: ObjectStore) -> None:
    for data, warehouse in ((str(shop), "s3://nobody/warehouse"), ("s3://nobody/data", f"s3://{BUCKET}/w")):
        code, errors = run_job(data, warehouse)
        assert code == 2 and "s3://nobody/" in errors and "no such bucket" in errors
        assert len(errors.splitlines()) == 1, errors


def test_wrong_credentials_are_one_line(shop: Path, object_store: ObjectStore) -> None:
    with object_store.refusing():
        code, errors = run_job(str(shop), f"s3://{BUCKET}/w")
    assert code == 2 and "credentials are wrong or missing" in errors and "AWS_ACCESS_KEY_ID" in errors
    assert len(errors.splitlines()) == 1, errors
