"""Surrogate keys: dense, and never changed by what is delivered later."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession

from expectations.customers import CUSTOMERS
from jobs.ingest.keys import key_of, with_keys


def people(spark: SparkSession, *ids: str) -> DataFrame:
    return spark.createDataFrame([(text,) for text in ids], "customer_id string")


def keys(rows: DataFrame) -> dict[str, int]:
    return {row.customer_id: row.customer_key for row in rows.collect()}


def test_a_first_delivery_is_numbered_by_id(spark: SparkSession) -> None:
    assert keys(with_keys(people(spark, "c", "a", "b"), CUSTOMERS, None)) == {"a": 0, "b": 1, "c": 2}


def test_a_known_id_keeps_its_key_whoever_comes_and_goes(spark: SparkSession) -> None:
    known = with_keys(people(spark, "b", "d", "f"), CUSTOMERS, None)
    later = keys(with_keys(people(spark, "a", "f", "e", "b"), CUSTOMERS, known))
    assert later == {"b": 0, "f": 2, "a": 3, "e": 4}


def test_an_empty_table_is_a_first_delivery(spark: SparkSession) -> None:
    known = with_keys(people(spark), CUSTOMERS, None)
    assert keys(with_keys(people(spark, "b", "a"), CUSTOMERS, known)) == {"a": 0, "b": 1}


def test_the_column_is_named_after_the_id() -> None:
    assert key_of("customer_id") == "customer_key"
