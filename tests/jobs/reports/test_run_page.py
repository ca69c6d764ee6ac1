"""The page of a run: it needs nothing but itself, names no customer, and folds small groups."""

from __future__ import annotations

import re
from datetime import date, timedelta
from pathlib import Path

import mlflow
import polars as pl
import pytest
from PIL import Image

from expectations.articles import ARTICLES
from expectations.business import BUSINESS_METRICS, CUSTOMER_SEGMENTS, DESCRIPTIVE_STATISTICS
from expectations.customers import CUSTOMERS
from expectations.evaluation import MODEL_DECISIONS, REALISED_PERFORMANCE
from expectations.performance import RECOMMENDATION_PERFORMANCE
from expectations.recommendations import RECOMMENDATIONS
from expectations.transactions import QUARANTINE, TRANSACTIONS
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.settings import Settings
from jobs.platform.tracking import start_run
from jobs.reports import page_data, run_page
from jobs.reports.page_data import by_chance, stability
from jobs.reports.pictures import folded_tail
from jobs.reports.segment_tables import folded, segment_table
from tests.jobs.evaluation.silver import put

AS_OF = date(2020, 9, 23)
WHO = "5e11e77e"


def job_of(root: Path, as_of_date: date = AS_OF) -> Job:
    settings = Settings(as_of_date=as_of_date, warehouse=str(root), data=str(root), run_id="r1")
    return Job("reports.run_page", settings, run_page.READS, run_page.WRITES)


def figure(kind: str, segment: str, metric: str, value: float, customers: int | None, ago: int = 0) -> dict:
    day = AS_OF - timedelta(weeks=ago)
    return {
        "as_of_date": day, "week_start_date": day - timedelta(7), "segment_type": kind, "segment": segment,
        "metric": metric, "value": value, "customer_count": customers, "change": 10.0 if not ago else None,
    }  # fmt: skip


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("warehouse")
    put(root, CUSTOMERS, [{"customer_id": f"{WHO}{n}", "customer_key": n} for n in range(12)])
    put(root, ARTICLES, [{"article_id": f"a{n:02d}", "article_key": n, "prod_name": f"<Shirt> {n}"} for n in range(3)])
    line = {"t_dat": date(2020, 9, 20), "customer_id": f"{WHO}0", "customer_key": 0, "article_id": "a00"}
    put(root, TRANSACTIONS, [line | {"article_key": 0}])
    picks = [
        {"as_of_date": AS_OF, "customer_id": f"{WHO}{n}", "rank": rank, "article_id": f"a{rank:02d}"}
        for n in range(12) for rank in (1, 2)
    ]  # fmt: skip
    put(root, RECOMMENDATIONS, picks)
    rows = [figure("all", "all", "revenue", 110.0, 40, ago) for ago in range(3)]
    rows += [figure("age_band", band, "active_customers", n, int(n)) for band, n in (("20-29", 25.0), ("30-39", 9.0))]
    rows += [figure("age_band", band, "active_customers", 3.0, 3) for band in ("60-69", "unknown")]
    rows += [
        figure("channel", name, "units", n, 20, ago) for ago in (0, 1) for name, n in (("store", 5), ("online", 9))
    ]
    rows += [figure("all", "all", "conversion", 0.25, 40) | {"ci_low": 0.2, "ci_high": 0.3}]
    churn = [("all", "all", 0.4, 0.3, 60), ("recency_band", "up to 14 days", 0.25, 0.2, 30)]
    churn += [("recency_band", "up to 7 days", 0.3, 0.4, 30), ("recency_band", "over 365 days", 0.9, 0.8, 9)]
    for kind, segment, predicted, observed, count in churn:
        values = {"churn_probability": predicted, "churn_realised": observed, "churn_brier": 0.15}
        rows += [figure(kind, segment, metric, value, count) for metric, value in values.items()]
    rows += [figure("cohort", "2020-06", f"retention_30d_{n}", 0.3 / n, 15) for n in (1, 2)]
    future = [figure("all", "all", "revenue", 987654.0, 40, -1)]
    put(root, BUSINESS_METRICS, rows + future)
    segment = {"as_of_date": AS_OF, "basket_count": 1, "segment": "lost"}
    put(root, CUSTOMER_SEGMENTS, [segment | {"customer_id": f"{WHO}{n}"} for n in range(12)])
    points = [
        ("daily_sales", "units", n, (date(2020, 8, 1) + timedelta(n)).isoformat(), 5.0 + n % 7) for n in range(53)
    ]
    points += [("age", "customers", 25, "25", 12.0), ("price", "units", 0, "0.01", 9.0)]
    points += [("weekday", "store", 0, "Mon", 3.0), ("missing_values", "articles", 0, "detail_desc", 0.1)]
    points += [("sold_together", one, n, other, 0.5) for one in "ab" for n, other in enumerate("ab")]
    points += [(name, "units", 0, "Trousers & more", 9.0) for name in ("product_type", "product_group", "colour_group")]
    points += [("purchases", "customers", 1, "1", 12.0), ("lifetime", "articles", 3, "3", 9.0)]
    points += [("region", "visitors", n, f"Region {n}", 20.0 - 6 * n) for n in range(4)]
    names = ("picture", "series", "position", "label", "value")
    put(root, DESCRIPTIVE_STATISTICS, [{"as_of_date": AS_OF} | dict(zip(names, p, strict=True)) for p in points])
    verdict = {"as_of_date": AS_OF, "model_version": "7", "is_promoted": True, "reason": "beats <all>"}
    put(root, MODEL_DECISIONS, [verdict, verdict | {"as_of_date": AS_OF + timedelta(7), "reason": "of the future"}])
    realised = {"as_of_date": AS_OF, "system": "published", "slice": "all", "metric": "map", "k": 12, "value": 0.02}
    put(root, REALISED_PERFORMANCE, [realised | {"fold": "2020-09-16", "ci_low": 0.01, "ci_high": 0.03}])
    lists = [("for you", -1, 40, 100, 25), ("alike", -1, 9, 50, 5), ("for you", 7, 12, 20, 8), ("for you", 8, 9, 20, 1)]
    shown = [
        {"as_of_date": AS_OF + timedelta(weeks=ahead), "week_start_date": AS_OF - timedelta(7), "list": name,
         "source": "all", "model_version": "all", "bucket": bucket, "position": -1, "visitors": visitors,
         "impressions": times, "clicks": clicks + ahead, "carts": 2, "purchases": 1, "is_complete": False,
         "click_through_rate": (clicks + ahead) / times, "click_through_rate_ci_low": 0.1}
        for ahead in (0, 1) for name, bucket, visitors, times, clicks in lists
    ]  # fmt: skip
    put(root, RECOMMENDATION_PERFORMANCE, shown)
    put(root, QUARANTINE, [{"table_name": "transactions", "reason": "no price", "source_line": n} for n in (2, 5)])
    (root / "images" / "a01").mkdir(parents=True)
    Image.new("RGB", (300, 400), (200, 30, 30)).save(root / "images" / "a01" / "a01.jpg")
    return root


