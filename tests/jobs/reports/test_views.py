"""The analysts' views and the twenty questions of docs/analysts.md, asked of DuckDB and of Spark."""

from __future__ import annotations

import json
import re
from datetime import date, timedelta
from itertools import product
from pathlib import Path

import duckdb
import pytest
from pyspark.sql import SparkSession

from expectations.articles import ARTICLES
from expectations.business import BUSINESS_METRICS, CUSTOMER_SEGMENTS
from expectations.customers import CUSTOMERS
from expectations.evaluation import REALISED_PERFORMANCE
from expectations.features import ARTICLE_FEATURES
from expectations.recommendations import RECOMMENDATIONS
from expectations.transactions import QUARANTINE, TRANSACTIONS
from jobs.platform.errors import JobError
from jobs.reports import views
from tests.jobs.evaluation.silver import put

PAGE = Path(__file__).resolve().parents[3] / "docs" / "analysts.md"
QUESTIONS = dict(re.findall(r"### (\d+\. .+?)\n\n```sql\n(.+?)```", PAGE.read_text(encoding="utf-8"), re.S))
WEEKS = [date(2020, 9, 16), date(2020, 9, 23)]
METRICS = {
    "all": ("revenue", "units", "baskets", "active_customers", "new_customers", "new_articles"),
    "age_band": ("revenue", "active_customers", "revenue_per_customer"),
    "channel": ("revenue_share",),
    "department": ("revenue",),
    "cohort": ("retention_30d_1", "retention_30d_2"),
    "recency_band": ("churn_probability", "churn_realised"),
}


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ware house")
    put(root, CUSTOMERS, [{"customer_id": f"c{n}", "customer_key": n, "age": 25 + 20 * n} for n in range(3)])
    articles = [
        {"article_id": f"a{n}", "article_key": n, "prod_name": f"Shirt {n}", "department_name": "Tops",
         "product_group_name": "Upper", "colour_group_name": "Blue"} for n in range(3)
    ]  # fmt: skip
    put(root, ARTICLES, articles)
    bought = [(8, 0, 0, 2.0, 1), (15, 1, 1, 4.0, 2), (16, 0, 1, 4.0, 2), (16, 0, 1, 3.0, 2), (22, 2, 0, 2.0, 1)]
    lines = [
        {"t_dat": date(2020, 9, day), "customer_id": f"c{c}", "customer_key": c, "article_id": f"a{a}",
         "article_key": a, "price": price, "sales_channel_id": channel, "source_file": "trans actions.csv"}
        for day, c, a, price, channel in bought
    ]  # fmt: skip
    put(root, TRANSACTIONS, lines)
    counts = {c.name: 2 for c in ARTICLE_FEATURES.columns if c.type == "bigint"}
    sold = {"first_sale_date": WEEKS[0] - timedelta(7)}
    features = [
        {"as_of_date": day, "article_id": f"a{n}", "last_sale_date": day - timedelta(1)} | sold | counts
        for day, n in product(WEEKS, range(3))
    ]
    put(root, ARTICLE_FEATURES, features)
    picks = [
        {"as_of_date": day, "customer_id": f"c{c}", "rank": rank, "article_id": f"a{rank}", "bucket": 40 * c,
         "reason": f"Reason {rank}"}
        for day, c, rank in product(WEEKS, range(3), (1, 2))
    ]  # fmt: skip
    put(root, RECOMMENDATIONS, picks)
    segments = [
        {"as_of_date": day, "customer_id": f"c{c}", "basket_count": 1, "segment": segment}
        for day in WEEKS for c, segment in enumerate(("champion", "loyal", "lost"))
    ]  # fmt: skip
    put(root, CUSTOMER_SEGMENTS, segments)
    figures = [
        {"as_of_date": day, "week_start_date": day - timedelta(7), "segment_type": kind, "segment": f"{kind} 1",
         "metric": metric, "value": 10.0 + n + week, "change": 1.0 if week else None, "customer_count": 20}
        for week, day in enumerate(WEEKS) for kind, metrics in METRICS.items() for n, metric in enumerate(metrics)
    ]  # fmt: skip
    put(root, BUSINESS_METRICS, figures)
    figure = {"system": "published", "slice": "all", "metric": "map", "k": 12, "fold": "2020-09-16"}
    put(root, REALISED_PERFORMANCE, [figure | {"as_of_date": WEEKS[1]}])
    put(root, QUARANTINE, [{"table_name": "transactions", "reason": "no price", "source_line": n} for n in (2, 5)])
    return root


