"""The loop closed: what somebody new does in the shop is taken in, counted, and the next run has picks for them."""

from __future__ import annotations

import html
import json
import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from expectations.performance import EVERY, EVERY_NUMBER, RECOMMENDATION_PERFORMANCE
from expectations.personal import PERSONAL_PICKS
from jobs.ingest import shop_events
from jobs.platform.job import Job
from jobs.platform.settings import Settings
from jobs.platform.warehouse import Warehouse
from jobs.publish import personal_picks
from jobs.reports import recommendation_performance
from tests.app.conftest import ARTICLE_IDS, CUSTOMER_IDS, WEEK, articles, customers, write
from tests.app.people import account, events, events_of, sign_up, visitor

PURCHASES = [
    (customer, article) for customer in range(6) for article in range(0, 47) if (customer + article) % 3 != customer % 2
]


def run(module: Any, data: Path, warehouse: Path) -> str:
    settings = Settings(as_of_date=WEEK + timedelta(7), data=data, warehouse=str(warehouse), run_id="next")
    reads = (*module.READS, *getattr(module, "READS_EARLIER_RUNS", ()))
    return module.main(Job(module.__name__.removeprefix("jobs."), settings, reads, module.WRITES))


def clicked(page: str) -> str:
    """The first link on a page that says where its article was shown."""
    found = re.search(r'href="(/article/\w+/\?c=[^"]+)"', page)
    assert found, "the page shows no list"
    return html.unescape(found[1])


def of_list(warehouse: Path, name: str) -> dict[str, Any]:
    """What gold/recommendation_performance says of a list, all its places and visitors together."""
    every = {"source": EVERY, "model_version": EVERY, "bucket": EVERY_NUMBER, "position": EVERY_NUMBER, "list": name}
    rows = Warehouse(str(warehouse), {}).read_arrow(RECOMMENDATION_PERFORMANCE).to_pylist()
    (row,) = (row for row in rows if all(row[column] == value for column, value in every.items()))
    return row


def test_a_click_is_counted_and_who_is_new_has_picks_after_the_next_run(
    shop: Path, landing: Path, retailer: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.conf import settings

    from app.catalog.shop import tables
    from expectations.articles import ARTICLES
    from expectations.customers import CUSTOMERS
    from expectations.transactions import TRANSACTIONS

    monkeypatch.setattr(settings, "SHOP_WEEK", date(2020, 9, 23))  # the shop lives in the week of its picks
    browser, address = sign_up(shop)
    link = clicked(browser.get(f"/article/{ARTICLE_IDS[0]}/").content.decode())
    assert browser.get(link).status_code == 200
    browser.post("/basket/add/", {"article_id": ARTICLE_IDS[1]})
    anonymous = visitor()
    anonymous.get(f"/article/{ARTICLE_IDS[2]}/")
    assert "Your own picks come with the next weekly run" in browser.get("/for-you/").content.decode()
    lines = events_of(landing, browser) + events_of(landing, anonymous)  # other tests' visitors left lines as well
    (click,) = (line for line in lines if line["event"] == "click")
    assert click["article_id"] == link.split("/")[2] and click["list"]
    data = retailer / "loop"
    (data / "events").mkdir(parents=True)
    (data / "events" / next(landing.glob("shop_*.jsonl")).name).write_text("\n".join(map(json.dumps, lines)) + "\n")
    warehouse = retailer / "next_warehouse"
    write(warehouse, ARTICLES, articles())
    write(warehouse, CUSTOMERS, customers())
    bought = [
        {
            "t_dat": WEEK - timedelta(1 + (customer + article) % 20), "customer_id": CUSTOMER_IDS[customer],
            "article_id": ARTICLE_IDS[article], "customer_key": customer, "article_key": article, "price": 0.02,
            "sales_channel_id": 2, "source_file": "t.csv", "source_checksum": "0",
        }
        for customer, article in PURCHASES
    ]  # fmt: skip
    write(warehouse, TRANSACTIONS, bought)
    run(shop_events, data, warehouse)
    run(recommendation_performance, data, warehouse)
    row = of_list(warehouse, click["list"])
    shown = [line for line in lines if (line["event"], line["list"]) == ("impression", click["list"])]
    assert (row["clicks"], row["impressions"]) == (1, len(shown)) and len(shown) > 1
    assert row["click_through_rate"] == pytest.approx(1 / len(shown)) and row["week_start_date"] == WEEK
    run(personal_picks, data, warehouse)
    (retailer / "warehouse" / PERSONAL_PICKS.path).parent.mkdir(exist_ok=True)
    (warehouse / PERSONAL_PICKS.path).rename(retailer / "warehouse" / PERSONAL_PICKS.path)
    tables().look(PERSONAL_PICKS)
    page = browser.get("/for-you/").content.decode()
    assert "Chosen by people who looked at what you did" in page and account(address).customer_id
    picked = {article_id for article_id in ARTICLE_IDS if f"/article/{article_id}/" in page}
    assert picked and not {*ARTICLE_IDS[:2], click["article_id"]} & picked  # seen already
    assert "Chosen by people who looked" in anonymous.get("/for-you/").content.decode()
    assert "This is what sells best" in visitor().get("/for-you/").content.decode()
    events(landing)  # of that week: a file of its own
