"""The loop closed: what somebody new does in the shop is taken in, and the next run has picks for them."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from expectations.personal import PERSONAL_PICKS
from jobs.ingest import shop_events
from jobs.platform.job import Job
from jobs.platform.settings import Settings
from jobs.publish import personal_picks
from tests.app.conftest import ARTICLE_IDS, CUSTOMER_IDS, WEEK, articles, customers, write
from tests.app.people import account, events, sign_up, visitor

PURCHASES = [
    (customer, article) for customer in range(6) for article in range(0, 47) if (customer + article) % 3 != customer % 2
]


def run(module: Any, retailer: Path, data: Path, warehouse: Path) -> str:
    settings = Settings(as_of_date=WEEK + timedelta(7), data=data, warehouse=str(warehouse), run_id="next")
    reads = (*module.READS, *getattr(module, "READS_EARLIER_RUNS", ()))
    return module.main(Job(module.__name__.removeprefix("jobs."), settings, reads, module.WRITES))


def test_who_is_new_has_picks_after_the_next_run(
    shop: Path, landing: Path, retailer: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.conf import settings

    from app.catalog.shop import tables
    from expectations.articles import ARTICLES
    from expectations.customers import CUSTOMERS
    from expectations.transactions import TRANSACTIONS

    monkeypatch.setattr(settings, "SHOP_WEEK", date(2020, 9, 23))  # the shop lives in the week of its picks
    browser, address = sign_up(shop)
    browser.get(f"/article/{ARTICLE_IDS[0]}/")
    browser.post("/basket/add/", {"article_id": ARTICLE_IDS[1]})
    nobody = visitor()
    nobody.get(f"/article/{ARTICLE_IDS[2]}/")
    assert "Your own picks come with the next weekly run" in browser.get("/for-you/").content.decode()
    events(landing)
    warehouse = retailer / "next_warehouse"
    write(warehouse, ARTICLES, articles())
    write(warehouse, CUSTOMERS, customers())
    lines = [
        {
            "t_dat": WEEK - timedelta(1 + (customer + article) % 20), "customer_id": CUSTOMER_IDS[customer],
            "article_id": ARTICLE_IDS[article], "customer_key": customer, "article_key": article, "price": 0.02,
            "sales_channel_id": 2, "source_file": "t.csv", "source_checksum": "0",
        }
        for customer, article in PURCHASES
    ]  # fmt: skip
    write(warehouse, TRANSACTIONS, lines)
    run(shop_events, retailer, retailer / "data", warehouse)
    run(personal_picks, retailer, retailer / "data", warehouse)
    (retailer / "warehouse" / PERSONAL_PICKS.path).parent.mkdir(exist_ok=True)
    (warehouse / PERSONAL_PICKS.path).rename(retailer / "warehouse" / PERSONAL_PICKS.path)
    tables().look(PERSONAL_PICKS)
    page = browser.get("/for-you/").content.decode()
    assert "Chosen by people who looked at what you did" in page and account(address).customer_id
    shown = [article_id for article_id in ARTICLE_IDS if f"/article/{article_id}/" in page]
    assert shown and not {ARTICLE_IDS[0], ARTICLE_IDS[1]} & set(shown)  # nobody is shown what they met
    assert "Chosen by people who looked" in nobody.get("/for-you/").content.decode()
    assert "This is what sells best" in visitor().get("/for-you/").content.decode()
    events(landing)  # of that week: a file of its own
