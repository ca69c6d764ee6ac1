"""Delivered files that are cut short, rearranged, or replaced while a run reads them."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from threading import Thread

import pytest
from pyspark.sql import SparkSession

from expectations.customers import CUSTOMERS
from expectations.recommendations import RECOMMENDATIONS
from expectations.transactions import QUARANTINE, TRANSACTIONS
from jobs.evaluation import realised_performance
from jobs.ingest import articles, customers, transactions
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.settings import Settings
from jobs.retrieval.popularity import popular_articles
from jobs.retrieval.purchases import load_purchases
from tests.faults.runs import data_files, wait_for_new_files
from tests.jobs.evaluation.silver import put
from tests.jobs.ingest.retail import (
    A1,
    A2,
    ARTICLES_HEADER,
    C1,
    C2,
    C3,
    CUSTOMERS_HEADER,
    TRANSACTIONS_HEADER,
    article,
    job,
    publish_parents,
    purchase,
    rows_of,
    version_of,
    write,
)

pytestmark = pytest.mark.slow

FILE = "transactions_train.csv"
LINES = [purchase(f"2020-09-{day:02}", customer, A1, f"0.0{day}") for day in range(1, 10) for customer in (C1, C2, C3)]


def prices(data: Path) -> list[tuple]:
    """What is known of the purchases, day, customer and price."""
    return rows_of(data, TRANSACTIONS, "t_dat", "customer_id", "price")


@pytest.fixture
def data(spark: SparkSession, tmp_path: Path) -> Path:
    """A retailer whose purchases of LINES were taken in."""
    publish_parents(tmp_path)
    write(tmp_path / FILE, TRANSACTIONS_HEADER, LINES)
    take_in(spark, tmp_path)
    return tmp_path


def take_in(spark: SparkSession, data: Path, **settings: object) -> str:
    return transactions.main(job(transactions, spark, data, **settings))


def test_a_file_cut_in_the_middle_of_a_line(spark: SparkSession, data: Path) -> None:
    """The cut line is refused by name; when the file comes whole, it is as if nothing had been."""
    whole = (data / FILE).read_bytes()
    before = prices(data)
    (data / FILE).write_bytes(whole[: -len(LINES[-1]) // 2])
    assert "1 rows in quarantine" in take_in(spark, data)
    assert prices(data) == before[:-1]
    assert rows_of(data, QUARANTINE, "source_file", "source_line") == [(FILE, len(LINES) + 1)]

    (data / FILE).write_bytes(whole)
    take_in(spark, data)
    assert prices(data) == before
    assert rows_of(data, QUARANTINE, "source_file") == []


def test_customers_cut_to_half_of_their_rows(spark: SparkSession, data: Path) -> None:
    """Purchases are not thrown away because their customers were not delivered."""
    before, version = prices(data), version_of(data, TRANSACTIONS)
    ids = [C1, C2, C3, *(f"{n:064x}" for n in range(3))]
    everyone = [f"{customer},,,,,," for customer in ids]
    write(data / "customers.csv", CUSTOMERS_HEADER, everyone[3:])
    customers.main(job(customers, spark, data))
    take_in(spark, data)
    assert (prices(data), version_of(data, TRANSACTIONS)) == (before, version)
    assert rows_of(data, CUSTOMERS, "customer_id", "has_left") == sorted((each, each in ids[:3]) for each in ids)

    write(data / "customers.csv", CUSTOMERS_HEADER, everyone)
    customers.main(job(customers, spark, data))
    take_in(spark, data)
    assert prices(data) == before
    assert rows_of(data, CUSTOMERS, "customer_id", "has_left") == sorted((each, False) for each in ids)


def test_an_article_of_last_weeks_list_that_the_catalogue_has_no_more(spark: SparkSession, data: Path) -> None:
    """The week goes on: last week's picks are judged, the article's history stays, and it is picked no more."""
    week, next_week = date(2020, 9, 9), date(2020, 9, 16)
    picks = [{"as_of_date": week, "customer_id": C1, "rank": 1, "article_id": A1}]
    write(data / "articles.csv", ARTICLES_HEADER, [article(A1), article(A2)])
    articles.main(job(articles, spark, data, as_of_date=week))
    put(data / "warehouse", RECOMMENDATIONS, picks, {"as_of_date": [week]})
    write(data / "articles.csv", ARTICLES_HEADER, [article(A2)])
    write(data / "transactions_2.csv", TRANSACTIONS_HEADER, [purchase("2020-09-10", C1, A1)])
    articles.main(job(articles, spark, data, as_of_date=next_week))
    take_in(spark, data, as_of_date=next_week)
    settings = Settings(as_of_date=next_week, warehouse=str(data / "warehouse"))
    reads = realised_performance.READS + realised_performance.READS_EARLIER_RUNS
    judged = Job("evaluation.realised_performance", settings, reads, realised_performance.WRITES)
    assert "reached MAP@12 0.3333 over 3 buyers" in realised_performance.main(judged)
    history = load_purchases(judged, before=next_week)
    assert len(history) == len(LINES) + 1
    assert popular_articles(history, week, 9).tolist() == [history.article_ids.index(A1).as_py()]
    assert popular_articles(history, next_week, 9).tolist() == []


def test_columns_in_another_order(spark: SparkSession, data: Path) -> None:
    """A new week with its columns rearranged, beside a week as before: each value in its own column."""
    before = prices(data)
    rearranged = [",".join(reversed(line.split(","))) for line in (purchase("2020-09-11", C2, A2, "0.11"),)]
    write(data / "transactions_2.csv", ",".join(reversed(TRANSACTIONS_HEADER.split(","))), rearranged)
    write(data / "transactions_3.csv", TRANSACTIONS_HEADER, [purchase("2020-09-12", C3, A2, "0.12")])
    take_in(spark, data)
    new = rows_of(data, TRANSACTIONS, "t_dat", "customer_id", "article_id", "price")[len(before) :]
    assert [(str(day), *rest) for day, *rest in new] == [("2020-09-11", C2, A2, 0.11), ("2020-09-12", C3, A2, 0.12)]
    assert prices(data)[: len(before)] == before


def test_a_file_replaced_while_a_rerun_reads_it(spark: SparkSession, data: Path) -> None:
    """The swap happens when the first rows have been written: they are neither file's, and none is published."""
    before, version = prices(data), version_of(data, TRANSACTIONS)
    write(data / FILE, TRANSACTIONS_HEADER, [*LINES, purchase("2020-09-14", price="0.14")])
    newer = write(data / "newer", TRANSACTIONS_HEADER, [*LINES, purchase("2020-09-15", price="0.15")])
    table = data / "warehouse" / TRANSACTIONS.path

    def swap(there: set[Path]) -> None:
        wait_for_new_files(table, there, lambda: True)
        os.replace(newer, data / FILE)

    swapping = Thread(target=swap, args=(data_files(table),))
    swapping.start()
    with pytest.raises(JobError, match=rf"{FILE}: replaced while it was being read; nothing was published, run again"):
        take_in(spark, data)
    swapping.join()
    assert (prices(data), version_of(data, TRANSACTIONS)) == (before, version)

    take_in(spark, data)
    assert [str(day) for day, *_ in prices(data)[len(before) :]] == ["2020-09-15"]
