"""Runs that overlap where one derives rows from what the other replaces: what follows from a table follows from one
version of it, and no key changes its owner."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from expectations.articles import ARTICLES
from expectations.contract import Contract
from expectations.customers import CUSTOMERS
from expectations.operations import DELIVERIES
from expectations.transactions import TRANSACTIONS
from jobs.ingest import articles, customers, transactions
from jobs.ingest.deliveries import every_record, record, recorded
from jobs.platform.job import Job
from jobs.platform.warehouse import Warehouse
from tests.jobs.ingest.retail import (
    ARTICLES_HEADER,
    C1,
    C2,
    C3,
    CUSTOMERS_HEADER,
    TRANSACTIONS_HEADER,
    article,
    job,
    publish_ids,
    purchase,
    rows_of,
    version_of,
    write,
)

EARLY, LATE = (tuple(f"{n:064x}" for n in range(start, start + 4)) for start in (0, 1000))


def deliver(folder: Path, ids: tuple[str, ...]) -> Path:
    """A folder with the customers file of these ids."""
    write(folder / "customers.csv", CUSTOMERS_HEADER, [f"{each},,,,,," for each in ids])
    return folder


def between(monkeypatch: pytest.MonkeyPatch, contract: Contract, other: Callable[[], Any]) -> None:
    """Let `other` happen once, when a run has computed its rows of the table and is about to commit them."""
    publish, waiting = Job.publish, [other]

    def held(self: Job, table: Contract, *args: Any, **kwargs: Any) -> int:
        if table is contract and waiting:
            waiting.pop()()
        return publish(self, table, *args, **kwargs)

    monkeypatch.setattr(Job, "publish", held)


def pairs(data: Path, contract: Contract, entity: str = "customer") -> set[tuple]:
    return set(rows_of(data, contract, f"{entity}_id", f"{entity}_key"))


def test_customers_taken_in_twice_at_once_keep_their_keys(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run is held after its keys are computed; another gives keys to new customers, who buy; then the first goes on.

    Its own new customers have smaller ids, so that it would give them those very keys.
    """
    shop, warehouse = deliver(tmp_path, (C1, C2, C3)), str(tmp_path / "warehouse")
    publish_ids(shop, ARTICLES, ["0108775015"])
    customers.main(job(customers, None, shop))
    deliver(shop, (C1, C2, C3, *LATE))
    write(shop / "transactions.csv", TRANSACTIONS_HEADER, [purchase(customer=each) for each in LATE])

    def other() -> None:
        customers.main(job(customers, None, shop))
        transactions.main(job(transactions, spark, shop))

    between(monkeypatch, CUSTOMERS, other)
    elsewhere = deliver(tmp_path / "elsewhere", (C1, C2, C3, *EARLY, *LATE))
    customers.main(job(customers, None, elsewhere, warehouse=warehouse, as_of_date=date(2020, 9, 23)))
    owners = pairs(shop, CUSTOMERS)
    assert {each for each, _ in owners} == {C1, C2, C3, *EARLY, *LATE}
    assert len({key for _, key in owners}) == len(owners)
    assert pairs(shop, TRANSACTIONS) <= owners and len(pairs(shop, TRANSACTIONS)) == len(LATE)


def test_a_file_that_another_run_took_in_meanwhile_is_not_taken_in_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, contract in ((customers, CUSTOMERS), (articles, ARTICLES)):
        write(tmp_path / "articles.csv", ARTICLES_HEADER, [article("0108775015")])
        deliver(tmp_path, (C1,))
        with monkeypatch.context() as patch:
            between(patch, contract, lambda module=module: module.main(job(module, None, tmp_path)))
            assert module.main(job(module, None, tmp_path)).endswith("as it was taken in; nothing to do")
        commits = DeltaTable(str(tmp_path / "warehouse" / contract.path)).history()
        assert [commit["operation"] for commit in commits].count("WRITE") == 1


def test_a_killed_run_never_gives_keys_that_are_given_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its customers are gone before anybody noted them (the table was restored), but some may have bought."""
    customers.main(job(customers, None, deliver(tmp_path, (C1,))))
    version = version_of(tmp_path, CUSTOMERS)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):

        def killed(*args: object, **kwargs: object) -> None:
            raise KeyboardInterrupt

        patch.setattr("jobs.ingest.entities.record", killed)
        customers.main(job(customers, None, deliver(tmp_path, (C1, *LATE))))
    given = {key for each, key in pairs(tmp_path, CUSTOMERS) if each in LATE}
    DeltaTable(str(tmp_path / "warehouse" / CUSTOMERS.path)).restore(version)
    customers.main(job(customers, None, deliver(tmp_path, (C1, *EARLY))))
    assert len(given) == len(LATE) and not given & {key for _, key in pairs(tmp_path, CUSTOMERS)}


def test_one_content_under_two_names_at_once_counts_once(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run finds the content new; the later one to commit must see that it is a copy by then."""
    for contract, ids in ((ARTICLES, ["0108775015"]), (CUSTOMERS, [C1])):
        publish_ids(tmp_path, contract, ids)
    folders = [write(tmp_path / n / f"transactions_{n}.csv", TRANSACTIONS_HEADER, [purchase()]).parent for n in "ab"]
    runs = [
        lambda f=f: transactions.main(job(transactions, spark, f, warehouse=str(tmp_path / "warehouse")))
        for f in folders
    ]
    staged, waiting = Job.publish_staged, [runs[0]]

    def held(self: Job, files: Any, *args: Any, **kwargs: Any) -> int:
        if files.contract is TRANSACTIONS and waiting:
            waiting.pop()()
        return staged(self, files, *args, **kwargs)

    monkeypatch.setattr(Job, "publish_staged", held)
    assert runs[1]().endswith("transactions_b.csv is a copy of transactions_a.csv, not ingested")
    assert rows_of(tmp_path, TRANSACTIONS, "source_file") == [("transactions_a.csv",)]


