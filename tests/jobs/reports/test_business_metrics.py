"""Business metrics on a dozen lines computed by hand, on random purchases beside Polars, and what a later line does."""

from __future__ import annotations

import shutil
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from expectations.articles import ARTICLES
from expectations.business import BUSINESS_METRICS, CUSTOMER_SEGMENTS, DESCRIPTIVE_STATISTICS
from expectations.contract import Contract
from expectations.customers import CUSTOMERS
from expectations.events import VISITORS
from expectations.performance import RECOMMENDATION_PERFORMANCE
from expectations.recommendations import RECOMMENDATIONS
from expectations.transactions import TRANSACTIONS
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.settings import Settings
from jobs.platform.warehouse import Warehouse
from jobs.reports import business_metrics, history
from jobs.reports.business_metrics import READS, READS_EARLIER_RUNS, WRITES
from jobs.reports.figures import long, metric_rows
from tests.jobs.evaluation.silver import put

AS_OF = date(2020, 9, 23)
CUSTOMER_ROWS = [
    {"customer_id": "a", "customer_key": 0, "age": 25, "club_member_status": "ACTIVE"},
    {"customer_id": "b", "customer_key": 1, "age": 34, "club_member_status": "ACTIVE"},
    {"customer_id": "c", "customer_key": 2},
    {"customer_id": "d", "customer_key": 3, "age": 71, "club_member_status": "LEFT CLUB"},
]
ARTICLE_ROWS = [
    {"article_id": name, "article_key": key, "department_name": department, "product_group_name": group}
    for key, (name, department, group) in enumerate(
        [("x", "Knitwear", "Upper"), ("y", "Knitwear", "Lower"), ("z", "Shoes", "Shoes"), ("w", "Shoes", "Shoes")]
    )
]
#: Month, day, customer, article, price, channel. The last week is 16 to 22 September.
LINES = [
    (6, 1, "a", "x", 10.0, 1),  # then 101 days without a purchase: churned on 30 August
    (9, 10, "a", "x", 8.0, 2),
    (9, 16, "a", "x", 8.0, 2),  # the week's first day; in both channels
    (9, 16, "a", "y", 4.0, 1),
    (9, 22, "a", "y", 2.0, 1),  # its last
    (9, 15, "b", "y", 4.0, 1),
    (9, 16, "b", "z", 6.0, 2),
    (9, 17, "c", "z", 6.0, 2),  # two units
    (9, 17, "c", "z", 6.0, 2),
    (5, 1, "d", "w", 5.0, 1),  # churned on 30 July
    (9, 9, "d", "w", 2.5, 1),
]
FUTURE = [(9, 23, "b", "w", 99.0, 1), (9, 24, "d", "x", 99.0, 1), (9, 30, "a", "z", 99.0, 2)]
PICKS = [("a", 1, "x", 0), ("a", 2, "y", 0), ("b", 1, "z", 0), ("b", 2, "w", 0), ("c", 1, "x", 1), ("d", 1, "w", 1)]
#: As of the week before, as of the run's date, and later.
VISITOR_ROWS = [
    {"as_of_date": AS_OF + timedelta(weeks=weeks), "visitor_id": f"v{n}", "region": region, "age_group": group}
    for n, (weeks, region, group) in enumerate(
        [(-1, "Old", "teen"), (0, "North", "senior"), (0, "South", None), (0, "South", "child"), (1, "New", "teen")]
    )
]


def put_lines(root: Path, lines: list[tuple[int, int, str, str, float, int]]) -> None:
    customer = {row["customer_id"]: row["customer_key"] for row in CUSTOMER_ROWS}
    article = {row["article_id"]: row["article_key"] for row in ARTICLE_ROWS}
    rows = [
        {"t_dat": date(2020, month, day), "customer_id": c, "customer_key": customer[c], "article_id": a,
         "article_key": article[a], "price": price, "sales_channel_id": channel}
        for month, day, c, a, price, channel in lines
    ]  # fmt: skip
    put(root, TRANSACTIONS, rows, accept_drift=True)


def publish(root: Path, as_of_date: date = AS_OF) -> str:
    settings = Settings(as_of_date=as_of_date, warehouse=str(root), run_id="r")
    return business_metrics.main(Job("reports.business_metrics", settings, READS + READS_EARLIER_RUNS, WRITES))


