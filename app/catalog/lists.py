# ruff: noqa: S608 - queries are made of this module's own words; what is asked for is a parameter
"""The lists on the pages: picks of a customer, what is bought together, what is alike, what sells."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from app.catalog.cards import CARD, PRICES, Card, card_of, listed
from app.tables.store import Reading, Row, Source
from expectations.articles import ARTICLES
from expectations.baskets import BOUGHT_TOGETHER
from expectations.personal import PERSONAL_PICKS
from expectations.recommendations import RECOMMENDATIONS, SYSTEM_RECOMMENDATIONS
from expectations.similarity import SIMILAR_ARTICLES

#: A method's name -> what a shopper calls it; others as they are named.
METHODS = {
    "fused": "Look and description",
    "joint": "Look and description, one space",
    "joint_image": "Look, joint space",
    "joint_text": "Description, joint space",
    "minilm": "Description",
    "tfidf": "Same words",
    "cosine_efficientnet_lite0": "Look",
    "cosine_efficientnet_lite0_colour": "Look and colour",
    "euclidean_autoencoder": "Look (autoencoder)",
    "eigenfaces": "Look (eigenfaces)",
}
_PLAIN = "SELECT * FROM @rows WHERE article_id = $article ORDER BY rank"


@dataclass(frozen=True)
class Picks:
    """A customer's list.

    Attributes:
        name: of the list, as its events have it.
        as_of_date: the day before which everything is known that it was made of.
    """

    name: str
    cards: list[Card]
    as_of_date: date | None


def picks(reading: Reading, customer_id: str, name: str = RECOMMENDATIONS.name) -> Picks:
    """The newest published list of a customer: gold/recommendations, or a system of system_recommendations.

    Of a customer who is not in it, it is empty. Raises Unavailable.
    """
    if name == RECOMMENDATIONS.name:
        contract = RECOMMENDATIONS
        partition: tuple[tuple[str, str], ...] = ()
        columns: tuple[str, ...] = ("customer_id", "rank", "article_id", "reason", "source", "model_version")
    else:
        contract, partition = SYSTEM_RECOMMENDATIONS, (("system", name),)
        columns = ("customer_id", "rank", "article_id")
    sql = "SELECT * FROM @picks WHERE customer_id = $customer ORDER BY rank"
    rows = reading.query(sql, {"picks": Source(contract, columns, partition)}, {"customer": customer_id})
    if contract is SYSTEM_RECOMMENDATIONS:
        rows = [row | {"source": name, "reason": ""} for row in rows]
    found = listed(reading, [row | {"note": row["reason"]} for row in rows])
    return Picks(name, found, reading.snapshot(contract).as_of_date)


def personal(reading: Reading, shopper_id: str) -> Picks:
    """Picks by what a shopper met lately: of customers who are new, and of visitors who never signed in.

    Args:
        shopper_id: c: and a customer's id, or v: and a visitor's.

    By vectors where there are any: they find something for whoever looked at one article. Raises Unavailable.
    """
    names = sorted(reading.snapshot(PERSONAL_PICKS).partition_values("system"), key=lambda name: name == "user_based")
    columns = ("shopper_id", "rank", "article_id", "model_version")
    for name in names:
        source = Source(PERSONAL_PICKS, columns, (("system", name),))
        sql = "SELECT * FROM @picks WHERE shopper_id = $shopper ORDER BY rank"
        rows = reading.query(sql, {"picks": source}, {"shopper": shopper_id})
        if rows:
            note = "Chosen by people who looked at what you did" if name == "user_based" else "Like what you looked at"
            found = listed(reading, [row | {"source": name, "note": note} for row in rows])
            return Picks(PERSONAL_PICKS.name, found, reading.snapshot(PERSONAL_PICKS).as_of_date)
    return Picks(PERSONAL_PICKS.name, [], None)


def systems(reading: Reading) -> list[str]:
    """The systems that have lists of system_recommendations. Raises Unavailable."""
    return reading.snapshot(SYSTEM_RECOMMENDATIONS).partition_values("system")


def bought_together_rows(reading: Reading, article_id: str) -> list[Row]:
    """What is bought with an article (other_article_id), each with how many customers did. Raises Unavailable."""
    columns = ("article_id", "rank", "other_article_id", "level", "customer_count")
    rows = reading.query(_PLAIN, {"rows": Source(BOUGHT_TOGETHER, columns)}, {"article": article_id})
    return [row | {"note": _together(row), "source": row["level"]} for row in rows]


def _together(row: Row) -> str:
    """What is true of a rule: of the two articles, of their products, or of their kinds."""
    count = row["customer_count"]
    who = f"{count:,} customer{'s' * (count != 1)} bought"
    of = {"article": "both", "product": "both styles", "product_type": "these kinds together"}
    return f"{who} {of.get(row['level'], 'both')}"


def methods(reading: Reading) -> list[str]:
    """The published methods of similar articles. Raises Unavailable."""
    return reading.snapshot(SIMILAR_ARTICLES).partition_values("method")


def similar_rows(reading: Reading, article_id: str, method: str) -> list[Row]:
    """What is like an article by a method (other_article_id). Raises Unavailable."""
    source = Source(SIMILAR_ARTICLES, ("article_id", "rank", "similar_article_id"), (("method", method),))
    rows = reading.query(_PLAIN, {"rows": source}, {"article": article_id})
    return [row | {"source": method, "other_article_id": row["similar_article_id"]} for row in rows]


def price(reading: Reading, article_id: str) -> float | None:
    """What an article cost as a rule; None where it was never sold. Raises Unavailable."""
    sql = "SELECT price_median FROM @prices WHERE article_id = $article"
    rows = reading.query(sql, {"prices": PRICES}, {"article": article_id})
    return rows[0]["price_median"] if rows else None


def best_sellers(reading: Reading, count: int, groups: tuple[str, ...] = ()) -> list[Card]:
    """What sold best in the last week, of these collections if any. Raises Unavailable."""
    among = " AND list_contains($groups, index_group_name)" if groups else ""
    sql = (
        f"SELECT * FROM @articles JOIN @prices USING (article_id) WHERE NOT is_delisted{among}"
        f" ORDER BY sales_count_7d DESC, article_id LIMIT {count:d}"
    )
    sources = {"articles": Source(ARTICLES, (*CARD, "index_group_name")), "prices": PRICES}
    rows = reading.query(sql, sources, {"groups": list(groups)} if groups else {})
    return [card_of(row, row["price_median"]) for row in rows]
