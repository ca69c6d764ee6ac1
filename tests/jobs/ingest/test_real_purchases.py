"""The Complete Journey purchases, taken in and compared with an independent computation."""

import re
from datetime import date
from pathlib import Path

import duckdb
import polars as pl
import pytest
from pyspark.sql import SparkSession

from expectations.articles import ARTICLES
from expectations.customers import CUSTOMERS
from expectations.transactions import QUARANTINE, TRANSACTIONS
from jobs.ingest import articles, customers, transactions
from jobs.platform.job import Job
from jobs.platform.settings import Settings
from jobs.reports import business_metrics, views
from tests.conftest import SHARED_DATA
from tests.jobs.ingest.retail import job, rows_of
from tests.jobs.reports.test_views import QUESTIONS

DATA = SHARED_DATA / "completejourney"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the Complete Journey data (CC0) is not there")


@pytest.mark.slow
def test_complete_journey(spark: SparkSession, tmp_path: Path) -> None:
    run = {"data": DATA, "warehouse": str(tmp_path / "warehouse"), "mapping": "completejourney"}
    lines = pl.read_parquet(DATA / "transactions_sample.parquet").with_row_index("line", 1)
    products = pl.read_parquet(DATA / "products.parquet")
    people = pl.read_parquet(DATA / "demographics.parquet")

    assert articles.main(job(articles, spark, **run)).startswith("92,331 rows")
    assert customers.main(job(customers, spark, **run)).startswith("2,377 rows")
    ages = dict(rows_of(tmp_path, CUSTOMERS, "customer_id", "age"))
    assert ages.keys() == set(lines["household_id"]) | set(people["household_id"])
    assert {h: a for h, a in ages.items() if a is not None} == {
        h: int(a[:2]) for h, a in people.select("household_id", pl.col("age").cast(str)).iter_rows()
    }

    transactions.main(job(transactions, spark, **run))
    q = pl.col("quantity")
    is_good = q.is_between(1, 100) & (q == q.floor()) & (pl.col("sales_value") > 0)
    known = lines.with_columns(is_known=pl.col("product_id").is_in(products["product_id"].implode()))
    good = known.filter(is_good & pl.col("is_known"))
    expected = good.select(
        pl.col("transaction_timestamp").dt.date(),
        "household_id",
        "product_id",
        (pl.col("sales_value") / q).alias("price"),
        q.cast(int).alias("units"),
    )
    units = [row[:4] for row in expected.iter_rows() for _ in range(row[4])]
    assert rows_of(tmp_path, TRANSACTIONS, "t_dat", "customer_id", "article_id", "price") == sorted(units)
    assert set(rows_of(tmp_path, TRANSACTIONS, "sales_channel_id")) == {(1,)}

    refused = set(rows_of(tmp_path, QUARANTINE, "source_line"))
    assert refused == {(line,) for line in known.filter(~(is_good & pl.col("is_known")))["line"]}
    assert 0.015 < len(refused) / lines.height < 0.025
    assert len(rows_of(tmp_path, ARTICLES, "article_id")) == products.height
    ask(tmp_path / "warehouse")


def ask(warehouse: Path) -> None:
    """The analysts' questions that need no recommendations have answers in this shop as well."""
    settings = Settings(as_of_date=date(2018, 1, 3), warehouse=str(warehouse))
    reads = business_metrics.READS + business_metrics.READS_EARLIER_RUNS
    business_metrics.main(Job("reports.business_metrics", settings, reads, business_metrics.WRITES))
    known = set(views.write_duckdb(str(warehouse), warehouse / "analysis.duckdb"))
    named = set(views.CONTRACTS) | set(views.VIEWS)
    asked = [name for name, sql in QUESTIONS.items() if set(re.findall(r"(?:FROM|JOIN) (\w+)", sql)) & named <= known]
    assert len(asked) == 13, asked
    with duckdb.connect(str(warehouse / "analysis.duckdb"), read_only=True) as database:
        assert not [name for name in asked if not database.execute(QUESTIONS[name]).fetchall()]