def table(root: Path, contract: Contract) -> pa.Table:
    rows = Warehouse(str(root), {}).read_arrow(contract)
    return rows.sort_by([(column, "ascending") for column in contract.key])


def figures(root: Path, as_of_date: date = AS_OF) -> dict[tuple[str, str], dict[str, float]]:
    """(segment type, segment) -> metric -> value."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    for row in table(root, BUSINESS_METRICS).to_pylist():
        if row["as_of_date"] == as_of_date:
            found.setdefault((row["segment_type"], row["segment"]), {})[row["metric"]] = row["value"]
    return found


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, interpreted: SparkSession) -> Path:
    root = tmp_path_factory.mktemp("warehouse")
    put(root, CUSTOMERS, CUSTOMER_ROWS)
    put(root, ARTICLES, ARTICLE_ROWS)
    put_lines(root, LINES)
    picks = [
        {"as_of_date": date(2020, 9, 16), "customer_id": c, "rank": rank, "article_id": a, "bucket": bucket}
        for c, rank, a, bucket in PICKS
    ]
    put(root, RECOMMENDATIONS, picks)
    put(root, VISITORS, VISITOR_ROWS)
    shown = {"as_of_date": AS_OF, "week_start_date": AS_OF - timedelta(weeks=1), "is_complete": False}
    every = {"list": "recommendations", "source": "all", "model_version": "all", "position": -1}
    clicks = [
        {"bucket": bucket, "visitors": 4, "impressions": 8, "clicks": count, "carts": 0, "purchases": 0,
         "click_through_rate": count / 8,
         "click_through_rate_ci_low": 0.0, "click_through_rate_ci_high": 1.0}
        for bucket, count in ((-1, 2), (1, 1))
    ]  # fmt: skip
    performance = [shown | every | row for row in clicks]
    put(
        root,
        RECOMMENDATION_PERFORMANCE,
        [*performance, performance[0] | {"list": "popular", "click_through_rate": 1.0}],
    )
    assert publish(root).endswith("figures of 21 weeks until 2020-09-23, 4 customers in segments; all lines read")
    return root


def approx(**values: float) -> dict[str, object]:
    return {name: pytest.approx(value) for name, value in values.items()}


def test_the_last_week_by_hand(shop: Path) -> None:
    found = figures(shop)["all", "all"]
    expected = approx(
        active_customers=3, new_customers=1, returning_customers=2, retention_7d=2 / 3, known_customers=4,
        repeat_purchase_rate=3 / 4, churned_customers=0, churn_rate_90d=0, won_back_customers=0, baskets=4, units=6,
        revenue=32, units_per_basket=1.5, revenue_per_basket=8, baskets_per_customer=4 / 3, units_per_customer=2,
        revenue_per_customer=32 / 3, average_price=32 / 6, discount_depth=1 - 32 / 36, articles_sold=3,
        catalogue_coverage=3 / 4, new_articles=1, new_article_unit_share=5 / 6, published_customers=4,
        realised_hit_rate=2 / 3, conversion=1 / 2, recommended_units=4, recommended_revenue=20,
        recommended_revenue_share=20 / 32, click_through_rate=2 / 8,
    )  # fmt: skip
    assert found == expected


def test_segments_of_the_last_week_by_hand(shop: Path) -> None:
    found = figures(shop)
    assert found["age_band", "20-29"]["revenue"] == 14 and found["age_band", "unknown"]["units"] == 2
    assert found["age_band", "70 and over"]["active_customers"] == 0
    assert (found["club_status", "active"]["active_customers"], found["club_status", "active"]["baskets"]) == (2, 3)
    assert (found["lifecycle", "new"]["revenue"], found["lifecycle", "returning"]["baskets"]) == (12, 3)
    assert found["channel", "store"] == approx(
        active_customers=1, units=2, revenue=6, average_price=3, unit_share=2 / 6, revenue_share=6 / 32
    )
    assert found["channel", "online"]["active_customers"] == 3
    assert found["department", "Shoes"] == approx(
        active_customers=2, units=3, revenue=18, average_price=6, revenue_share=18 / 32, discount_depth=0,
        articles_sold=1, new_articles=1, new_article_unit_share=1,
    )  # fmt: skip
    assert found["bucket", "1"]["click_through_rate"] == 1 / 8
    assert found["bucket", "0"]["conversion"] == 1 and found["bucket", "1"]["realised_hit_rate"] == 0
    low, high = next(
        (row["ci_low"], row["ci_high"])
        for row in table(shop, BUSINESS_METRICS).to_pylist()
        if (row["metric"], row["segment_type"], row["as_of_date"]) == ("conversion", "all", AS_OF)
    )
    assert (low, high) == (pytest.approx(0.15, abs=1e-3), pytest.approx(0.85, abs=1e-3))  # Wilson's, 2 of 4


def test_weeks_before_by_hand(shop: Path) -> None:
    """As they ended: who churned, came back, and how new articles sold."""
    ends = [AS_OF - timedelta(weeks=week) for week in (1, 3, 13)]
    one, three, thirteen = (figures(shop, end)["all", "all"] for end in ends)
    assert (one["active_customers"], one["won_back_customers"], one["new_customers"]) == (3, 2, 1)
    assert (three["churned_customers"], three["churn_rate_90d"], three["active_customers"]) == (1, 1, 0)
    assert thirteen["new_article_sell_through_4w"] == 0 and thirteen["new_article_units_4w"] == 1
    assert figures(shop, ends[1])["cohort", "2020-06"] == {"retention_30d_1": 0}
    changes = {
        row["metric"]: row["change"]
        for row in table(shop, BUSINESS_METRICS).to_pylist()
        if (row["as_of_date"], row["segment_type"]) == (AS_OF, "all")
    }
    assert (changes["revenue"], changes["baskets"], changes["conversion"]) == (32 - 14.5, 1, None)


def test_customer_segments_by_hand(shop: Path) -> None:
    columns = ("customer_id", "recency_days", "basket_count", "revenue", "r_score", "f_score", "m_score", "segment")
    assert [tuple(row[c] for c in columns) for row in table(shop, CUSTOMER_SEGMENTS).to_pylist()] == [
        ("a", 1, 4, 32.0, 5, 3, 5, "promising"),
        ("b", 7, 2, 10.0, 5, 2, 3, "promising"),
        ("c", 6, 1, 12.0, 5, 1, 3, "new"),
        ("d", 14, 2, 7.5, 5, 2, 2, "promising"),
    ]


def test_what_pictures_are_drawn_from(shop: Path) -> None:
    rows = table(shop, DESCRIPTIVE_STATISTICS).to_pylist()
    found = {(row["picture"], row["series"], row["label"]): row["value"] for row in rows}
    assert found["age", "customers", "25"] == 1
    assert found["daily_sales", "revenue", "2020-09-16"] == 18
    assert found["weekday", "online", "Thu"] == 3  # 10 and 17 September
    assert found["purchases", "customers", "4"] == 1
    assert found["product_group", "units", "Shoes"] == 5
    assert found["sold_together", "Upper", "Lower"] == 1 / 2  # of the baskets of 10 and 16 September one
    assert found["missing_values", "customers", "age"] == 1 / 4
    visitors = {key[::2]: value for key, value in found.items() if key[1] == "visitors"}
    regions = {("region", "South"): 2, ("region", "North"): 1}
    assert visitors == regions | {("age_group", "child"): 1, ("age_group", "senior"): 1}
    assert sum(value for key, value in found.items() if key[0] == "price") == len(LINES)
    assert found["lifetime", "articles", "17"] == 1  # x: from 1 June to 16 September


def test_the_future_changes_nothing(shop: Path) -> None:
    before = {contract: table(shop, contract) for contract in WRITES}
    put_lines(shop, LINES + FUTURE)
    publish(shop)
    assert all(table(shop, contract).equals(before[contract]) for contract in WRITES)


def test_a_week_is_added_to_those_that_are_there(shop: Path) -> None:
    """The next run makes its own slice alone, and one that the table lost; changes are to what the table has."""
    following = AS_OF + timedelta(weeks=1)
    settings = Settings(as_of_date=following, warehouse=str(shop))
    job = Job("reports.business_metrics", settings, READS + READS_EARLIER_RUNS, WRITES)
    assert business_metrics.missing_weeks(job, 20) == [0]
    assert business_metrics.missing_weeks(job, 22) == [0, 22]
    earlier = business_metrics.earlier_values(job, [0])
    assert set(earlier["as_of_date"]) == {AS_OF}
    wide = pl.DataFrame({"weeks_ago": [0, 1], "segment": ["all"] * 2, "revenue": [198.0, 50.0], "n": [2, 1]})
    computed = long(wide, "all", {"revenue": pl.col("revenue")}, pl.col("n"))
    (row,) = metric_rows(computed, earlier, following, "r", [0]).to_dicts()
    assert (row["as_of_date"], row["value"], row["change"], row["change_52w"]) == (following, 198, 198 - 32, None)


def test_no_purchase_before_the_date_is_an_error(shop: Path) -> None:
    with pytest.raises(JobError, match="no purchase before 2020-04-29; give a later as-of date"):
        publish(shop, date(2020, 4, 29))


def random_lines(seed: int = 3) -> list[dict]:
    """Purchases of 13 months by 30 customers, some of whom stay away for long, of articles that come and go."""
    random = np.random.default_rng(seed)
    rows = []
    for customer in range(30):
        for day in random.integers(1, random.integers(30, 400), random.integers(1, 25)):
            article = int(random.integers(0, 4) + day // 40)
            price, channel = float(random.choice([1.0, 2.5, 4.0])), int(random.integers(1, 3))
            rows.append(
                {"t_dat": AS_OF - timedelta(int(day)), "customer_id": f"c{customer:02d}", "customer_key": customer,
                 "article_id": f"a{article:02d}", "article_key": article, "price": price, "sales_channel_id": channel}
            )  # fmt: skip
    return rows


def without_run(root: Path) -> list[list[dict]]:
    """All rows as of the date; floats to nine digits, since sums differ by the order that they are added in."""
    return [
        [{k: round(v, 9) if isinstance(v, float) else v for k, v in row.items() if k != "run_id"} for row in rows]
        for rows in (table(root, contract).to_pylist() for contract in WRITES)
    ]


def test_a_week_reads_half_a_year_and_finds_what_all_lines_say(tmp_path: Path, interpreted: SparkSession) -> None:
    lines = random_lines()
    put(tmp_path, CUSTOMERS, [{"customer_id": f"c{n:02d}", "customer_key": n, "age": 20 + n} for n in range(30)])
    articles = [{"article_id": f"a{n:02d}", "article_key": n, "department_name": f"D{n % 3}"} for n in range(14)]
    put(tmp_path, ARTICLES, articles)
    put(tmp_path, TRANSACTIONS, lines)
    week_before = AS_OF - timedelta(weeks=1)
    assert publish(tmp_path, week_before).endswith("all lines read")
    assert publish(tmp_path).endswith("lines since 2020-03-18 read")
    found = without_run(tmp_path)
    assert {row["metric"] for row in found[0]} >= {"churn_brier", "retention_30d_4", "won_back_customers"}

    folders = [folder.name[:10] for folder in sorted((tmp_path / "work" / "business_metrics").iterdir())]
    assert folders == ["2020-03-18", "2020-03-25"]  # the second run's is for the third
    settings = Settings(as_of_date=week_before, warehouse=str(tmp_path))
    job = Job("reports.business_metrics", settings, READS + READS_EARLIER_RUNS, WRITES)
    used = history.newest(job)
    assert used is not None and used.since == date(2020, 3, 18), "no later one: it knows what was still to come"
    kept = shutil.copytree(tmp_path / "silver" / "customers", tmp_path / "kept")
    shutil.rmtree(tmp_path / "silver" / "customers")
    put(tmp_path, CUSTOMERS, [{"customer_id": f"c{n:02d}", "customer_key": 29 - n, "age": 20 + n} for n in range(30)])
    anew = Job("reports.business_metrics", settings, READS + READS_EARLIER_RUNS, WRITES)
    assert history.newest(anew) is None, "customers may have other keys in a table that was made anew"
    shutil.rmtree(tmp_path / "silver" / "customers")
    shutil.copytree(kept, tmp_path / "silver" / "customers")
    assert history.newest(job) is not None
    shutil.rmtree(Path(used.files[0][1].uri).parent)
    assert history.newest(job) is None
    shutil.rmtree(tmp_path / "work" / "business_metrics")
    assert publish(tmp_path).endswith("all lines read")
    assert without_run(tmp_path) == found

    put(tmp_path, TRANSACTIONS, [*lines, lines[0] | {"t_dat": date(2019, 12, 1)}], accept_drift=True)
    following = Settings(as_of_date=AS_OF + timedelta(weeks=1), warehouse=str(tmp_path))
    later = Job("reports.business_metrics", following, READS + READS_EARLIER_RUNS, WRITES)
    assert history.newest(later) is None, "an older line has come, of which it knows nothing"
