"""What cannot be believed goes to quarantine, by limits and by what is usual, in any unit; no later file moves that."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import Row, SparkSession

from expectations.transactions import QUARANTINE, TRANSACTIONS
from jobs.ingest import customers, transactions
from jobs.ingest.files import source_files
from jobs.ingest.judging import read_and_judged
from jobs.ingest.plausibility import (
    BINS_PER_DOUBLING,
    Counts,
    Days,
    Usual,
    bulk,
    count_purchases,
    usual_of_files,
    usual_prices,
)
from jobs.ingest.reading import read_rows
from jobs.platform.data_files import DataFile
from jobs.platform.errors import JobError
from tests.jobs.ingest.retail import (
    C1,
    C2,
    C3,
    CUSTOMERS_HEADER,
    HM,
    TRANSACTIONS_HEADER,
    job,
    publish_parents,
    purchase,
    rows_of,
    version_of,
    write,
)

FIRST = date(2020, 6, 3)


def sold(days: list[date], prices: list[float]) -> Counts:
    return Counts.of(pa.table({"t_dat": pa.array(days, pa.date32()), "price": prices}))


def week(start: date, prices: np.ndarray) -> Counts:
    return sold([start + timedelta(days=n % 7) for n in range(len(prices))], prices.tolist())


@given(scale=st.sampled_from([1e-6, 0.03, 1.0, 10_000.0, 1e8]), seed=st.integers(0, 20))
def test_usual_prices_scale_with_the_currency(scale: float, seed: int) -> None:
    prices = np.random.default_rng(seed).lognormal(0, 0.6, 400) * scale
    low, high = usual_prices(week(FIRST, prices), 1_000)
    assert (low, high) == pytest.approx(tuple(np.quantile(prices, (0.05, 0.95))), rel=0.15)
    forged = np.concatenate([prices, np.repeat([1e9, 1e-12], 9)])  # 4.3 % of all
    again = usual_prices(week(FIRST, forged), 1_000)
    assert again[0] > low / 1.5
    assert again[1] < high * 3


def test_a_few_purchases_say_nothing_of_prices() -> None:
    assert usual_prices(week(FIRST, np.full(19, 0.03)), 1_000) is None
    low, high = usual_prices(week(FIRST, np.array([*[0.03] * 19, 1e9])), 1_000)
    assert 0.02 < low < 0.03 < high < 0.04, "one of twenty moves nothing"


@pytest.mark.parametrize("forged", [1e9, 1e-12])
def test_many_lines_with_one_forged_price_move_nothing(forged: float) -> None:
    prices = np.random.default_rng(0).lognormal(-3.5, 0.6, 1_000)
    usual = usual_prices(week(FIRST, prices), 1_000)
    assert usual_prices(week(FIRST, np.concatenate([prices, np.full(900, forged)])), 1_000) == usual
    dear = np.concatenate([prices, prices[:300] * 400])  # a shop may have two kinds of things
    low, high = usual_prices(week(FIRST, dear), 1_000)
    assert low < usual[1] and high > usual[1] * 100


def test_purchases_of_stored_files_are_counted_by_day(tmp_path: Path) -> None:
    """A row for each file asked for: from the first to the last day, but for a gift, which has no price."""
    days = [FIRST + timedelta(days=n) for n in range(-1, 4)]
    table = pa.table({"t_dat": pa.array([*days, FIRST], pa.date32()), "price": [1.0, 1.0, 2.0, 2.0, 4.0, 0.0]})
    files = []
    for n in range(2):
        pq.write_table(table.slice(0, 6 - n), tmp_path / f"{n}.parquet")
        files.append(DataFile(str(tmp_path / f"{n}.parquet"), {}, 6 - n, {}, {}))
    tasks = iter([pa.RecordBatch.from_pydict({"id": [1]}), pa.RecordBatch.from_pydict({"id": [0]})])
    found = list(count_purchases(files, FIRST, FIRST + timedelta(days=2), tasks))
    assert len(found) == 2
    for row in found:
        counts = Counts.of_lists(*(column[0].as_py() for column in row.columns))
        first = (FIRST - date(1970, 1, 1)).days
        assert sorted(zip(counts.day, counts.bin, counts.units, strict=True)) == [
            (first, 0, 1),
            (first + 1, BINS_PER_DOUBLING, 1),
            (first + 2, BINS_PER_DOUBLING, 1),
        ]


def test_the_bulk_ends_where_the_shop_was_silent() -> None:
    days = [FIRST, FIRST + timedelta(days=60), FIRST + timedelta(days=121), date(2000, 1, 1), date(9999, 12, 31)]
    counts = sold(days, [1.0] * 5)
    assert bulk(counts, 60) == Days(days[0], days[1])
    assert bulk(counts, 61) == Days(days[0], days[2])
    assert bulk(sold(days[-1:], [1.0]), 60) == Days(days[-1], days[-1])


def test_later_files_change_nothing_of_prices() -> None:
    rng = np.random.default_rng(0)
    weeks = {str(n): week(FIRST + timedelta(days=7 * n), rng.lognormal(-3.5, 0.5, 2_000)) for n in range(3)}
    nothing = Counts.joined([])
    later = weeks | {"9": week(FIRST + timedelta(days=63), np.full(9_000, 1e6))}
    first, second = (usual_of_files(files, nothing, [], HM.transactions) for files in (weeks, later))
    assert [first[name].prices for name in weeks] == [second[name].prices for name in weeks]
    assert second["9"].prices[1] < 1, "the file of another unit is judged by what was known"
    one_by_one = usual_of_files({"2": weeks["2"]}, Counts.joined([weeks["0"], weeks["1"]]), [], HM.transactions)
    assert one_by_one["2"].prices == first["2"].prices, "taken in at once or week by week"


def test_doubts_are_what_is_refused() -> None:
    usual = Usual(Days(FIRST, FIRST), (0.01, 0.1))
    for price, day, is_doubtful in (
        (0.05, 0, False),
        (1e-6, 0, True),
        (1e3, 0, True),
        (0.05, 93, True),
        (1.0, 92, False),
    ):
        assert usual.has_doubts(sold([FIRST + timedelta(days=day)], [price]), HM.transactions) == is_doubtful, price


def test_a_packed_file_is_judged_again_as_a_whole() -> None:
    """A block that is read in pieces tells of each: with one in doubt all are read again, those of others are kept."""
    usual_day = Counts.of_lists(*([FIRST.toordinal() - date(1970, 1, 1).toordinal()], [-40], [1_000]))
    forged = Counts.of_lists(usual_day.day, [300], [1])
    pieces = {"plain": [usual_day], "packed": [usual_day, forged, usual_day]}
    names = list(pieces)

    def read(some: list[str], usual: dict[str, Usual]) -> list[Row]:
        return [
            Row(block=n, source_file=name, day=of.day, bin=of.bin, units=of.units, is_judged=name in usual)
            for n, name in enumerate(some)
            for of in pieces[name]
        ]

    nothing_known = SimpleNamespace(warehouse=SimpleNamespace(versions_read={}))
    done = read_and_judged(nothing_known, names, read, HM.transactions, [])
    assert [(row.source_file, row.is_judged) for row in done] == [("plain", False), *[("packed", True)] * 3]


FORGED = {
    purchase("0001-01-01"): "t_dat is before 2000-01-01 (first_date)",
    purchase("1999-12-31"): "t_dat is before 2000-01-01 (first_date)",
    purchase("2003-01-01"): "t_dat is more than 92 days from all others, 2020-06-03 to 2020-07-14 (max_silent_days)",
    purchase("2021-01-01"): "t_dat is more than 92 days from all others, 2020-06-03 to 2020-07-14 (max_silent_days)",
    purchase("9999-12-31"): "t_dat is more than 92 days from all others, 2020-06-03 to 2020-07-14 (max_silent_days)",
    purchase("2020-06-20", price="1e308"): "price is above 1e+09 (max_price)",
    purchase("2020-06-20", price="1e9"): "price is more than 1,000 times lower or higher",
    purchase("2020-06-20", price="999"): "price is more than 1,000 times lower or higher",
    purchase("2020-06-20", price="5e-324"): "price is more than 1,000 times lower or higher",
    purchase("2020-06-20", price="1e-9"): "price is more than 1,000 times lower or higher",
    purchase("2020-06-20", price="-1"): "price is not above 0",
    purchase("2020-06-20", price="inf"): "price is not a finite number",
}


def lines(first: date, weeks: int, scale: float = 0.03) -> list[str]:
    """1,400 purchases a week."""
    rng = np.random.default_rng(first.toordinal())
    return [
        purchase(str(first + timedelta(days=int(day))), customer, price=f"{price:.6g}")
        for day, price in zip(np.arange(1400 * weeks) // 200, rng.lognormal(0, 0.5, 1400 * weeks) * scale, strict=True)
        for customer in [(C1, C2, C3)[int(day) % 3]]
    ]


def test_forged_lines_leave_the_table_as_it_would_be_without(spark: SparkSession, tmp_path: Path) -> None:
    """Taken in for the first time, then beside what is known; a mass of such lines stops with one line."""
    publish_parents(tmp_path)
    clean = lines(FIRST, 6)
    write(tmp_path / "transactions_1.csv", TRANSACTIONS_HEADER, [*clean[:5000], *FORGED, *clean[5000:]])
    said = transactions.main(job(transactions, spark, tmp_path))
    assert said == f"{len(clean):,} units from transactions_1.csv; {len(FORGED)} rows in quarantine"
    reasons = dict(rows_of(tmp_path, QUARANTINE, "source_line", "reason"))
    assert list(reasons) == list(range(5002, 5002 + len(FORGED)))
    assert all(found.startswith(reason) for found, reason in zip(reasons.values(), FORGED.values(), strict=True)), (
        reasons
    )
    assert len(rows_of(tmp_path, TRANSACTIONS, "t_dat")) == len(clean)

    # The next week is judged by the weeks before: a twentieth of its lines cannot hide one another.
    month = FIRST + timedelta(days=42)
    write(
        tmp_path / "transactions_2.csv", TRANSACTIONS_HEADER, lines(month, 1) + [purchase(str(month), price="70")] * 99
    )
    with pytest.raises(JobError, match=r"transactions_2.csv: 99 of 1,499 rows are bad .*; nothing published") as error:
        transactions.main(job(transactions, spark, tmp_path))
    assert "99 x price is more than 1,000 times lower or higher than is usual, 0.0" in str(error.value)
    write(tmp_path / "transactions_2.csv", TRANSACTIONS_HEADER, [*lines(month, 1), purchase(str(month), price="70")])
    assert transactions.main(job(transactions, spark, tmp_path)).endswith("transactions_2.csv; 1 rows in quarantine")
    versions = [version_of(tmp_path, table) for table in (TRANSACTIONS, QUARANTINE)]
    assert "nothing to do" in transactions.main(job(transactions, spark, tmp_path))
    assert [version_of(tmp_path, table) for table in (TRANSACTIONS, QUARANTINE)] == versions


def test_ages_that_no_customer_has_are_left_empty(tmp_path: Path) -> None:
    ages = ["4", "5", "110", "111", "-1", "1e9", "NaN", "25"]
    rows = [f"{n:064x},1,1,ACTIVE,NONE,{age},p" for n, age in enumerate(ages)]
    write(tmp_path / "customers.csv", CUSTOMERS_HEADER, rows)
    (file,) = source_files(tmp_path, HM.customers)
    typed = customers.transform(read_rows(file), HM)
    assert typed.columns["age"].to_pylist() == [None, 5, 110, None, None, None, None, 25]
    assert [row["reason"] for row in typed.bad().to_pylist()] == [
        "age is not 5 to 110, left empty",
        "age is not 5 to 110, left empty",
        *["age unreadable, left empty"] * 2,  # NaN is a word for empty
    ]
