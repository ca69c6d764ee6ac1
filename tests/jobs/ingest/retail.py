"""A retailer of three articles and three customers, for the ingest tests."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from types import ModuleType

import pyarrow as pa
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from expectations.articles import ARTICLES
from expectations.contract import Contract, key_of
from expectations.customers import CUSTOMERS
from jobs.ingest.mapping import load_mapping
from jobs.platform.job import Job
from jobs.platform.schemas import arrow_schema
from jobs.platform.settings import Settings
from jobs.platform.warehouse import Warehouse

HM = load_mapping("hm")
A1, A2, A3 = "0108775015", "0108775044", "0110065001"
C1, C2, C3 = "a" * 64, "b" * 64, "c" * 64
KEYS = {each: key for ids in ((A1, A2, A3), (C1, C2, C3)) for key, each in enumerate(ids)}

TRANSACTIONS_HEADER = "t_dat,customer_id,article_id,price,sales_channel_id"
CUSTOMERS_HEADER = "customer_id,FN,Active,club_member_status,fashion_news_frequency,age,postal_code"
ARTICLES_HEADER = ",".join(HM.articles.source_columns)


def purchase(
    day: str = "2020-09-01", customer: str = C1, article: str = A1, price: str = "0.05", channel: str = "2"
) -> str:
    """One transactions line."""
    return f"{day},{customer},{article},{price},{channel}"


def article(article_id: str, **values: str) -> str:
    """One catalogue line; columns not given are empty."""
    return ",".join({"article_id": article_id, **values}.get(column, "") for column in HM.articles.source_columns)


def write(path: Path, header: str, lines: Sequence[str], *, end: str = "\n", last: str | None = None) -> Path:
    """A CSV file; `end` ends each line, `last` the last one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((end.join([header, *lines]) + (end if last is None else last)).encode())
    return path


def job(module: ModuleType, spark: SparkSession | None, data: Path, **settings: object) -> Job:
    """A run of the ingest job."""
    fields = {"as_of_date": date(2020, 9, 16), "data": data, "warehouse": str(data / "warehouse"), **settings}
    return Job(module.__name__.removeprefix("jobs."), Settings(**fields), module.READS, module.WRITES)


def publish_ids(data: Path, contract: Contract, ids: Sequence[str]) -> None:
    """The whole articles or customers table, with ids and nothing else known; an id's key is its position above."""
    false = {column.name: [False] * len(ids) for column in contract.columns if column.type == "boolean"}
    empty = {column.name: [None] * len(ids) for column in contract.columns}
    rows = pa.table(
        {**empty, **false, contract.key[0]: list(ids), key_of(contract.key[0]): [KEYS[each] for each in ids]},
        schema=arrow_schema(contract),
    )
    Warehouse(str(data / "warehouse"), {"run_id": "test"}).publish_arrow(contract, rows, {})


def publish_parents(
    data: Path, articles: Sequence[str] = (A1, A2, A3), customers: Sequence[str] = (C1, C2, C3)
) -> None:
    """The tables that transactions refer to."""
    publish_ids(data, ARTICLES, articles)
    publish_ids(data, CUSTOMERS, customers)


def rows_of(data: Path, contract: Contract, *columns: str) -> list[tuple]:
    """The published rows as sorted tuples, read as an analyst would, without Spark."""
    table = DeltaTable(str(data / "warehouse" / contract.path)).to_pyarrow_table()
    return sorted(zip(*[table[column].to_pylist() for column in columns], strict=True))


def version_of(data: Path, contract: Contract) -> int | None:
    """The table's version; None before it exists."""
    uri = str(data / "warehouse" / contract.path)
    return DeltaTable(uri).version() if DeltaTable.is_deltatable(uri) else None