@pytest.fixture(scope="module")
def page(warehouse: Path) -> str:
    with start_run(job_of(warehouse).settings, "embeddings.images"):
        mlflow.log_image(Image.new("RGB", (300, 200), (30, 90, 30)), "catalogue_encoder/map.png")
    said = run_page.main(job_of(warehouse))
    assert said.startswith(f"{warehouse}/reports/2020-09-23/index.html (0.")
    return (warehouse / "reports" / "2020-09-23" / "index.html").read_text(encoding="utf-8")


def test_it_needs_nothing_but_itself(page: str) -> None:
    assert re.findall(r'(?:src|href)="(?!data:|#|\.\./\.\./data_docs/)[^"]*"', page) == []
    assert "@import" not in page and "url(#" in page.replace("url(http", "")
    assert "<script" not in page and re.findall(r"url\((?!#)", page) == []
    assert len(page.encode()) < 3 * 2**20


def test_it_tells_the_figures_and_nothing_of_the_future(page: str) -> None:
    text = re.sub(r"<[^>]+>", " ", page)
    for words in ("+10.0% on last week", "beats &lt;all&gt;", "no price", "lost", "newest purchase is of 2020-09-22"):
        assert words in text, words
    assert "987" not in text and "of the future" not in text
    assert "units by channel" in text and "0.000" in text  # drift: the same shares a week before


def test_churn_is_told_beside_what_happened(page: str) -> None:
    text = re.sub(r"<[^>]+>", " ", page)
    assert "predicted 40.0%, observed 30.0%; mean squared error 0.150, where" in text and "would have 0.210" in text
    assert text.index("up to 7 days") < text.index("up to 14 days") and "over 365 days" not in text
    assert "Calibration" in text


