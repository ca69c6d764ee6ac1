"""What all tests share: one Spark session for the whole suite, and folders of their own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(autouse=True)
def own_path() -> None:
    """A model that MLflow loads puts its copy of the code first in sys.path, where processes started later find it."""
    sys.path[:] = [path for path in sys.path if not path.endswith("/code")]


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """The session the jobs run in, with few partitions: the test tables hold a dozen rows."""
    from jobs.platform.spark import spark_session

    session = spark_session("tests")
    session.conf.set("spark.sql.shuffle.partitions", "2")
    yield session
    session.stop()
