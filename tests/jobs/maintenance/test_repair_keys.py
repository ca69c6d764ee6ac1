"""Keys that belong to others: counted by file, mended in one commit, and everything made from them void."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from expectations.contract import Contract
from expectations.customers import CUSTOMERS
from expectations.features import CUSTOMER_FEATURES
from expectations.transactions import TRANSACTIONS
from jobs.features import customers as customer_features
from jobs.ingest import transactions
from jobs.maintenance import repair_keys
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.settings import Settings
from tests.jobs.ingest.retail import (
    A2,
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

FILES = {
    "transactions_1.csv": [purchase(customer=C1), purchase(customer=C2, article=A2, price="0.2")],
    "transactions_2.csv": [purchase("2020-09-10", customer=C3), purchase("2020-09-11", customer=C3)],
    "transactions_3.csv": [purchase("2020-09-12", customer=C1)],
}


@pytest.fixture
def data(spark: SparkSession, tmp_path: Path) -> Path:
    """Purchases of three files; then customers 2 and 3 get each other's keys, as an overlapping run once did."""
    publish_parents(tmp_path)
    for name, lines in FILES.items():
        write(tmp_path / name, TRANSACTIONS_HEADER, lines)
    transactions.main(job(transactions, spark, tmp_path))
    features(spark, tmp_path)
    table = DeltaTable(str(tmp_path / "warehouse" / CUSTOMERS.path))
    table.update({"customer_key": "CASE customer_key WHEN 1 THEN 2 WHEN 2 THEN 1 ELSE 0 END"})
    return tmp_path


def repair(spark: SparkSession, data: Path, **settings: object) -> str:
    return repair_keys.main(job(repair_keys, spark, data, **settings))


def features(spark: SparkSession, data: Path) -> str:
    settings = Settings(as_of_date=date(2020, 9, 16), warehouse=str(data / "warehouse"), training_weeks=2)
    run = Job("features.customers", settings, customer_features.READS, customer_features.WRITES)
    return customer_features.main(run)


def pairs(data: Path, contract: Contract) -> set[tuple]:
    return set(rows_of(data, contract, "customer_id", "customer_key"))


def test_found_by_default_and_mended_when_asked(spark: SparkSession, data: Path) -> None:
    before, version = rows_of(data, TRANSACTIONS, "source_file", "customer_id", "price"), version_of(data, TRANSACTIONS)
    said = repair(spark, data)
    wrong = "3 of 5 purchases have a key that is not their customer's or article's: "
    wrong += "1 of transactions_1.csv, 2 of transactions_2.csv"
    assert said == f"{wrong}; nothing changed, --dry-run false mends transactions_1.csv, transactions_2.csv"
    assert version_of(data, TRANSACTIONS) == version

    said = repair(spark, data, dry_run=False)
    assert said == f"{wrong}; mended transactions_1.csv, transactions_2.csv, run the features again"
    assert version_of(data, TRANSACTIONS) == version + 1, "one commit"
    assert pairs(data, TRANSACTIONS) == pairs(data, CUSTOMERS)
    assert rows_of(data, TRANSACTIONS, "source_file", "customer_id", "price") == before
    assert repair(spark, data) == "5 purchases: every key is its customer's or article's"


def test_what_was_made_from_the_wrong_keys_is_made_anew(spark: SparkSession, data: Path) -> None:
    """And nothing is read again that is right by now."""
    counts = [(C1, 2), (C2, 1), (C3, 2)]
    found = {row[1:] for row in rows_of(data, CUSTOMER_FEATURES, "as_of_date", "customer_id", "transaction_count")}
    assert set(counts) <= found
    repair(spark, data, dry_run=False)
    assert "nothing to do" in transactions.main(job(transactions, spark, data))
    assert "nothing to do" not in features(spark, data)
    rows = rows_of(data, CUSTOMER_FEATURES, "as_of_date", "customer_id", "transaction_count")
    assert [row[1:] for row in rows if row[0] == date(2020, 9, 16)] == counts


def test_a_file_that_is_gone_is_mended_and_the_next_ingest_goes_on(spark: SparkSession, data: Path) -> None:
    (data / "transactions_2.csv").unlink()
    with pytest.raises(JobError, match=r"rows of transactions_2.csv .* or run jobs.maintenance.repair_keys"):
        transactions.main(job(transactions, spark, data))
    repair(spark, data, dry_run=False)
    assert "nothing to do" in transactions.main(job(transactions, spark, data))


def test_an_id_that_nobody_knows_is_not_mended(spark: SparkSession, data: Path) -> None:
    DeltaTable(str(data / "warehouse" / CUSTOMERS.path)).delete(f"customer_id = '{C2}'")
    said = repair(spark, data, dry_run=False)
    assert "1 rows of transactions_1.csv name an id that is not known" in said
    assert said.endswith("mended transactions_2.csv, run the features again")
    assert (C3, 1) in pairs(data, TRANSACTIONS) and (C2, 1) in pairs(data, TRANSACTIONS)


def test_a_run_that_was_killed_before_its_record_leaves_the_rest_to_the_next_ingest(
    spark: SparkSession, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(repair_keys, "record", killed)
        repair(spark, data, dry_run=False)
    transactions.main(job(transactions, spark, data))
    assert pairs(data, TRANSACTIONS) == pairs(data, CUSTOMERS)
    assert "nothing to do" not in features(spark, data)


def test_wrong_keys_are_not_published(spark: SparkSession, data: Path) -> None:
    """Whatever wrote them: the gate compares each purchase with its parents."""
    run = job(repair_keys, spark, data)
    rows = run.read_arrow(TRANSACTIONS, where={"source_file": ["transactions_2.csv"]})
    assert isinstance(rows, pa.Table)
    with pytest.raises(JobError, match=r"customer_key: 2 rows of all have another than their customer_id has in silv"):
        run.publish(TRANSACTIONS, rows, {"source_file": ["transactions_2.csv"]})
