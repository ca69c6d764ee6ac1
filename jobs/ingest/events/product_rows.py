"""Rows about products as prices and attributes."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from expectations.transactions import MAX_PRICE
from jobs.ingest.events.fields import ids_of, text_of
from jobs.ingest.events.literals import as_text, literal
from jobs.ingest.events.mapping import ProductsMapping
from jobs.ingest.events.reading import BROKEN, LINE

_PRICE = {
    "price": pl.Float64,
    "currency": pl.String,
    "is_original": pl.Boolean,
    "valid_from_date": pl.Date,
    "valid_to_date": pl.Date,
}
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")
_DAY = re.compile(r"(\d{4})[/-](\d{1,2})[/-](\d{1,2})(?:[ T].*)?")


@dataclass(frozen=True)
class Products:
    """prices and attributes by their tables' columns but for the file; bad: source_line, reason, raw_row."""

    prices: pl.DataFrame
    attributes: pl.DataFrame
    bad: pl.DataFrame


def price_rows(text: str) -> list[dict[str, Any]]:
    """The prices in a list of dictionaries with value, currency, is_original, valid_from, valid_to.

    Raises ValueError where it is not such a list.
    """
    found = literal(text)
    prices = [found] if isinstance(found, dict) else [] if found is None else found
    if not isinstance(prices, list) or not all(isinstance(each, dict) for each in prices):
        raise ValueError("not a list of dictionaries")
    return [_price(each) for each in prices]


def _price(each: dict[str, Any]) -> dict[str, Any]:
    value = each.get("value")
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("a price without a number as its value")
    if not 0 <= value <= MAX_PRICE:
        raise ValueError(f"a price of {value}")
    is_original = each.get("is_original")
    return {
        "price": float(value),
        "currency": as_text(each["currency"]) if each.get("currency") is not None else None,
        "is_original": is_original if isinstance(is_original, bool) else None,
        "valid_from_date": _day(each.get("valid_from")),
        "valid_to_date": _day(each.get("valid_to")),
    }


def _day(value: Any) -> date | None:
    if value is None or value is False or value == "":
        return None
    found = _DAY.fullmatch(value) if isinstance(value, str) else None
    if not found:
        raise ValueError(f"{str(value)[:20]!r} is no day")
    return date(int(found[1]), int(found[2]), int(found[3]))


def attribute_rows(text: str, column: str) -> list[dict[str, str]]:
    """The attributes in a dictionary, a row for each value; a text that is none is the value of `column` itself.

    Raises ValueError where it begins as a dictionary and is none.
    """
    is_literal = text.lstrip().startswith(("{", '"{', "'{"))
    found = literal(text) if is_literal else {column: text}
    if not isinstance(found, dict):
        raise ValueError("not a dictionary")
    pairs = [
        (name, value)
        for name, values in found.items()
        for value in (values if isinstance(values, list) else [values])
        if value is not None and value != ""
    ]
    return [{"name": name, "value": as_text(value)} for name, value in pairs]


def products(raw: pl.DataFrame, mapping: ProductsMapping) -> Products:
    """Prices and attributes in rows about products; each different text is parsed once."""
    article = text_of(raw[mapping.article.column], mapping)
    if mapping.article.pattern:
        article = article.str.extract(mapping.article.pattern, 1)
    rows = raw.with_columns(article_id=ids_of(article))
    reason = pl.coalesce(
        pl.when(pl.col(BROKEN).is_not_null()).then(pl.lit("broken line: not a product of the mapping's columns")),
        pl.when(pl.col("article_id").is_null()).then(pl.lit("article_id is empty, or no id")),
    )
    rows = rows.with_columns(reason=reason)
    usable = rows.filter(pl.col("reason").is_null())
    wrong = [_bad(rows.filter(pl.col("reason").is_not_null()), raw.columns, "reason")]
    prices = pl.DataFrame(schema={"article_id": pl.String, **_PRICE, "source_line": pl.Int64})
    if mapping.prices:
        prices, bad = _parsed(usable, mapping.prices, price_rows, pl.Struct(_PRICE), raw.columns)
        wrong.append(bad)
    attributes = [
        pl.DataFrame(schema={"article_id": pl.String, "name": pl.String, "value": pl.String, "source_line": pl.Int64})
    ]
    kind = pl.Struct({"name": pl.String, "value": pl.String})
    for column in mapping.attributes:
        found, bad = _parsed(usable, column, lambda text, c=column: attribute_rows(text, c), kind, raw.columns)
        attributes.append(found)
        wrong.append(bad)
    return Products(prices, pl.concat(attributes), pl.concat(wrong).sort("source_line"))


def _parsed(
    rows: pl.DataFrame, column: str, parse: Any, kind: pl.Struct, came: list[str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The parsed rows of a column, and the rows in which it cannot be parsed."""
    texts = rows[column].cast(pl.String).str.strip_chars()
    distinct = texts.drop_nulls().unique()
    found: list[list[dict[str, Any]]] = []
    reasons: list[str | None] = []
    for text in distinct.to_list():
        try:
            found.append(parse(text) if text else [])
            reasons.append(None)
        except ValueError as error:
            found.append([])
            reasons.append(f"{column} unreadable: {error}")
    table = pl.DataFrame(
        {"text": distinct, "each": pl.Series(found, dtype=pl.List(kind)), "why": pl.Series(reasons, dtype=pl.String)}
    )
    joined = rows.with_columns(text=texts).join(table, on="text", how="left", maintain_order="left")
    bad = _bad(joined.filter(pl.col("why").is_not_null()), came, "why")
    good = joined.filter(pl.col("each").list.len() > 0).explode("each")
    fields = [pl.col("each").struct.field(name).alias(name) for name in kind.to_schema()]
    return good.select("article_id", *fields, pl.col(LINE).alias("source_line")), bad


def _bad(rows: pl.DataFrame, came: list[str], why: str) -> pl.DataFrame:
    texts = rows.select(pl.struct(came).struct.json_encode().str.head(2_000).alias("raw_row"))
    return pl.DataFrame([rows[LINE].alias("source_line"), rows[why].alias("reason"), texts["raw_row"]])
