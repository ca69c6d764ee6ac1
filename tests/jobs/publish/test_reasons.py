"""The phrase of each row, and that what it says is known."""

from __future__ import annotations

import numpy as np
import polars as pl

from jobs.publish.reasons import LABELS, PLAIN, said, with_reasons
from jobs.retrieval.fallbacks import POPULARITY_ALL_TIME, SOURCES

SCHEMA = {
    "customer_id": pl.String,
    "source": pl.String,
    **dict.fromkeys((*LABELS, *(f"own_{name}" for name in LABELS)), pl.String),
    **dict.fromkeys(("is_same_product", "is_bought_by_age_band", "has_history", "is_new"), pl.Boolean),
    **dict.fromkeys(("place_in_department", "units_7d", "units_30d", "customers_30d"), pl.Int64),
}
#: What is known of a row where a test says nothing else.
KNOWN = {
    "department_name": "Ladies Denim",
    "product_type_name": "Jacket",
    "colour_group_name": "Dark Blue",
    "is_same_product": False,
    "is_bought_by_age_band": False,
    "has_history": True,
    "is_new": False,
}
OTHER_VERSION = "You bought this in another version"
SAME = {"is_same_product": True, "own_product_type_name": "Jacket", "own_colour_group_name": "Black"}
OWN = {"own_product_type_name": "Coat", "own_colour_group_name": "Black"}
CASES = [
    ("repurchase", {}, "You bought this before"),
    ("same_product", SAME, "You bought the same jacket in black"),
    ("same_product", SAME | {"own_colour_group_name": " Other Pink "}, "You bought the same jacket in pink"),
    ("same_product", SAME | {"product_type_name": None}, "You bought this in black"),
    ("same_product", SAME | {"product_type_name": "Unknown"}, "You bought this in black"),
    ("same_product", SAME | {"colour_group_name": None}, "You bought the same jacket in black"),
    ("same_product", SAME | {"own_colour_group_name": "Dark Blue"}, OTHER_VERSION),
    ("same_product", SAME | {"own_colour_group_name": "Other Dark Blue"}, OTHER_VERSION),
    ("same_product", SAME | {"own_colour_group_name": None}, OTHER_VERSION),
    ("two_tower", {"is_new": True}, "New in Ladies Denim"),
    ("two_tower", {"is_new": True, "department_name": " "}, "New in the shop"),
    ("two_tower", OWN | {"own_colour_group_name": "Dark Blue"}, "In dark blue, like the coat you bought"),
    ("two_tower", OWN | {"own_product_type_name": "Jacket"}, "Like the jacket in black that you bought"),
    ("two_tower", OWN, "From Ladies Denim, where you bought before"),
    ("two_tower", {"place_in_department": 5}, "A best seller in Ladies Denim"),
    ("two_tower", {"place_in_department": 6}, "Matches what you like"),
    ("two_tower", {"units_7d": 35, "units_30d": 100}, "Selling faster than in the weeks before"),
    ("two_tower", {"units_7d": 34, "units_30d": 100}, "Matches what you like"),
    ("two_tower", {"units_7d": 9, "units_30d": 9}, "Matches what you like"),
    ("two_tower", {"customers_30d": 20}, "Bought by 20 customers in 30 days"),
    ("two_tower", {"customers_30d": 19}, "Matches what you like"),
    ("two_tower", {"is_bought_by_age_band": True}, "People your age bought this lately"),
    ("two_tower", {"has_history": False}, "Chosen for customers like you"),
    ("co_occurrence", {}, "Chosen by people who bought what you did"),
    ("product_factors", {}, "Bought by people who shop like you"),
    ("als", {}, "Matches what you bought"),
    ("item_knn", {}, "Chosen by people who bought what you did"),
    ("user_knn", {}, "Chosen by people who bought what you did"),
    ("bought_together", {}, "Often bought together with what you have"),
    *((name, {}, "Follows what you bought") for name in ("rnn", "lstm", "gru", "self_attentive")),
    ("similar_images", {}, "Looks like something you bought"),
    ("popularity_department", {}, "Popular right now in Ladies Denim"),
    ("popularity_department", {"department_name": None}, "Popular right now in a department you buy from"),
    ("popularity_age_band", {"is_bought_by_age_band": True}, "Popular with people your age"),
    ("popularity_age_band", {}, "Popular right now"),
    ("popularity", {}, "Popular right now"),
    ("popularity_section", {}, "Sells well where you buy"),
    (POPULARITY_ALL_TIME, {"has_history": False}, "A long-standing favourite"),
]


def explained(rows: list[dict[str, object]], top_k: int = 12) -> pl.DataFrame:
    """Rows whose labels are as the catalogue has them, with their reasons."""
    labels = [name for name in SCHEMA if name.endswith("_name")]
    return with_reasons(pl.DataFrame(rows, SCHEMA).with_columns(said(label) for label in labels), top_k)


def reasons(rows: list[dict[str, object]]) -> list[str]:
    """The phrases of rows, each of a customer of its own."""
    return explained([{"customer_id": str(n)} | row for n, row in enumerate(rows)])["reason"].to_list()


def test_what_each_row_says() -> None:
    said_of_each = reasons([{"source": source} | KNOWN | facts for source, facts, _ in CASES])
    assert said_of_each == [phrase for *_, phrase in CASES]


def test_every_source_has_its_phrase() -> None:
    assert set(PLAIN) == set(SOURCES)


def test_nothing_at_all_is_known() -> None:
    assert reasons([{"source": source} for source in SOURCES]) == [PLAIN[source] for source in SOURCES]
    assert reasons([{"source": "unheard of"}]) == [None], "which the contract refuses"


def test_a_kind_of_reason_takes_a_quarter_of_a_list_while_others_are_true() -> None:
    """Of two customers with the same twelve picks; the first of them get the most particular."""
    row = {"source": "two_tower"} | KNOWN | {"is_new": True, "place_in_department": 1, "customers_30d": 50}
    rows = explained([row | {"customer_id": customer} for _ in range(12) for customer in ("ann", "bob")])
    for _, mine in rows.group_by("customer_id", maintain_order=True):
        kinds = mine["reason_kind"].to_list()
        assert kinds == ["new"] * 3 + ["best"] * 3 + ["customers"] * 3 + ["two_tower"] * 3


def test_no_kind_is_on_more_than_three_rows_of_ten_where_as_much_is_known_as_of_a_real_shop() -> None:
    generator = np.random.default_rng(0)
    some = lambda *values: generator.choice(values)  # noqa: E731
    rows = [
        {"customer_id": str(customer), "source": str(some("two_tower", "co_occurrence", "repurchase", "popularity"))}
        | KNOWN
        | {"own_product_type_name": str(some("Coat", "Jacket")), "own_colour_group_name": str(some("Black", "White"))}
        | {"is_new": bool(some(0, 0, 0, 1)), "place_in_department": int(some(1, 9)), "customers_30d": int(some(5, 50))}
        for customer in range(200)
        for _ in range(12)
    ]
    found = explained(rows)
    shares = found["reason_kind"].value_counts(normalize=True)
    assert shares["proportion"].max() <= 0.3 and shares.height >= 7
    assert found["reason"].null_count() == 0
