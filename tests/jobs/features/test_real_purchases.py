"""Both as-of tables on 75,000 real purchase lines, cell by cell against DuckDB's own arithmetic."""

from __future__ import annotations

from datetime import date, timedelta

import duckdb
import pandas as pd
import polars as pl
import pytest

from jobs.features import articles, customers
from jobs.features.spec import LINE, rows, snapshots
from tests.conftest import SHARED_DATA

PURCHASES = SHARED_DATA / "completejourney" / "transactions_sample.parquet"
AS_OF = date(2017, 9, 13)

LINES = f"""
    SELECT transaction_timestamp::DATE AS t_dat, household_id AS customer_id, product_id AS article_id,
        sales_value + 0.01 AS price, store_id::INT % 3 AS sales_channel_id
    FROM '{PURCHASES}'
"""  # noqa: S608
CUSTOMERS = """
    SELECT as_of_date, customer_id, count(*) transaction_count, min(t_dat) first_purchase_date,
        max(t_dat) last_purchase_date, avg(price) price_mean, min(price) price_min, max(price) price_max,
        stddev_samp(price) price_stddev, sum(price) total_spend, count(DISTINCT article_id) distinct_article_count,
        any_value(channel) preferred_sales_channel_id, max(t_dat) - min(t_dat) days_active,
        count(*) / greatest(max(t_dat) - min(t_dat), 1) purchase_frequency,
        as_of_date - max(t_dat) days_since_last_purchase, count(*) FILTER (recent) transaction_count_30d,
        avg(price) FILTER (recent) price_mean_30d, coalesce(sum(price) FILTER (recent), 0) total_spend_30d
    FROM lines JOIN channels USING (as_of_date, customer_id) GROUP BY as_of_date, customer_id
"""
ARTICLES = """
    SELECT as_of_date, article_id, count(*) sales_count, min(t_dat) first_sale_date, max(t_dat) last_sale_date,
        count(DISTINCT customer_id) distinct_customer_count, avg(price) price_mean, stddev_samp(price) price_stddev,
        quantile_cont(price, 0.5) price_median, any_value(channel) preferred_sales_channel_id,
        as_of_date - min(t_dat) days_on_sale, count(*) FILTER (t_dat >= as_of_date - 7) sales_count_7d,
        count(*) FILTER (recent) sales_count_30d,
        count(DISTINCT customer_id) FILTER (recent) distinct_customer_count_30d
    FROM lines JOIN channels USING (as_of_date, article_id) GROUP BY as_of_date, article_id
"""


@pytest.mark.skipif(not PURCHASES.exists(), reason="the Complete Journey data is not here")
@pytest.mark.parametrize(
    ("spec", "query"),
    [(customers.SPEC, CUSTOMERS), (articles.SPEC, ARTICLES)],
    ids=["customers", "articles"],
)
def test_cell_by_cell_against_duckdb(spec, query):
    dates = [AS_OF, AS_OF - timedelta(7), date(2017, 2, 1)]
    lines = duckdb.sql(LINES).df()
    contract, entity = spec.contract, spec.contract.key[1]
    # Their ids are numbers: as keys they are the same numbers.
    keyed = pl.from_pandas(lines).rename({"customer_id": "customer_key", "article_id": "article_key"})
    types = dict(zip(LINE, [pl.Int32, pl.Int32, pl.Date, pl.Float64, pl.Int32], strict=True))
    parts = []
    for day, computed in snapshots(keyed.cast(types), dates, spec):
        ids = computed.select(spec.key, pl.col(spec.key).cast(pl.String).alias(spec.id))
        part = rows(computed, ids, spec).to_pandas()
        parts.append(part.assign(as_of_date=pd.Timestamp(day))[contract.column_names])
    found = pd.concat(parts)

    db = duckdb.connect()
    db.register("purchases", lines)
    db.register("dates", pd.DataFrame({"as_of_date": pd.to_datetime(dates)}))
    db.sql(
        """CREATE VIEW lines AS SELECT d.as_of_date::DATE AS as_of_date, p.* REPLACE (t_dat::DATE AS t_dat),
            p.t_dat >= d.as_of_date::DATE - 30 AS recent
        FROM purchases p JOIN dates d ON p.t_dat::DATE < d.as_of_date::DATE"""
    )
    db.sql(
        f"""CREATE VIEW channels AS SELECT as_of_date, {entity}, sales_channel_id AS channel FROM lines
        GROUP BY as_of_date, {entity}, channel
        QUALIFY row_number() OVER (PARTITION BY as_of_date, {entity} ORDER BY count(*) DESC, channel) = 1
        """  # noqa: S608
    )
    expected = db.sql(query).df()
    assert len(found) == len(expected) > 1000
    keys = ["as_of_date", entity]
    for frame in (found, expected):
        for column in contract.columns:
            if column.type == "date":
                frame[column.name] = pd.to_datetime(frame[column.name]).astype("datetime64[s]")
        frame.sort_values(keys, inplace=True, ignore_index=True)
    pd.testing.assert_frame_equal(
        found, expected[contract.column_names], check_dtype=False, check_exact=False, rtol=1e-9, atol=1e-9
    )
