"""The feature tables by DuckDB, as one would write them by hand: CSV to Parquet, no contracts, no silver tables.

python -m benchmarks.features_duckdb DATA OUT AS_OF
"""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb

LINES = """
    CREATE TABLE lines AS
    SELECT *, t_dat >= DATE '{as_of}' - 30 AS is_recent
    FROM read_csv('{data}/transactions*.csv', header = true, columns = {{
        't_dat': 'DATE', 'customer_id': 'VARCHAR', 'article_id': 'VARCHAR', 'price': 'DOUBLE',
        'sales_channel_id': 'INTEGER'}})
    WHERE t_dat < DATE '{as_of}'
"""
# Two channels, as the data has: a tie goes to the smaller.
CHANNEL = "CASE WHEN 2 * count(*) FILTER (sales_channel_id = 1) >= count(*) THEN 1 ELSE 2 END::INTEGER"
CUSTOMERS = f"""
    SELECT DATE '{{as_of}}' AS as_of_date, customer_id, count(*) AS transaction_count,
        min(t_dat) AS first_purchase_date, max(t_dat) AS last_purchase_date, avg(price) AS price_mean,
        min(price) AS price_min, max(price) AS price_max, stddev_samp(price) AS price_stddev,
        sum(price) AS total_spend, count(DISTINCT article_id) AS distinct_article_count,
        {CHANNEL} AS preferred_sales_channel_id, (max(t_dat) - min(t_dat))::INTEGER AS days_active,
        count(*) / greatest(max(t_dat) - min(t_dat), 1) AS purchase_frequency,
        (DATE '{{as_of}}' - max(t_dat))::INTEGER AS days_since_last_purchase,
        count(*) FILTER (is_recent) AS transaction_count_30d, avg(price) FILTER (is_recent) AS price_mean_30d,
        coalesce(sum(price) FILTER (is_recent), 0) AS total_spend_30d
    FROM lines GROUP BY customer_id
"""  # noqa: S608
ARTICLES = f"""
    SELECT DATE '{{as_of}}' AS as_of_date, article_id, count(*) AS sales_count, min(t_dat) AS first_sale_date,
        max(t_dat) AS last_sale_date, count(DISTINCT customer_id) AS distinct_customer_count,
        avg(price) AS price_mean, stddev_samp(price) AS price_stddev, median(price) AS price_median,
        {CHANNEL} AS preferred_sales_channel_id, (DATE '{{as_of}}' - min(t_dat))::INTEGER AS days_on_sale,
        count(*) FILTER (t_dat >= DATE '{{as_of}}' - 7) AS sales_count_7d,
        count(*) FILTER (is_recent) AS sales_count_30d,
        count(DISTINCT customer_id) FILTER (is_recent) AS distinct_customer_count_30d
    FROM lines GROUP BY article_id
"""  # noqa: S608
INTERACTIONS = """
    SELECT (t_dat - (isodow(t_dat) + 4)::INTEGER % 7)::DATE AS week_start_date, t_dat, customer_id, article_id, price,
        sales_channel_id, isodow(t_dat)::INTEGER AS day_of_week, month(t_dat)::INTEGER AS month,
        isodow(t_dat) >= 6 AS is_weekend
    FROM lines WHERE t_dat >= DATE '{as_of}' - 7
"""


def main(data: Path, out: Path, as_of: str) -> None:
    """One Parquet file per feature table, as of one date."""
    out.mkdir(parents=True, exist_ok=True)
    database = duckdb.connect(str(out / "lines.duckdb"))
    database.execute(f"SET temp_directory = '{out}'")
    database.execute(LINES.format(data=data, as_of=as_of))
    for name, query in (("customer", CUSTOMERS), ("article", ARTICLES), ("interaction", INTERACTIONS)):
        path = out / f"{name}_features.parquet"
        database.execute(f"COPY ({query.format(as_of=as_of)}) TO '{path}' (FORMAT parquet, COMPRESSION snappy)")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