@pytest.fixture(scope="module")
def database(warehouse: Path) -> duckdb.DuckDBPyConnection:
    out = warehouse / "out" / "analysis.duckdb"
    assert views.main(["--warehouse", str(warehouse), "--out", str(out)]) == 0
    return duckdb.connect(str(out), read_only=True)


def plain(rows: list[tuple]) -> list[tuple]:
    return [tuple(round(float(v), 9) if isinstance(v, float | int) else str(v) for v in row) for row in rows]


def test_there_are_twenty_questions_and_both_engines_answer_them_alike(
    database: duckdb.DuckDBPyConnection, warehouse: Path, interpreted: SparkSession
) -> None:
    """One from the tables themselves; the others from their rows in memory, which takes Spark less time."""
    names = views.register(interpreted, str(warehouse))
    assert set(views.VIEWS) < set(names) and len(QUESTIONS) == 20
    ask(database, interpreted, "15. Which reasons work?")
    tables = [name for name in names if name not in views.VIEWS]
    for name in tables:
        interpreted.createDataFrame(interpreted.table(name).toArrow()).createOrReplaceTempView(name)
    views.register_views(interpreted, tables)
    for question in QUESTIONS:
        ask(database, interpreted, question)


def ask(database: duckdb.DuckDBPyConnection, spark: SparkSession, question: str) -> None:
    found = plain(database.execute(QUESTIONS[question]).fetchall())
    assert found, question
    assert plain([tuple(row) for row in spark.sql(QUESTIONS[question]).collect()]) == found, question


def test_outcomes_by_hand(database: duckdb.DuckDBPyConnection) -> None:
    """Of 16 September: c0 was shown a1 first and bought two units that day; nobody else bought a pick."""
    sql = "SELECT as_of_date, customer_id, rank, units_bought, revenue_bought FROM v_outcomes WHERE units_bought > 0"
    assert database.execute(sql).fetchall() == [(WEEKS[0], "c0", 1, 2, 7.0)]
    sales = database.execute("SELECT channel, age_band, price FROM v_sales ORDER BY t_dat, price").fetchall()
    assert database.execute("SELECT DISTINCT source_file FROM transactions").fetchall() == [("trans actions.csv",)]
    assert sales[:2] == [("store", "20-29", 2.0), ("online", "40-49", 4.0)]
    first = "SELECT segment, as_of_date FROM v_customers ORDER BY customer_id"
    assert database.execute(first).fetchone() == ("champion", WEEKS[1])


def test_the_notebook_runs_from_top_to_bottom(warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATELIER_WAREHOUSE", str(warehouse))
    monkeypatch.setenv("MPLBACKEND", "agg")
    cells = json.loads(PAGE.with_suffix(".ipynb").read_text(encoding="utf-8"))["cells"]
    names: dict[str, object] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    assert len(names["weeks"]) == len(WEEKS)  # type: ignore[arg-type]


def test_a_view_says_what_its_query_needs() -> None:
    """Each view names only tables that NEEDS lists, and views made before it."""
    known: set[str] = set(views.CONTRACTS)
    for view, sql in views.VIEWS.items():
        read = set(re.findall(r"(?:FROM|JOIN) (\w+)", sql))
        assert read <= known
        tables = {t for name in read for t in (views.NEEDS[name] if name in views.VIEWS else (name,))}
        assert tables == set(views.NEEDS[view])
        known.add(view)


def test_without_tables_or_in_an_object_store_it_says_so(tmp_path: Path) -> None:
    for place, words in ((str(tmp_path), "no tables"), ("s3://shop/warehouse", "only hold views of a folder")):
        with pytest.raises(JobError, match=words):
            views.write_duckdb(place, tmp_path / "none.duckdb")
    assert not (tmp_path / "none.duckdb").exists()
