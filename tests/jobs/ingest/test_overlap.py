"""Deliveries that would count twice, small enough to count by hand."""

from __future__ import annotations

import logging
from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from expectations.operations import DELIVERIES
from expectations.transactions import QUARANTINE, TRANSACTIONS
from jobs.ingest import transactions
from jobs.ingest.mapping import BUILT_IN
from jobs.ingest.overlap import OTHERS, Overlap, Span, meeting, overlaps, refuse_doubled, warn_of_odd_names
from jobs.platform.errors import JobError
from tests.jobs.ingest.retail import (
    A1,
    A2,
    A3,
    C1,
    C2,
    C3,
    TRANSACTIONS_HEADER,
    job,
    publish_parents,
    purchase,
    rows_of,
    version_of,
    write,
)


def bought(*days: int, articles: tuple[str, ...] = (A1, A2), price: str = "0.05") -> list[str]:
    """Two customers' purchases of these days of September, an article each."""
    pairs = list(zip((C1, C2), articles, strict=True))
    return [purchase(f"2020-09-{day:02}", customer, article, price) for day in days for customer, article in pairs]


def deliver(data: Path, name: str, lines: list[str]) -> None:
    write(data / f"transactions_{name}.csv", TRANSACTIONS_HEADER, lines)


def take_in(spark: SparkSession, data: Path, **settings: object) -> str:
    return transactions.main(job(transactions, spark, data, **settings))


def units(data: Path) -> list[tuple]:
    return rows_of(data, TRANSACTIONS, "source_file", "t_dat")


def cumulative(data: Path) -> dict[str, object]:
    """A mapping that says so."""
    text = (BUILT_IN / "hm.toml").read_text().replace("[transactions]", '[transactions]\ndeliveries = "cumulative"')
    (data / "shop.toml").write_text(text)
    return {"mapping": str(data / "shop.toml")}


@pytest.fixture
def data(spark: SparkSession, tmp_path: Path) -> Path:
    """A retailer whose first week was taken in."""
    publish_parents(tmp_path)
    deliver(tmp_path, "1", bought(1, 2, 3))
    take_in(spark, tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("lines", "alike"),
    [
        pytest.param(bought(1, 2, 3, 8, 9, 10), "6 of 6 purchases of transactions_2.csv", id="cumulative"),
        pytest.param(bought(1, 2, 3)[::3], "2 of 2 purchases of transactions_2.csv", id="sample"),
        pytest.param(bought(1, 2, 3)[::-1], "6 of 6 purchases of transactions_2.csv", id="in another order"),
        pytest.param(bought(1, 2, 3, price="5.0"), "6 of 6 purchases", id="in another unit"),
        pytest.param(bought(3, 4, 5), "2 of 2 purchases of transactions_2.csv", id="a day in both"),
        pytest.param(
            [*bought(1, 2, 3), *bought(1, 2, 3, articles=(A2, A3)), *bought(1, 2, 3, articles=(A3, A1))],
            "6 of 6 purchases of transactions_1.csv",
            id="the whole beside its part",
        ),
    ],
)
def test_purchases_that_came_before_stop_the_run(spark: SparkSession, data: Path, lines: list[str], alike: str) -> None:
    before = units(data), [version_of(data, table) for table in (TRANSACTIONS, QUARANTINE, DELIVERIES)]
    deliver(data, "2", lines)
    with pytest.raises(JobError, match=r"transactions_2.csv and transactions_1.csv have") as error:
        take_in(spark, data)
    assert alike in str(error.value) and "(100.0%)" in str(error.value) and "\n" not in str(error.value)
    assert before == (units(data), [version_of(data, table) for table in (TRANSACTIONS, QUARANTINE, DELIVERIES)])
    (data / "transactions_2.csv").unlink()
    assert "nothing to do" in take_in(spark, data)


def test_both_new(spark: SparkSession, tmp_path: Path) -> None:
    publish_parents(tmp_path)
    deliver(tmp_path, "train", bought(1, 2, 3, 4))
    deliver(tmp_path, "train_sample", bought(1, 2, 3, 4)[1::3])
    with pytest.raises(JobError, match=r"3 of 3 purchases of transactions_train_sample.csv in common \(100.0%\)"):
        take_in(spark, tmp_path)
    assert units(tmp_path) == []


