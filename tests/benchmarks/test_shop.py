"""The made-up warehouse of the shop's benchmark is one that the shop reads."""

from __future__ import annotations

from pathlib import Path

from app.catalog import lists
from app.catalog.cards import cards
from app.tables.store import Tables
from benchmarks import shop_warehouse


def test_every_page_finds_what_it_shows(tmp_path: Path) -> None:
    shop_warehouse.write(tmp_path, articles=300, customers=50)
    reading = Tables(str(tmp_path)).reading()
    for customer in (shop_warehouse.customer_ids(50)[0], shop_warehouse.customer_ids(50)[-1]):
        found = lists.picks(reading, customer)
        assert len({card.article_id for card in found.cards}) == shop_warehouse.PICKS
        assert found.as_of_date == shop_warehouse.AS_OF
    article = shop_warehouse.article_ids(300)[7]
    assert lists.methods(reading) == sorted(shop_warehouse.METHODS)
    assert len(lists.similar_rows(reading, article, "joint")) == shop_warehouse.PICKS
    assert len(lists.bought_together_rows(reading, article)) == shop_warehouse.PICKS
    assert cards(reading, [article])[article].price
