"""Price lists and attributes of products, written as text."""

from __future__ import annotations

import json

import polars as pl
import pytest

from jobs.ingest.events.literals import MAX_DEPTH, literal
from jobs.ingest.events.mapping import ProductsMapping, Source
from jobs.ingest.events.product_rows import attribute_rows, price_rows, products
from jobs.ingest.events.reading import BROKEN, LINE


def test_price_lists_of_python_and_of_json() -> None:
    text = (
        "[{'value': 18.0, 'currency': 'USD', 'is_original': True, 'valid_from': '2023/09/13', 'valid_to': False},"
        ' {"value": 12, "currency": "USD", "is_original": false, "valid_from": "2023-10-01", "valid_to": null}]'
    )
    found = price_rows(text)
    assert [(p["price"], p["is_original"], str(p["valid_from_date"]), p["valid_to_date"]) for p in found] == [
        (18.0, True, "2023-09-13", None),
        (12.0, False, "2023-10-01", None),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('touch /tmp/atelier-was-here')",
        "[{'value': (lambda: 1)()}]",
        "[{'value': 1} for _ in range(10**9)]",
        "[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2),
        "[" * 100_000,
        "[" + "1," * 30_000 + "]",
        "'" + "x" * 300_000 + "'",
        "[{'value': 10**100}]",
        "[{'value': 'free'}]",
        "[{'value': 1e999}]",
        "[{'value': 1} , ",
        "",
    ],
)
def test_what_is_no_price_list_is_refused_and_never_run(text: str) -> None:
    with pytest.raises(ValueError):
        price_rows(text)


def test_literals_are_bounded() -> None:
    for text, said in (("[" + "1," * 30_000 + "]", "values"), ("'" + "x" * 300_000 + "'", "characters")):
        with pytest.raises(ValueError, match=said):
            literal(text)


def test_attributes_escaped_once_more() -> None:
    plain = (
        """{"_id": ObjectId("663b1f"), "sku": 7, "Clothing-Color": ["red", "blue"], "none": None, "size": {"a": 1}}"""
    )
    wanted = [
        ("_id", "663b1f"),
        ("sku", "7"),
        ("Clothing-Color", "red"),
        ("Clothing-Color", "blue"),
        ("size", '{"a": 1}'),
    ]
    for text in (plain, json.dumps(plain)):
        assert [(row["name"], row["value"]) for row in attribute_rows(text, "x")] == wanted
    assert attribute_rows("cotton", "material") == [{"name": "material", "value": "cotton"}]
    assert literal(r"'it\'s \u00e9 \U0001F600'") == "it's é 😀"
    for text in (json.dumps({"a": "😀 é"}), json.dumps(json.dumps({"a": "😀 é"}))):
        assert attribute_rows(text, "x") == [{"name": "a", "value": "😀 é"}]
    with pytest.raises(ValueError, match="half a character"):
        attribute_rows(r'{"a": "\ud83d"}', "x")


def test_products_have_the_ids_that_events_have() -> None:
    """Of a number that became a float the whole one; a word for nothing and a rounded number are none."""
    mapping = ProductsMapping(file="p.csv", article=Source(column="id"), attributes=("colour",))
    ids = ["7.0", " 8 ", "nan", "", "9.12E+11", None]
    raw = pl.DataFrame({"id": ids, "colour": ["red"] * len(ids)}, schema_overrides={"id": pl.String})
    raw = raw.with_columns(pl.int_range(2, len(ids) + 2).alias(LINE), pl.lit(None, pl.String).alias(BROKEN))
    found = products(raw, mapping)
    assert found.attributes["article_id"].to_list() == ["7", "8"]
    assert found.bad["source_line"].to_list() == [4, 5, 6, 7]
