"""What both as-of tables must keep: the reference's values, no leak, equal bits on any cluster, nothing done twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from expectations.articles import ARTICLES
from expectations.contract import Contract
from expectations.customers import CUSTOMERS
from expectations.operations import DELIVERIES, FEATURE_SLICES
from expectations.transactions import TRANSACTIONS
from jobs.features import articles, customers
from jobs.features import snapshots as through_spark
from jobs.features.snapshots import require_fresh
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.schemas import arrow_schema
from jobs.platform.settings import Settings
from jobs.platform.slices import record, recorded
from jobs.platform.warehouse import Warehouse
from tests.jobs.features.histories import (
    SPECS,
    Line,
    exact,
    features,
    key,
    leaks,
    reference,
    rows,
)

AS_OF = date(2020, 9, 16)
TABLES = pytest.mark.parametrize("of", ["customer", "article"])
# Days cluster around the edges of the windows; few prices and ids make ties, repeats and equal prices common.
DAYS = st.sampled_from([-400, -45, -38, -37, -36, -31, -30, -29, -8, -7, -6, -1, 0, 1, 9]).map(
    lambda n: AS_OF + timedelta(n)
)
PRICES = st.sampled_from([0.1, 0.2, 0.3, 0.0169322033898305]) | st.floats(0.0005, 5000, allow_nan=False)
LINE = st.tuples(DAYS, st.sampled_from("abcde"), st.sampled_from("vwxyz"), PRICES, st.integers(1, 3))
HISTORIES = st.lists(LINE, min_size=0, max_size=80)
MANY = settings(max_examples=60)


@TABLES
@MANY
@given(lines=HISTORIES)
def test_agrees_with_the_reference(of: str, lines: list[Line]) -> None:
    dates = [AS_OF, AS_OF - timedelta(7), AS_OF - timedelta(36)]
    found, expected = rows(features(of, lines, dates)), reference(lines, dates, of)
    assert len(found) == len(expected)
    for row, by_hand in zip(found, expected, strict=True):
        assert list(row) == list(by_hand)
        for name, value in by_hand.items():
            assert row[name] == (pytest.approx(value, rel=1e-9, abs=1e-9) if isinstance(value, float) else value), name


@TABLES
@MANY
@given(lines=HISTORIES)
def test_nothing_from_the_as_of_date_on_leaks(of: str, lines: list[Line]) -> None:
    assert leaks(lambda changed: features(of, changed, [AS_OF - timedelta(7), AS_OF]), lines, AS_OF) == []


def test_a_planted_leak_is_found() -> None:
    def leaky(changed: Sequence[Line]) -> pa.Table:
        """Features with one that looks ahead: the shop's takings of all time."""
        found = features("customer", changed, [AS_OF])
        return found.append_column("takings_ever", pa.array([sum(line[3] for line in changed)] * found.num_rows))

    lines = [(AS_OF + timedelta(n), customer, "x", 1.5, 1) for n in (-9, -1, 0, 3) for customer in "ab"]
    lines.append((AS_OF, "b", "y", 7.0, 2))
    assert {"deleted", "forged", "doubled"} <= set(leaks(leaky, lines, AS_OF))


@TABLES
@MANY
@given(lines=HISTORIES)
def test_several_dates_at_once_have_the_bits_of_each_alone(of: str, lines: list[Line]) -> None:
    dates = [AS_OF - timedelta(36), AS_OF - timedelta(7), AS_OF, AS_OF + timedelta(7)]
    alone = [exact(features(of, lines, [day])) for day in dates]
    assert exact(features(of, lines, dates)) == sorted(row for some in alone for row in some)


# ---- through Spark and the warehouse

MODULES = {"customer": (customers, CUSTOMERS, "abcde"), "article": (articles, ARTICLES, "vwxyz")}


