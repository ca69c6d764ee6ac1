"""The Spark session every Spark job runs in."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from pyspark.sql import SparkSession

from jobs.platform import machine, storage

#: Defaults of the application and its logging; spark-submit reads them before any Python runs, hence a folder.
CONF_DIR = Path(__file__).with_name("spark_conf")

#: Settings of the application: fixed when it starts, so a Spark Connect server has to be started with them.
APPLICATION = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}

#: Settings of the session, which results depend on.
SESSION = {"spark.sql.session.timeZone": "UTC"}


def spark_session(name: str = "atelier", further: Mapping[str, str] | None = None) -> SparkSession:
    """Start the application, or join the one that runs.

    The master comes from spark-submit (`local[*]` without it); SPARK_REMOTE names a Spark Connect server instead.
    Whatever is not needed for correct results is left to spark-defaults.conf and `--conf`.

    Args:
        name: the application's.
        further: settings that this application needs besides.
    """
    os.environ.setdefault("SPARK_CONF_DIR", str(CONF_DIR))
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # workers need the same libraries
    is_remote = "SPARK_REMOTE" in os.environ
    if not is_remote and not machine.has_user_name():
        _log_in(f"uid{os.getuid()}")
    settings = SESSION if is_remote else SESSION | APPLICATION | storage.spark_settings()
    builder = SparkSession.builder.appName(name)
    for key, value in (settings | dict(further or {})).items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def _log_in(user: str) -> None:
    """Log the user in to Hadoop, which otherwise looks the user id up in passwd: in a container it may be missing.

    Hadoop reads HADOOP_USER_NAME only after that lookup, so that Java has to be called.
    """
    from pyspark import SparkContext  # which a Spark Connect client does without

    SparkContext._ensure_initialized()  # starts Java
    assert SparkContext._jvm is not None
    logins = SparkContext._jvm.org.apache.hadoop.security.UserGroupInformation
    logins.setLoginUser(logins.createRemoteUser(user))