def test_a_copy_whose_midnight_is_elsewhere(spark: SparkSession, tmp_path: Path) -> None:
    """Each day of it is the one after. A few such lines are what somebody buys daily."""
    publish_parents(tmp_path)
    deliver(tmp_path, "1", bought(*range(1, 22, 2)))
    deliver(tmp_path, "2", bought(*range(2, 23, 2)))
    with pytest.raises(JobError, match=r"^transactions_1.csv a day later and transactions_2.csv have 22 of 22"):
        take_in(spark, tmp_path)
    deliver(tmp_path, "2", bought(*range(2, 19, 2)))
    assert take_in(spark, tmp_path).startswith("40 units")


def test_parts_cut_otherwise(spark: SparkSession, tmp_path: Path) -> None:
    """No two files have more than half in common, but all of one is in the others."""
    publish_parents(tmp_path)
    lines = bought(1, 2, 3, 4, 5, 6)
    for part in range(3):
        deliver(tmp_path, f"part{part}", lines[part::3])
    take_in(spark, tmp_path)
    deliver(tmp_path, "all0", [*lines[:3], purchase("2020-09-01", C3, A3), purchase("2020-09-02", C3, A3)])
    with pytest.raises(JobError, match=r"3 of 5 purchases of transactions_all0.csv in common"):
        take_in(spark, tmp_path)


def test_late_purchases_of_known_days_are_taken_in(spark: SparkSession, data: Path) -> None:
    """Even where one is a second unit of a known purchase; the line is named."""
    deliver(data, "2", [*bought(1, 2, 3, articles=(A3, A3)), bought(1)[0], *bought(8)])
    said = take_in(spark, data)
    assert "kept as further units: 1 of 7 in transactions_2.csv" in said
    assert len(units(data)) == 6 + 9
    assert "nothing to do" in take_in(spark, data)


def test_a_replaced_file_is_compared_with_the_others_alone(spark: SparkSession, data: Path) -> None:
    deliver(data, "1", bought(1, 2, 3, 4))
    take_in(spark, data)
    assert len(units(data)) == 8
    deliver(data, "2", bought(8, 9))
    take_in(spark, data)
    deliver(data, "2", bought(4, 8, 9))
    with pytest.raises(JobError, match=r"2 of 2 purchases of transactions_2.csv in common"):
        take_in(spark, data)
    assert len(units(data)) == 12


