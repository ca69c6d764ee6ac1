"""Lists that have an article or a customer no more: known for good, gone from a date on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from expectations.articles import ARTICLES
from expectations.customers import CUSTOMERS
from expectations.operations import DELIVERIES
from expectations.transactions import QUARANTINE, TRANSACTIONS
from jobs.ingest import articles, customers, transactions
from jobs.platform.errors import ContractError
from tests.jobs.ingest.retail import (
    A1,
    A2,
    A3,
    ARTICLES_HEADER,
    C1,
    C2,
    C3,
    CUSTOMERS_HEADER,
    TRANSACTIONS_HEADER,
    article,
    job,
    purchase,
    rows_of,
    version_of,
    write,
)

WEEK_1, WEEK_2, WEEK_3 = date(2020, 9, 9), date(2020, 9, 16), date(2020, 9, 23)


def catalogue(data: Path, ids: Sequence[str], as_of_date: date, **values: str) -> str:
    """Take in a catalogue of these articles."""
    write(data / "articles.csv", ARTICLES_HEADER, [article(each, **values) for each in ids])
    return articles.main(job(articles, None, data, as_of_date=as_of_date))


def listed(data: Path) -> list[tuple]:
    return rows_of(data, ARTICLES, "article_id", "article_key", "is_delisted", "delisted_date")


def test_an_article_that_goes_and_comes_back(tmp_path: Path) -> None:
    catalogue(tmp_path, [A1, A2, A3], WEEK_1, prod_name="Vest")
    said = catalogue(tmp_path, [A1, A3], WEEK_2, prod_name="Top")
    assert said == "2 rows from articles.csv; 0 rows in quarantine; 1 more are not listed any more"
    gone = [(A1, 0, False, None), (A2, 1, True, WEEK_2), (A3, 2, False, None)]
    assert listed(tmp_path) == gone
    assert rows_of(tmp_path, ARTICLES, "prod_name") == [("Top",), ("Top",), ("Vest",)]

    version = version_of(tmp_path, ARTICLES)
    assert "nothing to do" in catalogue(tmp_path, [A1, A3], WEEK_2, prod_name="Top")
    assert version_of(tmp_path, ARTICLES) == version
    catalogue(tmp_path, [A1, A3], WEEK_3)
    assert listed(tmp_path) == gone, "the date stays while it is gone"
    catalogue(tmp_path, [A1, A2, A3], WEEK_3)
    assert listed(tmp_path) == [(each, key, False, None) for key, each in enumerate((A1, A2, A3))]


def test_a_backfill_that_sees_the_shorter_list_first_takes_nothing_from_later_weeks(tmp_path: Path) -> None:
    """Whichever run comes first, the article was there as of the runs whose list had it."""
    catalogue(tmp_path, [A1, A2], WEEK_1)
    assert "nothing to do" in catalogue(tmp_path, [A1, A2], WEEK_3)
    assert rows_of(tmp_path, DELIVERIES, "table_name", "as_of_date") == [("articles", WEEK_3)]
    catalogue(tmp_path, [A1], WEEK_2)
    assert (A2, 1, True, WEEK_3) in listed(tmp_path)
    assert rows_of(tmp_path, DELIVERIES, "table_name", "as_of_date") == [("articles", WEEK_3)]


def test_purchases_of_what_is_gone_stay_and_late_ones_are_taken_in(spark: SparkSession, tmp_path: Path) -> None:
    def take_in(article_ids: Sequence[str], customer_ids: Sequence[str], as_of_date: date) -> str:
        catalogue(tmp_path, article_ids, as_of_date)
        write(tmp_path / "customers.csv", CUSTOMERS_HEADER, [f"{each},,,,,," for each in customer_ids])
        customers.main(job(customers, None, tmp_path, as_of_date=as_of_date))
        return transactions.main(job(transactions, spark, tmp_path, as_of_date=as_of_date))

    write(tmp_path / "transactions_1.csv", TRANSACTIONS_HEADER, [purchase(customer=c) for c in (C1, C2, C3)])
    take_in([A1, A2], [C1, C2, C3], WEEK_1)
    version = version_of(tmp_path, TRANSACTIONS)
    write(tmp_path / "transactions_2.csv", TRANSACTIONS_HEADER, [purchase("2020-09-10", C2, A1)])
    said = take_in([A2], [C1, C3], WEEK_2)
    assert said == "1 units from transactions_2.csv; 0 rows in quarantine"
    assert version_of(tmp_path, TRANSACTIONS) == version + 1
    assert rows_of(tmp_path, QUARANTINE, "reason") == []
    assert rows_of(tmp_path, CUSTOMERS, "customer_id", "customer_key", "has_left", "left_date") == [
        (C1, 0, False, None),
        (C2, 1, True, WEEK_2),
        (C3, 2, False, None),
    ]


def test_buyers_are_customers_where_the_mapping_says_so(tmp_path: Path) -> None:
    text = (Path(articles.__file__).parent / "mappings" / "hm.toml").read_text()
    (tmp_path / "shop.toml").write_text(text.replace("[customers]", "[customers]\nalso_from_transactions = true"))
    write(tmp_path / "transactions.csv", TRANSACTIONS_HEADER, [purchase(customer=C1)])
    for ids in ([C1, C2, C3], [C3]):
        write(tmp_path / "customers.csv", CUSTOMERS_HEADER, [f"{each},,,,,," for each in ids])
        customers.main(job(customers, None, tmp_path, mapping=str(tmp_path / "shop.toml")))
    assert rows_of(tmp_path, CUSTOMERS, "customer_id", "has_left") == [(C1, False), (C2, True), (C3, False)]


def test_a_list_cut_short_stops_though_nothing_is_lost(tmp_path: Path) -> None:
    """It is compared with what was listed: rows that were gone already make up for nothing."""
    ids = [f"{number:010}" for number in range(1_200)]
    catalogue(tmp_path, ids, WEEK_1)
    catalogue(tmp_path, ids[:1_100], WEEK_2)
    version = version_of(tmp_path, ARTICLES)
    with pytest.raises(ContractError, match=r"row count: 980 of all are 0\.89 times the 1,100 of the rows it replaces"):
        catalogue(tmp_path, ids[:980], WEEK_3)
    assert version_of(tmp_path, ARTICLES) == version
    catalogue(tmp_path, ids[:1_000], WEEK_3)
    gone = [row for row in listed(tmp_path) if row[2]]
    assert [row[3] for row in gone] == [WEEK_3] * 100 + [WEEK_2] * 100 and len(listed(tmp_path)) == 1_200
