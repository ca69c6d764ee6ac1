"""Basket, wish list and checkout: what the tables say is what it costs, and it is bought once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.app.conftest import ARTICLE_IDS, DELISTED
from tests.app.people import PASSWORD, account, events_of, log_in, sign_up, visitor


def seen(browser: Any) -> str:
    """What the checkout page says that was seen."""
    return browser.get("/checkout/").content.decode().split('name="seen" value="')[1].split('"')[0]


def lines(browser: Any) -> dict[str, int]:
    page = browser.get("/basket/").content.decode()
    found = re.findall(
        r'name="article_id" value="(\w+)">\s*<label[^>]*>Quantity</label>\s*<input [^>]*value="(\d+)"', page
    )
    return {article_id: int(quantity) for article_id, quantity in found}


def wishes(browser: Any) -> list[str]:
    page = browser.get("/wishes/").content.decode()
    return re.findall(
        r'action="/wishes/remove/">\s*<input[^>]*>\s*<input type="hidden" name="article_id" value="(\w+)"', page
    )


def test_a_visitors_basket_becomes_the_accounts(shop: Path) -> None:
    browser, address = sign_up(shop)
    browser.post("/basket/add/", {"article_id": ARTICLE_IDS[0], "quantity": 2})
    browser.post("/account/logout/")
    assert lines(browser) == {}
    browser.post("/basket/add/", {"article_id": ARTICLE_IDS[0], "quantity": 3})
    browser.post("/basket/add/", {"article_id": ARTICLE_IDS[1]})
    browser.post("/wishes/add/", {"article_id": ARTICLE_IDS[2]})
    assert lines(visitor()) == {}
    log_in(browser, address)
    assert lines(browser) == {ARTICLE_IDS[0]: 5, ARTICLE_IDS[1]: 1}
    assert wishes(browser) == [ARTICLE_IDS[2]]
    browser.post("/account/logout/")
    assert lines(browser) == {}


def test_buying_writes_an_order_and_its_events_once(shop: Path, landing: Path) -> None:
    browser, address = sign_up(shop)
    browser.post("/basket/add/", {"article_id": ARTICLE_IDS[10], "quantity": 2, "price": "0.01"})
    browser.post("/basket/add/", {"article_id": ARTICLE_IDS[11], "price": "0.01"})
    form = {"seen": seen(browser), "total": "0", "price": "0"}
    first, second = browser.post("/checkout/", form), browser.post("/checkout/", form)
    assert first.status_code == 302 and "/orders/" in first.url
    assert second.status_code == 302 and "/basket/" in second.url
    orders = list(account(address).orders.all())
    assert len(orders) == 1
    assert [(line.article_id, line.quantity, round(line.price, 3)) for line in orders[0].lines.all()] == [
        (ARTICLE_IDS[10], 2, 0.020),
        (ARTICLE_IDS[11], 1, 0.021),
    ]
    bought = [event for event in events_of(landing, browser) if event["event"] == "purchase"]
    assert [(event["article_id"], event["quantity"], event["price"], event["currency"]) for event in bought] == [
        (ARTICLE_IDS[10], 2, 11.8, "EUR"),
        (ARTICLE_IDS[11], 1, 12.39, "EUR"),
    ]
    assert lines(browser) == {}


def test_what_was_not_seen_is_not_bought(shop: Path) -> None:
    browser, address = sign_up(shop)
    browser.post("/basket/add/", {"article_id": ARTICLE_IDS[0]})
    form = {"seen": seen(browser)}
    browser.post("/basket/add/", {"article_id": ARTICLE_IDS[1]})
    assert b"changed meanwhile" in browser.post("/checkout/", form).content
    assert browser.post("/checkout/", {}).status_code == 200
    assert not account(address).orders.exists()


def test_another_customers_order_is_as_if_there_were_none(shop: Path) -> None:
    browser, _ = sign_up(shop)
    browser.post("/basket/add/", {"article_id": ARTICLE_IDS[0]})
    mine = browser.post("/checkout/", {"seen": seen(browser)}).url
    assert browser.get(mine).status_code == 200
    other, _ = sign_up(shop)
    assert other.get(mine).status_code == 404
    assert visitor().get(mine).status_code == 302
    assert b"Thank you" not in visitor().get(mine, follow=True).content


@pytest.mark.parametrize("article_id", [DELISTED, "no-such", "", "' OR 1=1 --", "../../etc/passwd", "\x00", "x" * 9999])
def test_what_is_not_sold_cannot_be_kept(shop: Path, article_id: str) -> None:
    browser = visitor()
    for path in ("/basket/add/", "/wishes/add/"):
        assert browser.post(path, {"article_id": article_id}).status_code == 404
    for path in ("/basket/change/", "/wishes/remove/"):
        assert browser.post(path, {"article_id": article_id, "quantity": "2"}).status_code == 302
    assert lines(browser) == {}


@pytest.mark.parametrize(
    ("said", "kept"), [("-5", 1), ("0", 1), ("1e9", 1), ("99999999999", 1), ("٣", 1), ("21", 20), ("7", 7)]
)
def test_quantities(shop: Path, said: str, kept: int) -> None:
    browser = visitor()
    browser.post("/basket/add/", {"article_id": ARTICLE_IDS[0], "quantity": said})
    assert lines(browser) == {ARTICLE_IDS[0]: kept}
    browser.post("/basket/add/", {"article_id": ARTICLE_IDS[0], "quantity": "20"})
    assert lines(browser) == {ARTICLE_IDS[0]: 20}
    browser.post("/basket/change/", {"article_id": ARTICLE_IDS[0], "quantity": "3"})
    assert lines(browser) == {ARTICLE_IDS[0]: 3}
    browser.post("/basket/change/", {"article_id": ARTICLE_IDS[0], "quantity": "0"})
    assert lines(browser) == {}


def test_a_basket_is_full_at_some_point(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from app.orders import views

    monkeypatch.setattr(views, "MAX_LINES", 3)
    browser = visitor()
    for article_id in ARTICLE_IDS[:5]:
        browser.post("/basket/add/", {"article_id": article_id})
    assert list(lines(browser)) == list(ARTICLE_IDS[:3])


def test_a_wish_is_one_wish_and_one_event(shop: Path, landing: Path) -> None:
    browser = visitor()
    for _ in range(3):
        browser.post("/wishes/add/", {"article_id": ARTICLE_IDS[0]})
    wished = [event for event in events_of(landing, browser) if event["event"] == "wishlist"]
    assert len(wished) == 1 and wishes(browser) == [ARTICLE_IDS[0]]
    browser.post("/wishes/remove/", {"article_id": ARTICLE_IDS[0]})
    assert wishes(browser) == []


def test_a_machine_cannot_keep_things_as_fast_as_it_likes(shop: Path) -> None:
    from app.accounts.models import Limit

    browser = visitor()
    browser.post("/basket/add/", {"article_id": ARTICLE_IDS[0]})
    newest = Limit.objects.order_by("-pk").first()
    newest.count = 600
    newest.save()
    assert browser.post("/basket/add/", {"article_id": ARTICLE_IDS[0]}).status_code == 429


def test_a_missing_catalogue_empties_no_basket(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from app.orders import views
    from app.tables.snapshot import Unavailable

    browser, _ = sign_up(shop)
    browser.post("/basket/add/", {"article_id": ARTICLE_IDS[0]})

    def gone(*_: Any) -> Any:
        raise Unavailable("silver/articles: no such table")

    monkeypatch.setattr(views, "cards", gone)
    assert browser.get("/basket/").status_code == browser.get("/wishes/").status_code == 200
    assert browser.get("/checkout/").status_code == 302
    monkeypatch.undo()
    assert lines(browser) == {ARTICLE_IDS[0]: 1}
    browser.post("/account/delete/", {"password": PASSWORD})
    assert lines(browser) == {}
