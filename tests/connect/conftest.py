"""A Spark Connect server on this machine, and the shop's tables made by Spark in the jobs' own processes."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.standalone import JOBS, LOOPBACK, environment, flags, free_port, process, spark_home, wait_for
from tests.cluster import weekly

SECONDS = 120


@dataclass(frozen=True)
class Server:
    """Where a Spark Connect server is reached, and the session its processes run in."""

    url: str
    session: int


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the retailer's files."""
    return weekly.shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="session")
def alone(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The warehouse that jobs with a Spark of their own make."""
    warehouse = tmp_path_factory.mktemp("alone") / "warehouse"
    for job in JOBS:
        weekly.as_module(f"jobs.{job}", flags(job, weekly.AS_OF, shop, warehouse), warehouse)
    return warehouse


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Spark Connect server that knows Delta, and whose Python workers find the repository."""
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    settings = {
        "spark.connect.grpc.binding.address": LOOPBACK,
        "spark.connect.grpc.binding.port": str(port),
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.session.timeZone": "UTC",
        "spark.ui.enabled": "false",
    }
    command = [str(spark_home() / "bin" / "spark-submit"), "--master", "local[2]"]
    command += ["--class", "org.apache.spark.sql.connect.service.SparkConnectServer"]
    command += [option for name, value in settings.items() for option in ("--conf", f"{name}={value}")]
    log = folder / "server.log"
    with process([*command, "spark-internal"], log, environment(folder)) as started:

        def answers() -> bool:
            assert started.poll() is None, log.read_text()[-4000:]
            with closing(socket.socket()) as probe:
                return probe.connect_ex((LOOPBACK, port)) == 0

        wait_for("Spark Connect server", answers, SECONDS)
        yield Server(f"sc://{LOOPBACK}:{port}", started.pid)