def some_lines(n: int, start: int = 1) -> list[Line]:
    """Purchases spread over the 97 days before the as-of date, the newest `start` days before it."""
    return [
        (AS_OF - timedelta(start + i % 97), "abcde"[i % 5], "vwxyz"[i * i % 5], (i * 37 % 101 + 1) / 590, i % 2 + 1)
        for i in range(n)
    ]


def deliver(root: Path, name: str, lines: Sequence[Line]) -> None:
    """The lines as one more file of silver/transactions, and the tables that know their keys."""
    warehouse = Warehouse(str(root), {})
    for _, contract, ids in MODULES.values():
        if not warehouse.exists(contract):
            empty = {f.name: pa.nulls(len(ids), f.type) for f in arrow_schema(contract)}
            false = {c.name: pa.array([False] * len(ids)) for c in contract.columns if c.type == "boolean"}
            id_, key_ = contract.key[0], f"{contract.name[:-1]}_key"
            known = empty | false | {id_: pa.array(list(ids)), key_: pa.array(map(key, ids), pa.int32())}
            warehouse.publish_arrow(contract, pa.table(known, arrow_schema(contract)), {})
    rows = [(day, c, a, key(c), key(a), price, channel, None, name, name) for day, c, a, price, channel in lines]
    named = [dict(zip(TRANSACTIONS.column_names, row, strict=True)) for row in rows]
    table = pa.Table.from_pylist(named, arrow_schema(TRANSACTIONS))
    warehouse.publish_arrow(TRANSACTIONS, table, {"source_file": [name]})
    note_delivery(warehouse, name)


def note_delivery(warehouse: Warehouse, name: str) -> None:
    """Record the file as its ingest does."""
    file = {"table_name": TRANSACTIONS.name, "source_file": name, "source_checksum": name}
    noted = file | {"mapping_digest": "", "run_id": "", "table_version": warehouse.versions_written[TRANSACTIONS.name]}
    replaced = {"table_name": [TRANSACTIONS.name], "source_file": [name]}
    warehouse.publish_arrow(DELIVERIES, pa.Table.from_pylist([noted], arrow_schema(DELIVERIES)), replaced)


def run(spark: SparkSession, root: Path, of: str, as_of: date = AS_OF) -> str:
    module = MODULES[of][0]
    job = Job(
        f"features.{of}s",
        Settings(as_of_date=as_of, warehouse=str(root), training_weeks=2),
        module.READS,
        module.WRITES,
    )
    return module.main(job)


def stored(root: Path, contract: Contract) -> pa.Table:
    return DeltaTable(str(root / contract.path)).to_pyarrow_table().select(contract.column_names)


@TABLES
@pytest.mark.parametrize("size", [50, 10_000])
def test_equal_to_the_bit_on_any_cluster_and_in_any_order(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of: str, size: int
) -> None:
    monkeypatch.setattr(through_spark, "LINES_PER_BUCKET", size)
    lines = some_lines(600)
    for n in range(3):
        deliver(tmp_path, f"{n}.csv", lines[n::3][::-1])
    run(spark, tmp_path, of)
    dates = Settings(as_of_date=AS_OF, training_weeks=2).snapshot_dates
    contract = SPECS[of].contract
    assert exact(stored(tmp_path, contract)) == exact(features(of, lines, dates))


