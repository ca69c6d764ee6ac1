"""Puts the moments of a data set beside those of the real H&M data."""
# ruff: noqa: S608 - the queries are made of this module's own words

import math
from pathlib import Path

import duckdb
from rich.progress import track
from rich.table import Table

from sample_data.moments import MOMENTS, REAL_SAMPLE

TEXTS = "types={'article_id': 'VARCHAR', 'product_code': 'VARCHAR', 'colour_group_code': 'VARCHAR'}"
VIEWS = f"""
CREATE TEMP TABLE articles AS SELECT row_number() OVER () AS article, * FROM read_csv($articles, {TEXTS}, header=true);
CREATE TEMP TABLE customers AS SELECT row_number() OVER () AS customer, * FROM read_csv($customers, header=true);
CREATE TEMP TABLE lines AS
    SELECT t_dat AS day, customer, article, price, sales_channel_id AS channel
    FROM read_csv($transactions, header=true, types={{'t_dat': 'DATE', 'customer_id': 'VARCHAR',
        'article_id': 'VARCHAR', 'price': 'DOUBLE', 'sales_channel_id': 'UTINYINT'}})
    LEFT JOIN customers USING (customer_id) LEFT JOIN articles USING (article_id);
CREATE TEMP TABLE baskets AS
    SELECT *, day - lag(day) OVER (PARTITION BY customer ORDER BY day) AS gap
    FROM (SELECT customer, day, sum(units) AS size, count(*) AS distinct_lines,
              count(DISTINCT article) AS distinct_articles
          FROM (SELECT customer, day, article, count(*) AS units
                FROM lines GROUP BY customer, day, article, price, channel)
          GROUP BY customer, day);
CREATE TEMP TABLE pairs AS SELECT count(DISTINCT day) AS days FROM lines GROUP BY customer, article;
CREATE TEMP TABLE week AS SELECT max(day) - 6 AS first FROM lines;
CREATE TEMP TABLE week_buyers AS
    SELECT customer, sum(size) FILTER (day >= first) AS units, count(*) FILTER (day >= first) AS baskets,
        bool_or(day < first) AS known, bool_or(day < first AND day >= first - 30) AS recent
    FROM baskets, week GROUP BY customer HAVING units > 0;
CREATE TEMP TABLE week_articles AS
    SELECT sold, recent, row_number() OVER (ORDER BY sold DESC) AS place
    FROM (SELECT count(*) FILTER (day >= first) AS sold, bool_or(day < first) AS recent
          FROM lines, week WHERE day >= first - 30 GROUP BY article)
    WHERE sold > 0;
CREATE TEMP TABLE bought AS
    SELECT DISTINCT customer, article, product_code AS product FROM lines JOIN articles USING (article), week
    WHERE day >= first;
CREATE TEMP TABLE owned AS
    SELECT customer, article, product_code AS product, max(day) AS last, count(*) AS units
    FROM lines JOIN articles USING (article), week WHERE day < first AND customer IN (SELECT customer FROM bought)
    GROUP BY ALL;
CREATE TEMP TABLE popular AS
    SELECT article, row_number() OVER (ORDER BY count(*) DESC, article) AS place
    FROM lines, week WHERE day < first AND day >= first - 7 GROUP BY article QUALIFY place <= 24;
CREATE TEMP TABLE own_lists AS
    SELECT customer, article, row_number() OVER (PARTITION BY customer ORDER BY last DESC, units DESC, article) AS place
    FROM owned QUALIFY place <= 12;
CREATE TEMP TABLE last_week_lists AS
    SELECT customer, article,
        row_number() OVER (PARTITION BY customer ORDER BY count(*) DESC, max(day) DESC, article) AS place
    FROM (SELECT customer, article, day, max(day) OVER (PARTITION BY customer) AS last
          FROM lines, week WHERE day < first AND customer IN (SELECT customer FROM bought))
    WHERE day > last - 7 GROUP BY customer, article QUALIFY place <= 12;
CREATE TEMP TABLE lives AS
    SELECT article, min(day) AS first_day, max(day) - min(day) AS days FROM lines GROUP BY article;
"""
UNKNOWN = "SELECT count(*) FROM lines WHERE customer IS NULL OR article IS NULL"


def measure(data: Path) -> dict[str, tuple[float, ...]]:
    """The value(s) of every moment on the CSV files in `data`, by its name; NaN where there is nothing to count.

    Raises:
        duckdb.Error: a file or a column is missing, or a field is not of its type.
        ValueError: lines have customers or articles that the other files do not list.
    """
    files = {"articles": "articles.csv", "customers": "customers.csv", "transactions": "transactions_train.csv"}
    with duckdb.connect() as connection:
        for statement in track(VIEWS.strip().split(";\n"), "reading", transient=True):
            names = {key: str(data / file) for key, file in files.items() if f"${key}" in statement}
            connection.execute(statement, names)
        unknown = connection.execute(UNKNOWN).fetchall()[0][0]
        if unknown:
            raise ValueError(
                f"{data / files['transactions']}: {unknown:,} lines have a customer or an article that "
                f"{files['customers']} or {files['articles']} does not list"
            )
        return {
            moment.name: tuple(
                math.nan if value is None else float(value) for (value,) in connection.execute(moment.sql).fetchall()
            )
            for moments in MOMENTS.values()
            for moment in moments
        }


def figure(value: float) -> str:
    """A number as short as it stays readable; a dash for NaN."""
    if math.isnan(value):
        return "-"
    if value == int(value) and abs(value) >= 1:
        return f"{value:,.0f}"
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:.3g}"


def report_table(data: Path) -> Table:
    """The moments of `data` beside the real ones, as a table to print."""
    values = measure(data)
    caption = (
        "* depends on the number of customers or articles\n"
        f"\u2020 counted on a sample of {REAL_SAMPLE:,} customers and all that they bought"
    )
    table = Table(caption=caption, caption_justify="left")
    table.add_column("moment", no_wrap=True)
    table.add_column("this data", justify="right")
    table.add_column("H&M", justify="right")
    for section, moments in MOMENTS.items():
        table.add_section()
        table.add_row(f"[bold]{section}")
        for moment in moments:
            here, real = (" / ".join(map(figure, numbers)) for numbers in (values[moment.name], moment.real))
            table.add_row(
                f"  {moment.name}{' *' if moment.scales else ''}", here, f"{real} \u2020" if moment.sampled else real
            )
    return table
