# ruff: noqa: S608 - queries are made of this module's own words; what is asked for is a parameter
"""Articles as they stand in lists: name, kind, colour and price, looked up by id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from app.catalog.shop import shelf
from app.tables.snapshot import Unavailable
from app.tables.store import Reading, Source
from expectations.articles import ARTICLES
from expectations.features import ARTICLE_FEATURES

#: What a card tells of an article.
CARD = ("article_id", "prod_name", "product_type_name", "colour_group_name", "is_delisted")
PRICES = Source(ARTICLE_FEATURES, ("article_id", "price_median", "sales_count_7d"))


@dataclass(frozen=True)
class Card:
    """One article in a list.

    Attributes:
        price: in the unit of the tables (see shop.money); None where nothing was sold yet.
        note: a line under it, such as why it is shown.
        shown: of the list it stands in, for events: list, position, source, model_version.
        href: its page's address, which tells the page where the click came from.
    """

    article_id: str
    name: str
    kind: str = ""
    colour: str = ""
    price: float | None = None
    is_delisted: bool = False
    note: str = ""
    shown: Mapping[str, Any] = field(default_factory=dict)
    href: str = ""

    @property
    def description(self) -> str:
        """What its picture shows, for who does not see it."""
        return ", ".join(filter(None, (self.name, self.kind.lower(), self.colour.lower())))


def card_of(row: Mapping[str, Any], price: float | None = None) -> Card:
    """Of a row with the columns CARD."""
    return Card(
        row["article_id"],
        row["prod_name"] or f"Article {row['article_id']}",
        row["product_type_name"] or "",
        row["colour_group_name"] or "",
        price,
        bool(row["is_delisted"]),
    )


def cards(reading: Reading, article_ids: Iterable[str]) -> dict[str, Card]:
    """The articles among these ids that the catalogue knows, with prices where there are any. Raises Unavailable."""
    ids = sorted(set(article_ids))
    if not ids:
        return {}
    if (found := shelf().rows(reading, ids)) is not None:
        return {row["article_id"]: card_of(row, row["price_median"]) for row in found}
    return _cards_of_tables(reading, ids)


def _cards_of_tables(reading: Reading, ids: Sequence[str]) -> dict[str, Card]:
    known = {f"id_{place}": one for place, one in enumerate(ids)}
    among = f"article_id IN ({', '.join(f'${name}' for name in known)})"
    rows = reading.query(f"SELECT * FROM @articles WHERE {among}", {"articles": Source(ARTICLES, CARD)}, known)
    try:
        found = reading.query(f"SELECT article_id, price_median FROM @prices WHERE {among}", {"prices": PRICES}, known)
    except Unavailable:
        found = []
    prices = {row["article_id"]: row["price_median"] for row in found}
    return {row["article_id"]: card_of(row, prices.get(row["article_id"])) for row in rows}


def listed(reading: Reading, rows: Sequence[Mapping[str, Any]], column: str = "article_id") -> list[Card]:
    """The cards of rows that name articles in a column, in their order, without those that are sold no more.

    A row's `note` becomes the card's; `source` and `model_version` go with the card's events. Raises Unavailable.
    """
    return [card for card in placed(reading, rows, column) if card is not None]


def placed(reading: Reading, rows: Sequence[Mapping[str, Any]], column: str = "article_id") -> list[Card | None]:
    """As listed, with None in place of what is left out."""
    known = cards(reading, (row[column] for row in rows))
    found: list[Card | None] = []
    for row in rows:
        card = known.get(row[column])
        if card is None or card.is_delisted:
            found.append(None)
            continue
        shown = {name: row[name] for name in ("source", "model_version") if row.get(name) is not None}
        found.append(replace(card, note=row.get("note") or "", shown=shown))
    return found
