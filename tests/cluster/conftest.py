"""One cluster for all tests of this folder, and the shop's week computed on it and on one machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.standalone import Cluster, cluster
from tests.cluster import weekly


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the retailer's files."""
    return weekly.shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="session")
def alone(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The warehouse of the week computed by Spark in one process."""
    warehouse = tmp_path_factory.mktemp("alone") / "warehouse"
    weekly.run_week(shop, warehouse, "local[2]")
    return warehouse


@pytest.fixture(scope="session")
def spark_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A master and two workers of one core each."""
    with cluster(tmp_path_factory.mktemp("cluster"), workers=2) as ready:
        yield ready


@pytest.fixture(scope="session")
def stages(shop: Path, alone: Path, spark_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the warehouse of the week computed by the cluster, and copies of it by the job that left it so."""
    folder = tmp_path_factory.mktemp("clustered")
    weekly.run_week(shop, folder / "warehouse", spark_cluster.master, folder)
    return folder


@pytest.fixture(scope="session")
def clustered(stages: Path) -> Path:
    """The warehouse of the week computed by the cluster."""
    return stages / "warehouse"
