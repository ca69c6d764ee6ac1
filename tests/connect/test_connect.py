"""Jobs that compute in a Spark Connect server, of which their own process knows nothing but the address."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.standalone import JOBS, LOOPBACK, flags, members
from tests.cluster.listening import addresses
from tests.cluster.tables import assert_same, rows, tables
from tests.cluster.weekly import AS_OF, TABLES, as_module
from tests.connect.conftest import Server

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def connected(shop: Path, alone: Path, server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The warehouse that the same jobs make by way of the server; they cannot start a Java of their own."""
    warehouse = tmp_path_factory.mktemp("connected") / "warehouse"
    variables = {"SPARK_REMOTE": server.url, "JAVA_HOME": str(warehouse / "no Java here")}
    for job in JOBS:
        as_module(f"jobs.{job}", flags(job, AS_OF, shop, warehouse), warehouse, variables)
    return warehouse


@pytest.mark.parametrize("name", TABLES)
def test_every_cell_is_the_same(name: str, alone: Path, connected: Path) -> None:
    assert len(rows(connected / name)) > 0
    assert_same(name, alone, connected)


def test_so_are_all_other_tables(alone: Path, connected: Path) -> None:
    assert tables(alone).keys() == tables(connected).keys()
    for name in tables(alone).keys() - {*TABLES}:
        assert_same(name, alone, connected)


def test_the_server_is_reached_from_this_machine_only(connected: Path, server: Server) -> None:
    assert addresses(members(server.session)) == {LOOPBACK}
