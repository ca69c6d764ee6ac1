"""The phrase of each row, and that what it says is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.publish.reasons import PLAIN, POPULARITY_ALL_TIME, reason
from jobs.retrieval.candidates import SOURCES

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FACTS = (
    "source string, department_name string, product_type_name string, colour_group_name string,"
    " own_colour_group_name string, age int, is_bought_by_band boolean, has_history boolean"
)
#: What is known of a row where a test says nothing else.
KNOWN = {
    "department_name": "Ladies Denim",
    "product_type_name": "Jacket",
    "colour_group_name": "Dark Blue",
    "own_colour_group_name": "Black",
    "age": 30,
    "is_bought_by_band": True,
    "has_history": True,
}
OTHER_VERSION = "You bought this in another version"
CASES = [
    ("repurchase", {}, "You bought this before"),
    ("same_product", {}, "You bought the same jacket in black"),
    ("same_product", {"own_colour_group_name": " Other Pink "}, "You bought the same jacket in pink"),
    ("same_product", {"product_type_name": "T-shirt"}, "You bought the same t-shirt in black"),
    ("same_product", {"product_type_name": None}, "You bought this in black"),
    ("same_product", {"product_type_name": "Unknown"}, "You bought this in black"),
    ("same_product", {"colour_group_name": None}, "You bought the same jacket in black"),
    ("same_product", {"own_colour_group_name": "Dark Blue"}, OTHER_VERSION),
    ("same_product", {"own_colour_group_name": "Other Blue", "colour_group_name": "Blue"}, OTHER_VERSION),
    ("same_product", {"own_colour_group_name": None}, OTHER_VERSION),
    ("same_product", {"own_colour_group_name": None, "colour_group_name": None}, OTHER_VERSION),
    ("same_product", {"own_colour_group_name": "Undefined"}, OTHER_VERSION),
    ("co_occurrence", {}, "Chosen by people who bought what you did"),
    ("two_tower", {}, "Matches what you like"),
    ("two_tower", {"has_history": None}, "Chosen for customers like you"),
    ("als", {}, "Matches what you bought"),
    ("item_knn", {}, "Chosen by people who bought what you did"),
    ("user_knn", {}, "Chosen by people who bought what you did"),
    *((name, {}, "Follows what you bought") for name in ("rnn", "lstm", "gru", "self_attentive")),
    ("similar_images", {}, "Looks like something you bought"),
    ("popularity_department", {}, "Popular this week in Ladies Denim"),
    ("popularity_department", {"department_name": None}, "Popular this week in a department you buy from"),
    ("popularity_department", {"department_name": " "}, "Popular this week in a department you buy from"),
    ("popularity_age_band", {}, "Popular this week with people your age"),
    ("popularity_age_band", {"age": None}, "Popular this week"),
    ("popularity_age_band", {"is_bought_by_band": None}, "Popular this week"),
    ("popularity", {}, "Popular this week"),
    ("trend", {}, "In demand right now"),
    (POPULARITY_ALL_TIME, {"has_history": None}, "A long-standing favourite"),
]


def test_what_each_row_says(spark: SparkSession) -> None:
    names = [field.split()[0] for field in FACTS.split(", ")]
    rows = [{"source": source} | KNOWN | facts for source, facts, _ in CASES]
    table = spark.createDataFrame([tuple(row[name] for name in names) for row in rows], FACTS)
    said = [row.reason for row in table.withColumn("reason", reason()).collect()]
    assert said == [phrase for *_, phrase in CASES]


def test_every_source_has_its_phrase() -> None:
    assert set(PLAIN) == {*SOURCES, POPULARITY_ALL_TIME}
    assert {source for source, *_ in CASES} == set(PLAIN)


def test_nothing_at_all_is_known(spark: SparkSession) -> None:
    rows = [(source, *[None] * (FACTS.count(","))) for source in SOURCES]
    for row in spark.createDataFrame(rows, FACTS).withColumn("reason", reason()).collect():
        assert row.reason == ("Chosen for customers like you" if row.source == "two_tower" else PLAIN[row.source])