@TABLES
def test_a_week_is_added_and_a_late_file_changes_what_it_touches(spark: SparkSession, tmp_path: Path, of: str) -> None:
    contract, week = SPECS[of].contract, timedelta(7)
    lines, following = some_lines(300, start=8), [(AS_OF - timedelta(2), "a", "v", 0.25, 2), (AS_OF, "b", "w", 9.0, 1)]
    deliver(tmp_path, "1.csv", lines)
    run(spark, tmp_path, of, AS_OF - week)
    deliver(tmp_path, "2.csv", following)
    said = run(spark, tmp_path, of)
    assert f"rows for 1 as-of dates up to {AS_OF}" in said, "older weeks stay as they are"
    version = DeltaTable(str(tmp_path / contract.path)).version()
    assert "nothing to do" in run(spark, tmp_path, of)
    assert DeltaTable(str(tmp_path / contract.path)).version() == version

    late = [(AS_OF - timedelta(12), "c", "x", 0.5, 1)]
    deliver(tmp_path, "late.csv", late)
    said = run(spark, tmp_path, of)
    assert f"rows for 2 as-of dates up to {AS_OF}" in said, "weeks before the late line stay"
    found = stored(tmp_path, contract)
    for date_ in pc.unique(found["as_of_date"]).to_pylist():
        anew = features(of, lines + following + late, [date_])
        assert exact(found.filter(pc.equal(found["as_of_date"], date_))) == exact(anew), date_

    # A file is replaced: what was made from the old one is made anew.
    deliver(tmp_path, "1.csv", lines[:200])
    dates = Settings(as_of_date=AS_OF, training_weeks=2).snapshot_dates
    assert f"rows for {len(dates)} as-of dates" in run(spark, tmp_path, of)
    found = stored(tmp_path, contract).filter(pc.equal(stored(tmp_path, contract)["as_of_date"], AS_OF))
    assert exact(found) == exact(features(of, lines[:200] + following + late, [AS_OF]))


def test_a_backfill_fills_in_the_older_slice_alone(spark: SparkSession, tmp_path: Path) -> None:
    """Its newest line is weeks before the run's as-of date, and fresh for its own."""
    deliver(tmp_path, "1.csv", some_lines(300))
    run(spark, tmp_path, "customer")
    oldest = min(Settings(as_of_date=AS_OF, training_weeks=2).snapshot_dates) - timedelta(7)
    said = run(spark, tmp_path, "customer", AS_OF - timedelta(7))
    assert f"1 as-of dates up to {oldest}" in said


@TABLES
def test_other_formulas_compute_every_slice_anew(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of: str
) -> None:
    deliver(tmp_path, "1.csv", some_lines(50))
    run(spark, tmp_path, of)
    module = MODULES[of][0]
    monkeypatch.setattr(module, "SPEC", replace(module.SPEC, version=2))
    assert "nothing to do" not in run(spark, tmp_path, of)


@pytest.mark.parametrize("days_before", [1, 7])
def test_fresh_enough(tmp_path: Path, days_before: int) -> None:
    require_fresh(job_with_a_line_on(tmp_path, AS_OF - timedelta(days_before)))


@pytest.mark.parametrize("days_before", [0, 8])
def test_a_week_without_transactions_stops_the_run(tmp_path: Path, days_before: int) -> None:
    job = job_with_a_line_on(tmp_path, AS_OF - timedelta(days_before))
    with pytest.raises(JobError, match=r"no transactions from 2020-09-09 until the as-of date 2020-09-16: is a file"):
        require_fresh(job)
    require_fresh(job_with_a_line_on(tmp_path, AS_OF - timedelta(days_before), accept_drift=True))


def job_with_a_line_on(root: Path, day: date, **settings: bool) -> Job:
    """A job whose warehouse holds one transaction."""
    deliver(root, "1.csv", [(day, "a", "v", 1.0, 1)])
    return Job("features.customers", Settings(as_of_date=AS_OF, warehouse=str(root), **settings), (TRANSACTIONS,), ())


def maintained(table: str) -> None:
    """What Sunday's maintenance does to a table, and more files than one to do it to."""
    DeltaTable(table).optimize.compact()
    DeltaTable(table).optimize.z_order([DeltaTable(table).schema().fields[1].name])
    DeltaTable(table).vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)


@TABLES
def test_maintenance_voids_nothing(spark: SparkSession, tmp_path: Path, of: str) -> None:
    week = timedelta(7)
    deliver(tmp_path, "1.csv", some_lines(300, start=8))
    run(spark, tmp_path, of, AS_OF - week)
    for contract in (TRANSACTIONS, SPECS[of].contract):
        maintained(str(tmp_path / contract.path))
    assert "nothing to do" in run(spark, tmp_path, of, AS_OF - week)
    deliver(tmp_path, "2.csv", [(AS_OF - timedelta(2), "a", "v", 0.25, 2)])
    assert f"rows for 1 as-of dates up to {AS_OF}" in run(spark, tmp_path, of)


