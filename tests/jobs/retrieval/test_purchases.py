"""Loading the purchases: codes are positions among the sorted ids, whatever order surrogate keys were given in."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from expectations.articles import ARTICLES
from expectations.customers import CUSTOMERS
from expectations.transactions import TRANSACTIONS
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.settings import Settings
from jobs.retrieval.purchases import PURCHASE_TABLES, Purchases, day_number, load_purchases
from tests.jobs.evaluation.silver import put

MONDAY, TUESDAY = date(2020, 9, 14), date(2020, 9, 15)
#: Keys in the order of arrival, with a gap; ids in another.
CUSTOMER_KEYS, ARTICLE_KEYS = {"c": 0, "a": 1, "b": 5}, {"y": 0, "x": 3}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    put(tmp_path, CUSTOMERS, [{"customer_id": i, "customer_key": k} for i, k in CUSTOMER_KEYS.items()])
    put(tmp_path, ARTICLES, [{"article_id": i, "article_key": k} for i, k in ARTICLE_KEYS.items()])
    bought = [(TUESDAY, "a", "y"), (MONDAY, "c", "x"), (MONDAY, "a", "y"), (MONDAY, "c", "x"), (MONDAY, "a", "x")]
    put(tmp_path, TRANSACTIONS, [line(*some, CUSTOMER_KEYS[some[1]]) for some in bought])
    return tmp_path


def line(day: date, customer: str, article: str, key: int) -> dict[str, object]:
    codes = {"customer_key": key, "article_key": ARTICLE_KEYS[article]}
    return {"t_dat": day, "customer_id": customer, "article_id": article} | codes


def load(root: Path, before: date = date(2020, 9, 16)) -> Purchases:
    settings = Settings(as_of_date=before, warehouse=str(root))
    return load_purchases(Job("test", settings, PURCHASE_TABLES, ()), before)


def test_units_in_order_of_day_customer_and_article(shop: Path) -> None:
    purchases = load(shop)
    assert purchases.customer_ids.to_pylist() == ["a", "b", "c"] and purchases.article_ids.to_pylist() == ["x", "y"]
    monday = day_number(MONDAY)
    assert purchases.day.tolist() == [monday] * 4 + [monday + 1]
    assert purchases.customer.tolist() == [0, 0, 2, 2, 0], "every unit counts"
    assert purchases.article.tolist() == [0, 1, 0, 0, 1]


def test_nothing_of_the_date_or_later(shop: Path) -> None:
    assert load(shop, before=TUESDAY).customer.tolist() == [0, 0, 2, 2]
    with pytest.raises(JobError, match="no purchase before 2020-09-14"):
        load(shop, before=MONDAY)


def test_an_unknown_key_is_named(shop: Path) -> None:
    """A list of customers that came after the purchases has forgotten one."""
    left = [{"customer_id": i, "customer_key": k} for i, k in CUSTOMER_KEYS.items() if i != "a"]
    put(shop, CUSTOMERS, left, accept_drift=True)
    with pytest.raises(JobError, match="3 rows name an unknown customer, such as customer_key 1; rerun ingest"):
        load(shop)
    put(shop, CUSTOMERS, left[:1], accept_drift=True)
    with pytest.raises(JobError, match="3 rows name an unknown customer, such as customer_key 1; rerun ingest"):
        load(shop)
