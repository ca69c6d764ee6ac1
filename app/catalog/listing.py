# ruff: noqa: S608 - queries are made of this module's own words; what is asked for is a parameter
"""The catalogue with its filters, page by page: best sellers of the last week first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

from django.conf import settings

from app.catalog.cards import CARD, PRICES, Card, card_of
from app.tables.snapshot import Unavailable
from app.tables.store import Reading, Row, Source
from expectations.articles import ARTICLES

PAGE = 24
#: Pages that can be leafed to: nobody does, and each costs what all before it cost.
MOST_PAGES = 500
#: Filter -> its column, and its name on the page.
FILTERS = {
    "group": ("index_group_name", "Collection"),
    "type": ("product_type_name", "Type"),
    "colour": ("colour_group_name", "Colour"),
    "department": ("department_name", "Department"),
}


@dataclass(frozen=True)
class Question:
    """What is looked for.

    Attributes:
        chosen: filter -> value.
        lowest, highest: price, as pages show it.
        words: that the name has; used where the search proper is not at hand.
        page: from 1.
    """

    chosen: Mapping[str, str]
    lowest: float | None = None
    highest: float | None = None
    words: str = ""
    page: int = 1

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Question:
        """Of a page's address; what makes no sense is not looked for."""
        chosen = {name: value[:200] for name in FILTERS if (value := query.get(name, "").strip())}
        page = query.get("page", "")
        number = int(page) if page.isascii() and page.isdigit() and len(page) < 6 else 1
        return cls(
            chosen,
            _number(query.get("from", "")),
            _number(query.get("to", "")),
            query.get("q", "").strip()[:200],
            min(max(number, 1), MOST_PAGES),
        )

    def address(self, **other: object) -> str:
        """The query part of its page's address; of one that differs in this."""
        fields = {**self.chosen, "from": _shown(self.lowest), "to": _shown(self.highest)} | other
        return "?" + urlencode({name: value for name, value in fields.items() if value not in (None, "")})


def find(reading: Reading, question: Question) -> tuple[list[Card], int]:
    """The page's articles, and how many there are in all. Raises Unavailable."""
    columns = (*CARD, *(column for column, _ in FILTERS.values()))
    articles = Source(ARTICLES, tuple(dict.fromkeys(columns)))
    conditions, values = _conditions(question)
    where = " AND ".join(["NOT is_delisted", *conditions])
    values |= {"skip": (question.page - 1) * PAGE}
    try:
        reading.snapshot(PRICES.contract)
        sql = (
            "SELECT *, count(*) OVER () AS total FROM @articles LEFT JOIN @prices USING (article_id)"
            f" WHERE {where} ORDER BY sales_count_7d DESC NULLS LAST, article_id LIMIT {PAGE} OFFSET $skip"
        )
        rows = reading.query(sql, {"articles": articles, "prices": PRICES}, values)
    except Unavailable:
        if question.lowest is not None or question.highest is not None:
            raise
        sql = (
            f"SELECT *, count(*) OVER () AS total FROM @articles WHERE {where}"
            f" ORDER BY article_id LIMIT {PAGE} OFFSET $skip"
        )
        rows = reading.query(sql, {"articles": articles}, values)
    return [card_of(row, row.get("price_median")) for row in rows], rows[0]["total"] if rows else 0


def _conditions(question: Question) -> tuple[list[str], dict[str, Any]]:
    conditions, values = [], {}
    for name, value in question.chosen.items():
        conditions.append(f"{FILTERS[name][0]} = ${name}")
        values[name] = value
    for name, sign, limit in (("lowest", ">=", question.lowest), ("highest", "<=", question.highest)):
        if limit is not None:
            conditions.append(f"price_median {sign} ${name}")
            values[name] = limit / settings.SHOP_PRICE_SCALE
    for place, word in enumerate(question.words.split()[:8]):
        conditions.append(
            f"contains(lower(concat_ws(' ', prod_name, product_type_name, colour_group_name)), $w{place})"
        )
        values[f"w{place}"] = word.lower()
    return conditions, values


def facets(reading: Reading) -> dict[str, list[Row]]:
    """Filter -> its values with their numbers of articles, in order of the alphabet. Raises Unavailable."""
    files = tuple(file.uri for file in reading.snapshot(ARTICLES).files)
    return _facets(_Once(reading, files))


@dataclass(frozen=True, eq=False)
class _Once:
    """A reading identified by the files of its table: results are cached for all readings that share them."""

    reading: Reading
    key: tuple[str, ...]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Once) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


@lru_cache(maxsize=2)
def _facets(once: _Once) -> dict[str, list[Row]]:
    found = {}
    for name, (column, _) in FILTERS.items():
        sql = (
            f"SELECT {column} AS value, count(*) AS articles FROM @articles"
            f" WHERE NOT is_delisted AND {column} IS NOT NULL GROUP BY {column} ORDER BY {column} LIMIT 1000"
        )
        found[name] = once.reading.query(sql, {"articles": Source(ARTICLES, (column, "is_delisted"))})
    return found


def _number(text: str) -> float | None:
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        return None
    return value if 0 <= value < 1e9 else None


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:g}"
