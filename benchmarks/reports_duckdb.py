"""The main business metrics of every week by DuckDB, as one would write them by hand: from the tables' Parquet files.

python -m benchmarks.reports_duckdb WAREHOUSE OUT AS_OF
"""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb
from deltalake import DeltaTable

BASKETS = """
    CREATE TABLE baskets AS SELECT *, row_number() OVER w AS number, first(t_dat) OVER w AS first_day,
        lag(t_dat) OVER w AS previous, lead(t_dat) OVER w AS following, {week_of_day} AS week,
        {week_of_previous} AS week_before
    FROM (
        SELECT customer_key, t_dat, count(*) AS units, sum(price) AS revenue,
            bool_or(sales_channel_id = 1) AS has_store, bool_or(sales_channel_id <> 1) AS has_online
        FROM lines GROUP BY customer_key, t_dat
    ) WINDOW w AS (PARTITION BY customer_key ORDER BY t_dat)
"""
ARTICLE_WEEKS = """
    CREATE TABLE sold AS SELECT *, max(price) OVER w AS highest, first(week) OVER w AS first_week FROM (
        SELECT article_key, {week_of_day} AS week, count(*) AS units, sum(price) AS revenue, max(price) AS price
        FROM lines GROUP BY ALL
    ) WINDOW w AS (PARTITION BY article_key ORDER BY week DESC)
"""
BANDS = """
    SELECT customer_key, CASE WHEN age IS NULL THEN 'unknown' WHEN age < 20 THEN 'under 20' WHEN age >= 70
        THEN '70 and over' ELSE (age // 10 * 10) || '-' || (age // 10 * 10 + 9) END AS age_band
    FROM customers
"""
QUERIES = {
    "customers": f"""
        SELECT week, coalesce(age_band, 'unknown') AS age_band, coalesce(club_member_status, 'unknown') AS club,
            {{week_of_first}} = week AS is_new, count(*) FILTER (previous IS NULL OR week_before > week) AS active,
            count(*) FILTER (week_before = week + 1) AS retained, count(*) AS baskets, sum(units) AS units,
            sum(revenue) AS revenue, count(*) FILTER (number = 2) AS second_baskets,
            count(*) FILTER (t_dat - previous > 90) AS won_back
        FROM baskets JOIN ({BANDS}) USING (customer_key) JOIN customers USING (customer_key) GROUP BY ALL
    """,  # noqa: S608
    "churn": f"""
        SELECT (DATE '{{as_of}}' - (t_dat + 90) - 1) // 7 AS week, age_band, count(*) AS churned
        FROM baskets JOIN ({BANDS}) USING (customer_key)
        WHERE t_dat + 90 < DATE '{{as_of}}' AND (following IS NULL OR following > t_dat + 90) GROUP BY ALL
    """,  # noqa: S608
    "cohorts": """
        SELECT strftime(first_day, '%Y-%m') AS cohort, (t_dat - first_day) // 30 AS period,
            count(DISTINCT customer_key) AS customers
        FROM baskets GROUP BY ALL
    """,
    "channels": """
        SELECT week, count(DISTINCT customer_key) FILTER (has_store) AS store,
            count(DISTINCT customer_key) FILTER (has_online) AS online
        FROM baskets GROUP BY ALL
    """,
    "states": """
        SELECT customer_key, max(t_dat) AS last_day, count(*) AS baskets, sum(revenue) AS revenue,
            count(*) FILTER (t_dat < DATE '{as_of}' - 90) AS frequency_90,
            count(*) FILTER (t_dat < DATE '{as_of}' - 180) AS frequency_180
        FROM baskets GROUP BY ALL
    """,
    "departments": """
        SELECT week, department_name, sum(units) AS units, sum(revenue) AS revenue, sum(units * highest) AS at_highest,
            count(*) AS articles_sold, count(*) FILTER (week = first_week) AS new_articles
        FROM sold JOIN articles USING (article_key) GROUP BY ALL
    """,
    "department_customers": """
        SELECT department_name, count(DISTINCT customer_key) AS customers
        FROM lines JOIN articles USING (article_key) WHERE t_dat >= DATE '{as_of}' - 7 GROUP BY ALL
    """,
    "daily": """
        SELECT t_dat, sales_channel_id, floor(log10(nullif(price, 0)) * 10) AS price_bin, count(*) AS units,
            sum(price) AS revenue
        FROM lines GROUP BY ALL
    """,
}


def main(warehouse: Path, out: Path, as_of: str) -> None:
    """One Parquet file for each query."""
    out.mkdir(parents=True, exist_ok=True)
    database = duckdb.connect(str(out / "counts.duckdb"))
    database.execute(f"SET temp_directory = '{out}'")
    for name in ("transactions", "articles", "customers"):
        files = DeltaTable(str(warehouse / "silver" / name)).file_uris()
        database.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet({files})")  # noqa: S608
    database.execute(f"CREATE VIEW lines AS SELECT * FROM transactions WHERE t_dat < DATE '{as_of}'")  # noqa: S608

    def week(day: str) -> str:
        return f"(DATE '{as_of}' - {day} - 1) // 7"

    days = {"as_of": as_of, "week_of_day": week("t_dat"), "week_of_previous": week("lag(t_dat) OVER w")}
    days["week_of_first"] = week("first_day")
    database.execute(BASKETS.format(**days))
    database.execute(ARTICLE_WEEKS.format(**days))
    for name, query in QUERIES.items():
        database.execute(f"COPY ({query.format(**days)}) TO '{out / name}.parquet' (FORMAT parquet)")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
