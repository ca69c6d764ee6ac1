"""The Spark session every Spark job runs in."""

from __future__ import annotations

from pyspark.sql import SparkSession

#: Shuffle partitions per core: small enough for a small run, and adaptive execution merges what stays empty.
PARTITIONS_PER_CORE = 8


def spark_session(name: str) -> SparkSession:
    """Start (or join) the session; the master comes from spark-submit, and is `local[*]` without it."""
    session = (
        SparkSession.builder.appName(name)
        .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
        .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
        .config("spark.databricks.delta.snapshotPartitions", "2")
        .config("spark.databricks.delta.optimizeWrite.enabled", "true")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.ui.enabled", "false")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    partitions = session.sparkContext.defaultParallelism * PARTITIONS_PER_CORE
    session.conf.set("spark.sql.shuffle.partitions", str(partitions))
    return session