def test_a_restored_feature_table_is_computed_anew(spark: SparkSession, tmp_path: Path) -> None:
    deliver(tmp_path, "1.csv", some_lines(300, start=8))
    run(spark, tmp_path, "customer", AS_OF - timedelta(7))
    version = DeltaTable(str(tmp_path / "gold/customer_features")).version()
    late = [(AS_OF - timedelta(60), "c", "x", 0.5, 1), (AS_OF - timedelta(2), "a", "v", 0.25, 2)]
    deliver(tmp_path, "2.csv", late)
    run(spark, tmp_path, "customer")
    DeltaTable(str(tmp_path / "gold/customer_features")).restore(version)
    dates = Settings(as_of_date=AS_OF, training_weeks=2).snapshot_dates
    assert f"rows for {len(dates)} as-of dates" in run(spark, tmp_path, "customer")
    found = stored(tmp_path, SPECS["customer"].contract)
    newest = found.filter(pc.equal(found["as_of_date"], AS_OF))
    assert exact(newest) == exact(features("customer", some_lines(300, start=8) + late, [AS_OF]))


def test_restored_transactions_are_refused_until_their_ingest_has_run(spark: SparkSession, tmp_path: Path) -> None:
    deliver(tmp_path, "1.csv", some_lines(300))
    version = DeltaTable(str(tmp_path / TRANSACTIONS.path)).version()
    deliver(tmp_path, "2.csv", some_lines(20))
    run(spark, tmp_path, "customer")
    DeltaTable(str(tmp_path / TRANSACTIONS.path)).restore(version)
    with pytest.raises(JobError, match=r"silver/transactions: not as its ingest left it .*; run ingest.transactions"):
        run(spark, tmp_path, "customer")


def overtaken(monkeypatch: pytest.MonkeyPatch, module: object, name: str, other: Callable[[], object]) -> None:
    """Let `other` happen once, just before this function of the module is called."""
    function, waiting = getattr(module, name), [other]

    def late(*args: object, **kwargs: object) -> object:
        if waiting:
            waiting.pop()()
        return function(*args, **kwargs)

    monkeypatch.setattr(module, name, late)


def test_deliveries_ingested_again_while_features_are_computed_are_computed_again(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same file with other rows (its customers had become known): nothing may say that the slice knows them."""
    deliver(tmp_path, "1.csv", some_lines(200))
    overtaken(monkeypatch, through_spark, "recorded", lambda: deliver(tmp_path, "1.csv", some_lines(300)))
    run(spark, tmp_path, "customer")
    run(spark, tmp_path, "customer")
    found = stored(tmp_path, SPECS["customer"].contract)
    newest = found.filter(pc.equal(found["as_of_date"], AS_OF))
    assert exact(newest) == exact(features("customer", some_lines(300), [AS_OF]))


def test_a_record_of_a_slice_that_was_published_later_stands(spark: SparkSession, tmp_path: Path) -> None:
    deliver(tmp_path, "1.csv", some_lines(100))
    run(spark, tmp_path, "customer")
    contract = SPECS["customer"].contract

    def job() -> Job:
        settings = Settings(as_of_date=AS_OF, warehouse=str(tmp_path))
        return Job("features.customers", settings, customers.READS, (contract, FEATURE_SLICES))

    older, later = job(), job()
    for each in (older, later):
        rows = stored(tmp_path, contract)
        newest = rows.filter(pc.equal(rows["as_of_date"], AS_OF)).cast(arrow_schema(contract))
        each.publish(contract, newest, {"as_of_date": [AS_OF]})
    for each, source in ((later, "new"), (older, "old")):
        record(each, contract, 1, {str(AS_OF): {source: 1}})
    assert recorded(job(), contract, 1)[str(AS_OF)] == {"new": 1}
