"""The phrase of each row, and that what it says is known."""

from __future__ import annotations

import polars as pl

from jobs.publish.reasons import PLAIN, reason, said
from jobs.retrieval.fallbacks import POPULARITY_ALL_TIME, SOURCES

SCHEMA = {
    "source": pl.String,
    "department_name": pl.String,
    "product_type_name": pl.String,
    "colour_group_name": pl.String,
    "own_colour_group_name": pl.String,
    "is_bought_by_age_band": pl.Boolean,
    "has_history": pl.Boolean,
}
#: What is known of a row where a test says nothing else.
KNOWN = {
    "department_name": "Ladies Denim",
    "product_type_name": "Jacket",
    "colour_group_name": "Dark Blue",
    "own_colour_group_name": "Black",
    "is_bought_by_age_band": True,
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
    ("two_tower", {"has_history": False}, "Chosen for customers like you"),
    ("als", {}, "Matches what you bought"),
    ("item_knn", {}, "Chosen by people who bought what you did"),
    ("user_knn", {}, "Chosen by people who bought what you did"),
    ("bought_together", {}, "Often bought together with what you have"),
    *((name, {}, "Follows what you bought") for name in ("rnn", "lstm", "gru", "self_attentive")),
    ("similar_images", {}, "Looks like something you bought"),
    ("popularity_department", {}, "Popular this week in Ladies Denim"),
    ("popularity_department", {"department_name": None}, "Popular this week in a department you buy from"),
    ("popularity_department", {"department_name": " "}, "Popular this week in a department you buy from"),
    ("popularity_age_band", {}, "Popular this week with people your age"),
    ("popularity_age_band", {"is_bought_by_age_band": False}, "Popular this week"),
    ("popularity", {}, "Popular this week"),
    ("trend", {}, "In demand right now"),
    (POPULARITY_ALL_TIME, {"has_history": False}, "A long-standing favourite"),
]


def reasons(rows: list[dict[str, object]]) -> list[str]:
    """The phrases of rows whose labels are as the catalogue has them."""
    labels = [name for name in SCHEMA if name.endswith("_name")]
    table = pl.DataFrame(rows, SCHEMA).with_columns(said(label) for label in labels)
    return table.select(reason())["reason"].to_list()


def test_what_each_row_says() -> None:
    said_of_each = reasons([{"source": source} | KNOWN | facts for source, facts, _ in CASES])
    assert said_of_each == [phrase for *_, phrase in CASES]


def test_every_source_has_its_phrase() -> None:
    assert set(PLAIN) == set(SOURCES)


def test_nothing_at_all_is_known() -> None:
    assert reasons([{"source": source} for source in SOURCES]) == [PLAIN[source] for source in SOURCES]
    assert reasons([{"source": "unheard of"}]) == [None], "which the contract refuses"
