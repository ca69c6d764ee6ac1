"""Views for analysts: the warehouse's tables and `v_...` views over them, in a DuckDB file or in a Spark session.

    python -m jobs.reports.views --warehouse warehouse --out analysis.duckdb

The file holds views of the Parquet files that the tables have now, and no rows: make it again after the next run.
docs/analysts.md has twenty questions to it, which are the same SQL in Spark after `register(spark, warehouse)`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
from deltalake import DeltaTable

from expectations.contract import Contract
from expectations.registry import CONTRACTS
from jobs.platform import storage
from jobs.platform.data_files import data_files
from jobs.platform.errors import JobError
from jobs.platform.job import EXIT_JOB_ERROR
from jobs.platform.tables import Tables

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: View -> its SQL, in words that DuckDB and Spark share. A view comes after those that it reads.
VIEWS = {
    # An article with its names, and what it sold as of the newest date.
    "v_articles": """
        SELECT a.article_id, a.prod_name, a.product_type_name, a.product_group_name, a.colour_group_name,
            a.department_name, a.index_group_name, a.is_delisted, f.as_of_date, f.price_median, f.sales_count,
            f.sales_count_7d, f.sales_count_30d, f.first_sale_date, f.last_sale_date
        FROM articles a LEFT JOIN (
            SELECT * FROM article_features WHERE as_of_date = (SELECT max(as_of_date) FROM article_features)
        ) f ON f.article_id = a.article_id""",
    # A customer with age band and, as of the newest date, segment.
    "v_customers": """
        SELECT c.customer_id, c.age, CASE WHEN c.age IS NULL THEN 'unknown' WHEN c.age < 20 THEN 'under 20'
            WHEN c.age < 30 THEN '20-29' WHEN c.age < 40 THEN '30-39' WHEN c.age < 50 THEN '40-49'
            WHEN c.age < 60 THEN '50-59' WHEN c.age < 70 THEN '60-69' ELSE '70 and over' END AS age_band,
            coalesce(lower(c.club_member_status), 'unknown') AS club_status, c.has_left, s.as_of_date, s.segment,
            s.recency_days, s.basket_count, s.revenue, s.r_score, s.f_score, s.m_score, s.churn_probability
        FROM customers c LEFT JOIN (
            SELECT * FROM customer_segments WHERE as_of_date = (SELECT max(as_of_date) FROM customer_segments)
        ) s ON s.customer_id = c.customer_id""",
    # A unit sold, with names.
    "v_sales": """
        SELECT t.t_dat, t.customer_id, t.article_id, t.price,
            CASE WHEN t.sales_channel_id = 1 THEN 'store' ELSE 'online' END AS channel, a.prod_name,
            a.product_type_name, a.product_group_name, a.colour_group_name, a.department_name, c.age_band, c.club_status
        FROM transactions t JOIN articles a ON a.article_id = t.article_id
            JOIN v_customers c ON c.customer_id = t.customer_id""",
    # A pick with the article's names, its price as of then, and the reason.
    "v_recommendations": """
        SELECT r.as_of_date, r.customer_id, r.rank, r.article_id, a.prod_name, a.product_type_name,
            a.product_group_name, a.colour_group_name, a.department_name, f.price_median AS price, r.reason, r.source,
            r.is_fallback, r.score, r.model_version, r.bucket
        FROM recommendations r JOIN articles a ON a.article_id = r.article_id
            LEFT JOIN article_features f ON f.article_id = r.article_id AND f.as_of_date = r.as_of_date""",
    # The same, of weeks that are over, with what the customer bought of it in the week: 0 for nothing.
    "v_outcomes": """
        SELECT r.*, coalesce(b.units, 0) AS units_bought, coalesce(b.revenue, 0) AS revenue_bought
        FROM v_recommendations r LEFT JOIN (
            SELECT p.as_of_date, t.customer_id, t.article_id, count(*) AS units, sum(t.price) AS revenue
            FROM transactions t JOIN (SELECT DISTINCT as_of_date FROM recommendations) p
                ON t.t_dat >= p.as_of_date AND t.t_dat < p.as_of_date + INTERVAL 7 DAYS
            GROUP BY p.as_of_date, t.customer_id, t.article_id
        ) b ON b.as_of_date = r.as_of_date AND b.customer_id = r.customer_id AND b.article_id = r.article_id
        WHERE r.as_of_date + INTERVAL 7 DAYS <= (SELECT max(t_dat) + INTERVAL 1 DAY FROM transactions)""",
    # The figures of all customers, a week to a row.
    "v_weeks": """
        SELECT week_start_date, as_of_date, max(value) FILTER (WHERE metric = 'revenue') AS revenue,
            max(value) FILTER (WHERE metric = 'units') AS units,
            max(value) FILTER (WHERE metric = 'baskets') AS baskets,
            max(value) FILTER (WHERE metric = 'active_customers') AS active_customers,
            max(value) FILTER (WHERE metric = 'new_customers') AS new_customers,
            max(value) FILTER (WHERE metric = 'retention_7d') AS retention_7d,
            max(value) FILTER (WHERE metric = 'churn_rate_90d') AS churn_rate_90d,
            max(value) FILTER (WHERE metric = 'average_price') AS average_price,
            max(value) FILTER (WHERE metric = 'discount_depth') AS discount_depth,
            max(value) FILTER (WHERE metric = 'realised_hit_rate') AS realised_hit_rate,
            max(value) FILTER (WHERE metric = 'conversion') AS conversion,
            max(value) FILTER (WHERE metric = 'recommended_revenue_share') AS recommended_revenue_share
        FROM business_metrics WHERE segment_type = 'all' GROUP BY week_start_date, as_of_date""",
}
#: View -> the tables that it needs.
NEEDS = {
    "v_articles": ("articles", "article_features"),
    "v_customers": ("customers", "customer_segments"),
    "v_sales": ("transactions", "articles", "customers", "customer_segments"),
    "v_recommendations": ("recommendations", "articles", "article_features"),
    "v_outcomes": ("recommendations", "articles", "article_features", "transactions"),
    "v_weeks": ("business_metrics",),
}


def existing(tables: Tables) -> Iterator[Contract]:
    """The tables that the warehouse has."""
    return (contract for contract in CONTRACTS.values() if tables.exists(contract))


def possible(names: set[str]) -> Iterator[tuple[str, str]]:
    """The views, with their SQL, that these tables suffice for."""
    return ((view, sql) for view, sql in VIEWS.items() if set(NEEDS[view]) <= names)


def parquet_sql(database: duckdb.DuckDBPyConnection, table: DeltaTable, contract: Contract) -> str:
    """DuckDB's SQL of a table by its Parquet files; a column that the contract has gained since they were written is
    null.

    Raises JobError where rows were deleted from a file by a vector beside it.
    """
    types = {c.name: _DUCKDB_TYPES.get(c.type, c.type) for c in contract.columns}
    files = ["'" + file.uri.replace("'", "''") + "'" for file in data_files(table)]
    if not files:
        return f"SELECT {', '.join(_null(name, kind) for name, kind in types.items())} WHERE false"
    by = table.metadata().partition_columns  # of an older table maybe others than the contract's
    hive = ", ".join(f'"{name}": {types.get(name, "VARCHAR")}' for name in by)
    partitions = f", hive_partitioning = true, hive_types = {{{hive}}}" if hive else ""
    source = f"read_parquet([{', '.join(files)}], union_by_name = true{partitions})"
    there = set(database.sql(f"SELECT * FROM {source} LIMIT 0").columns)  # noqa: S608 (our own table's files)
    columns = (f'"{name}"' if name in there else _null(name, kind) for name, kind in types.items())
    return f"SELECT {', '.join(columns)} FROM {source}"  # noqa: S608


def _null(name: str, kind: str) -> str:
    return f'NULL::{kind} AS "{name}"'


_DUCKDB_TYPES = {
    "string": "VARCHAR", "array<float>": "FLOAT[]",
    "array<struct<hex:string,share:double>>": "STRUCT(hex VARCHAR, share DOUBLE)[]",
}  # fmt: skip


def write_duckdb(warehouse: str, out: Path) -> list[str]:
    """Write the views into a DuckDB file, in place of what it was; returns their names.

    Raises JobError where the warehouse is in an object store, or has no tables.
    """
    if storage.is_uri(warehouse):
        raise JobError(f"{warehouse}: a DuckDB file can only hold views of a folder; use Spark there")
    tables = Tables(warehouse, {})
    found = list(existing(tables))
    if not found:
        raise JobError(f"{tables.root}: no tables; run the weekly DAG, or give another --warehouse")
    out.unlink(missing_ok=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    made = [contract.name for contract in found]
    with duckdb.connect(str(out)) as database:
        for contract in found:
            database.execute(
                f"CREATE VIEW {contract.name} AS {parquet_sql(database, tables.newest(contract), contract)}"
            )
        for view, sql in possible(set(made)):
            database.execute(f"CREATE VIEW {view} AS {sql}")
            made.append(view)
    return made


def register(spark: SparkSession, warehouse: str) -> list[str]:
    """Make the same views temporary views of a Spark session; returns their names."""
    tables = Tables(warehouse, {})
    found = list(existing(tables))
    for contract in found:
        tables.read_spark(spark, contract).createOrReplaceTempView(contract.name)
    return register_views(spark, [contract.name for contract in found])


def register_views(spark: SparkSession, names: list[str]) -> list[str]:
    """Make temporary views of the tables that are there by these names; returns all names."""
    made = list(names)
    for view, sql in possible(set(names)):
        spark.sql(sql).createOrReplaceTempView(view)
        made.append(view)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--warehouse", default="warehouse", help="root of all Delta tables: a folder")
    parser.add_argument("--out", type=Path, default=Path("analysis.duckdb"), help="the DuckDB file to write")
    given = parser.parse_args(argv)
    try:
        made = write_duckdb(given.warehouse, given.out)
    except JobError as error:
        print(f"ERROR reports.views: {error}", file=sys.stderr)
        return EXIT_JOB_ERROR
    print(f"{given.out}: {len(made)} views, {', '.join(name for name in made if name in VIEWS)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
