"""From a log to what became of what the shop showed, through the real jobs."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from pyspark.sql import SparkSession

from expectations.contract import Contract
from expectations.events import EVENTS
from expectations.performance import EVERY, EVERY_NUMBER, RECOMMENDATION_PERFORMANCE, UNKNOWN
from expectations.recommendations import RECOMMENDATIONS
from jobs.metrics.rates import Moments, compare, wilson
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.schemas import arrow_schema
from jobs.platform.settings import Settings
from jobs.platform.warehouse import Warehouse
from jobs.publish.recommendations import bucket
from jobs.reports import ab_test, recommendation_performance
from tests.jobs.ingest.events.shop_log import event, take_in, write_log

AS_OF = date(2020, 9, 23)
SHOWN = {"list": "home", "position": 0, "source": "als", "model_version": "7", "bucket": 3}


def shown(time: str, article: str = "a1", visitor: str | None = "v1", **more: Any) -> dict[str, Any]:
    return event(time, "impression", article, visitor, **(SHOWN | more))


LOG = [
    shown("2020-09-16T10:00:00Z"),
    shown("2020-09-16T11:00:00Z"),  # the later one counts
    event("2020-09-16T11:01:00Z", "view", "a1"),
    event("2020-09-16T11:02:00Z", "click", "a1"),  # counts once
    event("2020-09-16T11:03:00Z", "click", "a2"),  # not shown
    event("2020-09-16T09:00:00Z", "cart", "a1"),  # before it was shown
    event("2020-09-16T11:03:00Z", "cart", "a1", "v2"),  # somebody else
    shown("2020-09-17T10:00:00Z", "a3", "phone", customer_id="c1", position=4, bucket=8),
    event("2020-09-19T10:00:00Z", "purchase", "a3", "laptop", customer_id="c1"),  # on another device
    shown("2020-09-10T10:00:00Z", "a4", "v4"),  # of the week before
    event("2020-09-17T09:59:00Z", "cart", "a4", "v4"),  # within seven days
    event("2020-09-17T10:00:01Z", "purchase", "a4", "v4"),  # and not
    shown("2020-09-18T10:00:00Z", "a5", "v5", list="recommendations", source=None, model_version=None, bucket=None),
    event("2020-09-18T10:00:00Z", "impression", "a6", "v6", customer_id="c2", list="recommendations"),
    event("2020-09-18T10:00:00Z", "impression", "a7", "v6", customer_id="c2"),  # in no list
    shown("2020-09-22T23:59:59Z", "a8", "v8"),
]
FUTURE = [event("2020-09-23T00:00:00Z", "click", "a8", "v8"), shown("2020-09-23T00:00:00Z", "a8", "v9")]


def job_of(module: Any, warehouse: Path, **settings: Any) -> Job:
    fields = {"as_of_date": AS_OF, "warehouse": str(warehouse), **settings}
    name = module.__name__.removeprefix("jobs.")
    return Job(name, Settings(**fields), (*module.READS, *module.READS_EARLIER_RUNS), module.WRITES)


def table(warehouse: Path, contract: Contract) -> pl.DataFrame:
    return pl.DataFrame(Warehouse(str(warehouse), {}).read_arrow(contract))


@pytest.fixture(scope="module")
def measured(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse with the log, c2's recommendations of the week, and the figures."""
    data = tmp_path_factory.mktemp("performance")
    write_log(data, "log.jsonl", LOG + FUTURE)
    take_in(spark, data, as_of_date=date(2020, 9, 30))
    warehouse = data / "warehouse"
    pick = {
        "as_of_date": date(2020, 9, 16), "week_start_date": date(2020, 9, 16), "customer_id": "c2", "rank": 1,
        "article_id": "a6", "score": 1.0, "source": "repurchase", "is_fallback": False, "reason": "r",
        "model_version": "9", "run_id": "r", "bucket": bucket("c2"),
    }  # fmt: skip
    older = pick | {"as_of_date": date(2020, 9, 9), "source": "older", "model_version": "8"}
    write_unchecked(warehouse, RECOMMENDATIONS, pa.Table.from_pylist([pick, older], arrow_schema(RECOMMENDATIONS)))
    recommendation_performance.main(job_of(recommendation_performance, warehouse))
    return warehouse


def write_unchecked(warehouse: Path, contract: Contract, rows: pa.Table) -> None:
    """As the table's own job would, without the catalogue that its gates look at."""
    write_deltalake(str(warehouse / contract.path), rows, partition_by=list(contract.partition_by))


def row(warehouse: Path, **wanted: Any) -> dict[str, Any]:
    """The one row that is so; what is not said is not told apart."""
    every = {"source": EVERY, "model_version": EVERY, "bucket": EVERY_NUMBER, "position": EVERY_NUMBER}
    found = table(warehouse, RECOMMENDATION_PERFORMANCE).filter(
        pl.col(name) == value for name, value in (every | {"week_start_date": date(2020, 9, 16)} | wanted).items()
    )
    (only,) = found.to_dicts()
    return only