def test_clicks_are_told_by_list_and_bucket(page: str) -> None:
    """As this run found them: the next one counts one click more. Under ten visitors nothing is told."""
    text = re.sub(r"<[^>]+>", " ", page)
    assert "for you  40  100  25.00%  10.00% to 50.00%" in text and "alike" not in text
    assert "Clicked by A/B bucket: 40.00% to 40.00% over 1 buckets" in text and "26.00%" not in text


def test_no_customer_is_named_and_small_groups_are_folded(page: str) -> None:
    assert WHO not in page
    assert page.count('class="person"') == 3  # one has bought, and two of those who have not
    assert "60-69" not in page and "30-39" not in page
    assert "Region 1" in page and "2 others" in page and "Region 2" not in page  # 8 and 2 visitors
    assert re.search(r"3 others</td><td[^>]*>15<", page)
    assert page.count("data:image/jpeg;base64,") == 3 + 1  # a01 is everybody's first pick; and the map


def test_the_map_and_run_times_come_from_mlflow(page: str, warehouse: Path) -> None:
    assert '<img alt="Articles by their pictures (t-SNE)"' in page and ">embeddings.images<" in page
    told = [("ingest.articles", "01:00:00", "01:09:00"), ("ingest.articles", "02:00:00", "02:00:07")]
    told += [("ingest.articles", "02:00:00", "02:00:04"), ("an.older.record", "", "02:00:00")]
    records = [
        {"job": name, "started": start and f"2020-09-23T{start}+00:00", "time": f"2020-09-23T{end}+00:00"}
        for name, start, end in told
    ]
    times = page_data.run_times(job_of(warehouse), records)
    assert times[0] == ("ingest.articles", 7) and [name for name, _ in times[1:]][:1] == ["embeddings.images"]


def test_mlflow_and_the_list_of_pages_have_it(page: str, warehouse: Path) -> None:
    (found,) = mlflow.search_runs(filter_string="tags.job = 'reports.run_page'", search_all_experiments=True)["run_id"]
    assert [file.path for file in mlflow.MlflowClient().list_artifacts(found)] == ["run.html"]
    assert 'href="2020-09-23/index.html"' in (warehouse / "reports" / "index.html").read_text()


def test_a_week_without_metrics_is_an_error(warehouse: Path) -> None:
    with pytest.raises(JobError, match="nothing as of 2020-09-02; run reports"):
        run_page.page(job_of(warehouse, date(2020, 9, 2)))


def test_folding_by_hand() -> None:
    """A group of its own has ten customers; what is left over is joined by the smallest that has."""
    rows = [{"active_customers": n, "units": n, "revenue": 2.0 * n, "baskets": n} for n in (30, 12, 6, 3)]
    names, shown = folded(rows, ["a", "b", "c", "d"])
    assert names == ["a", "3 others"] and shown[1]["active_customers"] == 21
    assert folded(rows[:2], ["a", "b"]) == (["a", "b"], rows[:2])
    assert folded_tail([(1, 50), (2, 20), (3, 4), (4, 11)]) == [("1", 50), ("2", 20), ("3+", 15)]
    assert folded_tail([(1, 50), (2, 20), (3, 4)]) == [("1", 50), ("2+", 24)]


def test_age_bands_stand_in_order_of_age() -> None:
    sizes = {"60-69": 40, "under 20": 20, "unknown": 30, "20-29": 10, "70 and over": 6, "30-39": 5}
    rows = [figure("age_band", band, "active_customers", float(n), n) for band, n in sizes.items()]
    table = segment_table(pl.DataFrame(rows), "age_band")
    assert re.findall(r"<tr><td>(.*?)</td>", table) == ["under 20", "20-29", "60-69", "unknown", "2 others"]


def test_drift_by_hand() -> None:
    assert by_chance({"a": 5, "b": 5}, {"a": 9, "c": 11}) == pytest.approx(2 * (1 / 10 + 1 / 20))
    assert stability({"a": 5, "b": 5}, {"a": 1, "b": 1}) == 0
    assert stability({"a": 5, "b": 5}, {"a": 9, "b": 1}) == pytest.approx(
        0.4 * pl.Series([1.8]).log()[0] - 0.4 * pl.Series([0.2]).log()[0]
    )
