"""What both as-of tables must keep: the reference's values, no leak, equal bits on any cluster, one shuffle."""

from __future__ import annotations

from datetime import date, timedelta

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from expectations.transactions import TRANSACTIONS
from jobs.features.snapshots import fresh_transactions
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.settings import Settings
from tests.jobs.features.histories import exact, features, leaks, reference, rows, table

AS_OF = date(2020, 9, 16)
TABLES = pytest.mark.parametrize("of", ["customer", "article"])
# Days cluster around the edges of the windows; few prices and ids make ties, repeats and equal prices common.
DAYS = st.sampled_from([-400, -45, -38, -37, -36, -31, -30, -29, -8, -7, -6, -1, 0, 1, 9]).map(
    lambda n: AS_OF + timedelta(n)
)
PRICES = st.sampled_from([0.1, 0.2, 0.3, 0.0169322033898305]) | st.floats(0.0005, 5000, allow_nan=False)
LINE = st.tuples(DAYS, st.sampled_from("abcde"), st.sampled_from("vwxyz"), PRICES, st.integers(1, 3))
HISTORIES = st.lists(LINE, min_size=0, max_size=80)
#: The session is shared on purpose, and a Spark job takes as long as it takes.
FEW = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@TABLES
@FEW
@given(lines=HISTORIES)
def test_agrees_with_the_reference(spark, of, lines):
    dates = [AS_OF, AS_OF - timedelta(7), AS_OF - timedelta(36)]
    found, expected = rows(features(of, table(spark, lines), lines, dates)), reference(lines, dates, of)
    assert len(found) == len(expected)
    for row, by_hand in zip(found, expected, strict=True):
        assert list(row) == list(by_hand)
        for name, value in by_hand.items():
            assert row[name] == (pytest.approx(value, rel=1e-9, abs=1e-9) if isinstance(value, float) else value), name


@TABLES
@settings(FEW, max_examples=3)
@given(lines=st.lists(LINE, min_size=20, max_size=60))
def test_nothing_from_the_as_of_date_on_leaks(spark, of, lines):
    assert leaks(spark, lambda t: features(of, t, lines, [AS_OF]), lines, AS_OF) == []


def test_a_planted_leak_is_found(spark):
    def leaky(transactions: DataFrame) -> DataFrame:
        """Features with one that looks ahead: the shop's takings of all time."""
        ahead = transactions.agg(F.sum("price").alias("takings_ever"))
        return features("customer", transactions, lines, [AS_OF]).crossJoin(ahead)

    lines = [(AS_OF + timedelta(n), customer, "x", 1.5, 1) for n in (-9, -1, 0, 3) for customer in "ab"]
    lines.append((AS_OF, "b", "y", 7.0, 2))
    assert {"deleted", "forged", "doubled"} <= set(leaks(spark, leaky, lines, AS_OF))


@TABLES
def test_equal_to_the_bit_on_any_cluster_and_order(spark, of):
    lines = [
        (AS_OF - timedelta(1 + n % 97), f"c{n % 7}", f"a{n % 11}", (n * 37 % 101) / 590, n % 2 + 1) for n in range(3000)
    ]
    partitions = spark.conf.get("spark.sql.shuffle.partitions")
    expected = exact(features(of, table(spark, lines).coalesce(1), lines, [AS_OF]))
    try:
        spark.conf.set("spark.sql.shuffle.partitions", "13")
        assert exact(features(of, table(spark, lines[::-1]).repartition(5), lines, [AS_OF])) == expected
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", partitions)


@TABLES
def test_one_shuffle_however_many_dates(spark, tmp_path, of):
    line = table(spark, [(AS_OF, "a", "x", 1.0, 1)]).withColumn("source_file", F.lit("f.csv"))
    line.write.parquet(str(tmp_path / "lines"))
    delivered, dates = spark.read.parquet(str(tmp_path / "lines")), [AS_OF - timedelta(7 * n) for n in range(8)]
    plan = features(of, delivered, [(AS_OF, "a", "x", 1.0, 1)], dates)._jdf.queryExecution().executedPlan().toString()
    assert plan.count("Exchange hashpartitioning") == 1
    assert plan.count("Exchange ") == plan.count("BroadcastExchange ") + 1
    assert "source_file" not in plan, "columns that no feature needs travel through the shuffle"


@pytest.mark.parametrize("days_before", [1, 7])
def test_fresh_enough(spark, tmp_path, days_before):
    job = _job_with_a_line_on(tmp_path, AS_OF - timedelta(days_before))
    assert fresh_transactions(job).count() == 1


@pytest.mark.parametrize("days_before", [0, 8])
def test_a_week_without_transactions_stops_the_run(spark, tmp_path, days_before):
    job = _job_with_a_line_on(tmp_path, AS_OF - timedelta(days_before))
    with pytest.raises(JobError, match=r"no transactions from 2020-09-09 until the as-of date 2020-09-16: is a file"):
        fresh_transactions(job)


def _job_with_a_line_on(tmp_path, day: date) -> Job:
    """A job whose warehouse holds one transaction."""
    job = Job("features.customers", Settings(as_of_date=AS_OF, warehouse=str(tmp_path)), (TRANSACTIONS,), ())
    line = {"t_dat": day, "customer_id": "a", "article_id": "x", "price": 1.0, "sales_channel_id": 1}
    write_deltalake(job.warehouse.uri(TRANSACTIONS), pa.Table.from_pylist([line]))
    return job