def counts(found: dict[str, Any]) -> tuple[int, ...]:
    return tuple(found[name] for name in ("visitors", "impressions", "clicks", "carts", "purchases"))


def test_an_act_counts_for_the_last_impression_before_it(measured: Path) -> None:
    home = row(measured, list="home")
    assert counts(home) == (3, 4, 1, 0, 1)
    assert home["click_through_rate"] == 0.25 and not home["is_complete"]
    assert (home["click_through_rate_ci_low"], home["click_through_rate_ci_high"]) == pytest.approx(wilson(1, 4))


def test_the_week_before_is_complete_now(measured: Path) -> None:
    """Its carts of this week count as far as seven days reach, to the second."""
    before = row(measured, list="home", week_start_date=date(2020, 9, 9))
    assert counts(before) == (1, 1, 0, 1, 0) and before["is_complete"]


def test_rows_by_source_bucket_and_position(measured: Path) -> None:
    assert counts(row(measured, list="home", source="als", model_version="7")) == (3, 4, 1, 0, 1)
    assert counts(row(measured, list="home", bucket=8)) == (1, 1, 0, 0, 1)
    assert counts(row(measured, list="home", position=4)) == (1, 1, 0, 0, 1)


def test_what_the_event_does_not_say_the_recommendations_of_the_week_do(measured: Path) -> None:
    assert counts(row(measured, list="recommendations", source="repurchase", model_version="9"))[:2] == (1, 1)
    assert counts(row(measured, list="recommendations", source=UNKNOWN, model_version=UNKNOWN))[:2] == (1, 1)
    assert counts(row(measured, list="recommendations", bucket=bucket("c2")))[:2] == (1, 1)
    assert counts(row(measured, list="recommendations", bucket=bucket("v5")))[:2] == (1, 1)


def test_nothing_from_the_date_on_counts(measured: Path, spark: SparkSession, tmp_path: Path) -> None:
    """The same rows from a log that ends before the date."""
    write_log(tmp_path, "log.jsonl", LOG)
    take_in(spark, tmp_path, as_of_date=date(2020, 9, 30))
    warehouse = tmp_path / "warehouse"
    picks = Warehouse(str(measured), {}).read_arrow(RECOMMENDATIONS).cast(arrow_schema(RECOMMENDATIONS))
    write_unchecked(warehouse, RECOMMENDATIONS, picks)
    recommendation_performance.main(job_of(recommendation_performance, warehouse))
    key = list(RECOMMENDATION_PERFORMANCE.key)
    ours, theirs = (table(where, RECOMMENDATION_PERFORMANCE).sort(key) for where in (measured, warehouse))
    assert ours.equals(theirs) and len(ours)


def test_without_a_log_nothing_is_measured(tmp_path: Path) -> None:
    said = recommendation_performance.main(job_of(recommendation_performance, tmp_path))
    assert said == f"no {EVENTS.path}: nothing is known of what the shop showed"
    with pytest.raises(JobError, match=r"silver/events: no such table; run ingest.shop_events first"):
        ab_test.main(job_of(ab_test, tmp_path))


def test_two_arms_are_compared_by_visitor(measured: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arms = {"arm_a": "list=home,bucket=0-5", "arm_b": "list=recommendations"}
    said = ab_test.main(job_of(ab_test, measured, **arms))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("A  list=home,bucket=0-5: click after 1 of 3 impressions to 2 visitors, 33.333%")
    assert lines[1].startswith("B  list=recommendations: click after 0 of 2 impressions to 2 visitors, 0.000%")
    assert lines[2].startswith("B - A: -33.333%") and lines[2].endswith("), too few for a test")
    assert said.startswith("too few to say; 80% sure to find one as large: ")


@pytest.mark.parametrize(
    ("clicks", "says"),
    [
        ((200, 300), "a difference; 80% sure to find one as large: 291 visitors an arm"),
        ((200, 201), "no difference that could not be chance; 80% sure to find one as large: "),
        ((200, 200), "no difference that could not be chance; 80% sure to find one as large: no difference to find"),
        ((0, 9), "too few to say; 80% sure to find one as large: "),
    ],
)
def test_what_a_comparison_comes_to(clicks: tuple[int, int], says: str) -> None:
    """Of a thousand visitors in each arm, with one impression each, so many click."""
    assert ab_test.conclusion(compare(*(Moments(1000, 1000, x, 1000, x, x) for x in clicks))).startswith(says)


@pytest.mark.parametrize(
    ("arm", "says"),
    [
        ("colour=red", "arm_b: 'colour=red' is not column=value with one of list, source"),
        ("bucket=few", "arm_b: 'bucket=few' is no number and no range such as 0-49"),
        ("list=nowhere", "list=recommendations and list=nowhere: 2 and 0 visitors"),
    ],
)
def test_arms_that_mean_nothing(measured: Path, arm: str, says: str) -> None:
    with pytest.raises(JobError, match=says):
        ab_test.main(job_of(ab_test, measured, arm_b=arm))