def test_purchases_whose_customers_change_while_they_are_read_are_read_again(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for contract, ids in ((ARTICLES, ["0108775015"]), (CUSTOMERS, [C1])):
        publish_ids(tmp_path, contract, ids)
    write(tmp_path / "transactions.csv", TRANSACTIONS_HEADER, [purchase(), purchase(customer=C2)])
    staged, waiting = Job.publish_staged, [C1, C2]

    def held(self: Job, files: Any, *args: Any, **kwargs: Any) -> int:
        if files.contract is TRANSACTIONS and waiting:
            publish_ids(tmp_path, CUSTOMERS, waiting)
            waiting.clear()
        return staged(self, files, *args, **kwargs)

    monkeypatch.setattr(Job, "publish_staged", held)
    said = transactions.main(job(transactions, spark, tmp_path, max_quarantine_share=0.5))
    assert said == "2 units from transactions.csv; 0 rows in quarantine"


def test_a_record_of_a_later_version_stands(tmp_path: Path) -> None:
    """The earlier of two runs notes what it did last; it must not say that of the later one's rows."""
    customers.main(job(customers, None, deliver(tmp_path, (C1,))))
    runs = []
    for version in (1, 2):
        publish_ids(tmp_path, CUSTOMERS, (C1, C2, C3)[: version + 1])
        runs.append(job(customers, None, tmp_path))
        runs[-1].warehouse.versions_written[CUSTOMERS.name] = version_of(tmp_path, CUSTOMERS) or 0

    def note(of: Job, file: str) -> None:
        row = {"source_file": file, "source_checksum": "0" * 64, "mapping_digest": file, "next_key": 3}
        record(of, CUSTOMERS, [row | {"table_version": of.warehouse.versions_written[CUSTOMERS.name]}], gone=None)

    note(runs[1], "later.csv")
    note(runs[0], "earlier.csv")
    assert list(recorded(job(customers, None, tmp_path), CUSTOMERS)) == ["later.csv"]


def test_records_that_two_runs_note_at_once_are_both_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Customers and articles are taken in side by side, and each notes that in the same table."""
    write(tmp_path / "articles.csv", ARTICLES_HEADER, [article("0108775015")])
    between(monkeypatch, DELIVERIES, lambda: articles.main(job(articles, None, tmp_path)))
    customers.main(job(customers, None, deliver(tmp_path, (C1,))))
    found = job(customers, None, tmp_path)
    assert [len(every_record(found, contract)) for contract in (CUSTOMERS, ARTICLES)] == [1, 1]


def test_keys_that_went_wrong_before_are_found_when_the_customers_change(spark: SparkSession, tmp_path: Path) -> None:
    """The next ingest takes the file again; without it, it says so."""
    for contract, ids in ((ARTICLES, ["0108775015"]), (CUSTOMERS, [C1, C2, C3])):
        publish_ids(tmp_path, contract, ids)
    file = write(tmp_path / "transactions.csv", TRANSACTIONS_HEADER, [purchase(customer=C2), purchase(customer=C3)])
    transactions.main(job(transactions, spark, tmp_path))
    swapped = Warehouse(str(tmp_path / "warehouse"), {})
    rows = swapped.read_arrow(CUSTOMERS)
    swapped.publish_arrow(CUSTOMERS, rows.set_column(1, "customer_key", pa.array([0, 2, 1], pa.int32())), {})
    content = file.read_bytes()
    file.unlink()
    write(tmp_path / "transactions_2.csv", TRANSACTIONS_HEADER, [purchase(customer=C1)])
    with pytest.raises(Exception, match=r"rows of transactions.csv .* run jobs.maintenance.repair_keys"):
        transactions.main(job(transactions, spark, tmp_path))
    file.write_bytes(content)
    assert "3 units from transactions.csv, transactions_2.csv" in transactions.main(job(transactions, spark, tmp_path))
    assert pairs(tmp_path, TRANSACTIONS) <= pairs(tmp_path, CUSTOMERS)