def test_the_usual_week_asks_spark_nothing(spark: SparkSession, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.ingest.delivery_modes.overlaps", None)
    deliver(data, "2", bought(4, 5))
    deliver(data, "3", bought(6))
    assert "6 units from" in take_in(spark, data)


def test_the_limit_is_the_mappings(spark: SparkSession, data: Path) -> None:
    text = (BUILT_IN / "hm.toml").read_text().replace("[transactions]", "[transactions]\nmax_overlap = 1.0")
    (data / "shop.toml").write_text(text)
    deliver(data, "2", bought(3, 4))
    said = take_in(spark, data, mapping=str(data / "shop.toml"))
    assert said.startswith("4 units from transactions_2.csv;"), "what is taken in is not taken in again for it"
    assert "2 of 2 in transactions_2.csv" in said


def test_cumulative_week_by_week(spark: SparkSession, data: Path) -> None:
    """After the stop the mapping is mended; then dumps arrive, old ones stay beside, one comes late."""
    deliver(data, "2", bought(1, 2, 3, 8, 9))
    with pytest.raises(JobError, match='deliveries = "cumulative"'):
        take_in(spark, data)
    shop = cumulative(data)
    assert take_in(spark, data, **shop) == (
        "10 units from transactions_2.csv; 0 rows in quarantine;"
        " transactions_1.csv is superseded by transactions_2.csv, not ingested"
    )
    assert "nothing to do" in take_in(spark, data, **shop)
    deliver(data, "3", bought(1, 2, 3, 8, 9, 15))
    assert "12 units from transactions_3.csv;" in take_in(spark, data, **shop)
    deliver(data, "late", bought(1, 2))
    assert take_in(spark, data, **shop).startswith("nothing published; ")
    assert {(name, *row) for name, *row in rows_of(data, DELIVERIES, "source_file", "copy_of")} == {
        ("transactions_3.csv", None),
        *((f"transactions_{old}.csv", "transactions_3.csv") for old in ("1", "2", "late")),
    }
    version = version_of(data, TRANSACTIONS)
    assert "nothing to do" in take_in(spark, data, **shop)
    assert units(data) == [("transactions_3.csv", date(2020, 9, day)) for day in (1, 1, 2, 2, 3, 3, 8, 8, 9, 9, 15, 15)]
    assert version_of(data, TRANSACTIONS) == version

    # One name for each week's dump: it replaces itself.
    deliver(data, "3", bought(1, 2, 3, 8, 9, 15, 16))
    assert "14 units from transactions_3.csv" in take_in(spark, data, **shop)
    assert len(units(data)) == 14


def test_cumulative_files_that_lose_purchases_stop_the_run(spark: SparkSession, data: Path) -> None:
    shop = cumulative(data)
    deliver(data, "2", bought(8, 9))
    with pytest.raises(JobError, match=r"transactions_2.csv begins on 2020-09-08, later than transactions_1.csv on"):
        take_in(spark, data, **shop)
    deliver(data, "2", [*bought(1)[:1], *bought(8, 9)])
    with pytest.raises(JobError, match=r"transactions_2.csv holds 1 of 6 newest purchases of transactions_1.csv"):
        take_in(spark, data, **shop)
    assert len(units(data)) == 6


def test_overlaps_by_hand(spark: SparkSession) -> None:
    """Of 85 lines each two files share a day of 25, and a third has two of the first and a day of its own."""
    days = [date(2020, 9, day) for day in (1, 2, 3)]
    a = [("a", days[0], n, 0) for n in range(60)] + [("a", days[1], n, 0) for n in range(25)]
    b = [("b", days[0], n, 1) for n in range(60)] + [("b", days[1], n, 0) for n in range(25)]
    c = [("c", days[0], 0, 0), ("c", days[0], 0, 0), ("c", days[0], 1, 0), ("c", days[2], 0, 0)]
    rows = spark.createDataFrame([*a, *b, *c], "source_file string, t_dat date, customer_key int, article_key int")
    assert overlaps(rows, ["b", "c"]) == [
        Overlap("b", "a", 85, 85, 25, 1.0),
        Overlap("b", OTHERS, 85, 85, 25, 1.0),
        Overlap("c", "a", 2, 60, 2, 0.0),
        Overlap("c", OTHERS, 2, 2, 2, 0.0),
    ]


def test_files_meet_where_their_days_do() -> None:
    spans = {
        name: Span(date(2020, 9, first), date(2020, 9, last), 1)
        for name, first, last in (("a", 1, 7), ("b", 8, 14), ("c", 14, 15), ("d", 16, 16))
    }
    assert meeting(["d"], spans) == set()
    assert meeting(["c", "d", "empty"], spans) == {"b", "c"}


def test_one_line_or_a_few_of_many_may_be_alike_but_no_whole_day() -> None:
    spans = {name: Span(date(2020, 9, 1), date(2020, 9, 7), 900) for name in "ab"}
    assert refuse_doubled([Overlap("a", "b", 1, 900, 1, 0.0)], spans, 0.5) == ""
    assert refuse_doubled([Overlap("a", "b", 900, 900, 450, 0.0)], spans, 0.5) == ""
    with pytest.raises(JobError, match=r"a and b have 30 of 900 purchases of a in common \(3.3%, 75.0% on one day\)"):
        refuse_doubled([Overlap("a", "b", 900, 1_000, 30, 0.75)], spans, 0.5)


def test_the_few_lines_of_a_day_cut_in_two_may_be_alike() -> None:
    """But not where they are a part of a whole file that can be seen."""
    cut = [Overlap("a", "b", 3, 5, 2, 0.0), Overlap("a", OTHERS, 3, 5, 2, 0.0)]
    spans = {name: Span(date(2020, 9, 1), date(2020, 9, 7), 900) for name in "ab"}
    assert "2 of 3 in a" in refuse_doubled(cut, spans, 0.5)
    with pytest.raises(JobError, match="they would count twice"):
        refuse_doubled(cut, spans | {"a": Span(date(2020, 9, 1), date(2020, 9, 1), 3)}, 0.5)


def test_names_unlike_the_others_are_listed(caplog: pytest.LogCaptureFixture) -> None:
    usual = [f"transactions_2020w{week}.csv" for week in range(10, 20)]
    odd = ["transactions_2020w10 (1).csv", "transactions_copy.csv", "OLD transactions.csv", "transactions_sample.csv"]
    with caplog.at_level(logging.WARNING):
        warn_of_odd_names(usual)
        warn_of_odd_names(["transactions_sample.csv"])
        warn_of_odd_names(["transactions_gold.csv", *usual])
        assert not caplog.messages
        warn_of_odd_names([*usual, *odd])
    assert len(caplog.messages) == 1
    assert all(name in caplog.messages[0] for name in odd) and usual[1] not in caplog.messages[0]
