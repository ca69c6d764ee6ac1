import gzip
from datetime import date
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from expectations.articles import ARTICLES
from expectations.customers import CUSTOMERS
from expectations.operations import DELIVERIES
from expectations.transactions import QUARANTINE, TRANSACTIONS
from jobs.ingest import block_kernel, files, transactions
from jobs.ingest.files import fingerprint, source_files
from jobs.ingest.reading import read_rows
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.staging import Staged
from tests.jobs.ingest.retail import (
    A1,
    A2,
    A3,
    C1,
    C2,
    C3,
    HM,
    TRANSACTIONS_HEADER,
    job,
    publish_ids,
    publish_parents,
    purchase,
    rows_of,
    version_of,
    write,
)

DAY = date(2020, 9, 1)


def versions(data: Path) -> tuple[int | None, int | None]:
    return version_of(data, TRANSACTIONS), version_of(data, QUARANTINE)


def test_each_fault_has_its_reason_and_line(tmp_path: Path) -> None:
    lines_and_reasons = [
        (purchase(price="0.0508"), None),
        (purchase(price="0.0508"), None),  # a second unit
        (purchase("2018-9-1"), "t_dat is not a date yyyy-MM-dd (dateFormat of the mapping)"),
        (purchase("2018-09"), "t_dat is not a date yyyy-MM-dd (dateFormat of the mapping)"),
        (purchase("2019-02-29"), "t_dat is not a date yyyy-MM-dd (dateFormat of the mapping)"),
        (purchase("2018-09-01T10:00"), "t_dat is not a date yyyy-MM-dd (dateFormat of the mapping)"),
        (purchase("01/09/2018"), "t_dat is not a date yyyy-MM-dd (dateFormat of the mapping)"),
        (purchase(""), "t_dat is empty"),
        (purchase(price="0"), "price is not above 0"),
        (purchase(price="-0.05"), "price is not above 0"),
        (purchase(price="NaN"), "price is empty"),
        (purchase(price=" 0.05 "), None),
        (purchase(price="Infinity"), "price is not a finite number"),
        (purchase(price="1e999"), "price is not a finite number"),
        (purchase(price="0.05dollars"), "price is not a finite number"),
        (purchase(price='"0,05"'), "price is not a number with decimal = '.', thousands = '', currency = ''"),
        (purchase(price="0.05€"), "price is not a number with decimal = '.', thousands = '', currency = ''"),
        (purchase("2018-09-01 00:00:00"), None),  # midnight, as databases write a day
        (purchase(price=""), "price is empty"),
        (purchase(price="5.08e-2"), None),
        (purchase(article=A1[1:]), None),  # a spreadsheet took its zero away
        (purchase(article=A1[1:] + ".0"), None),
        (purchase(article=f'="{A1}"'), None),
        (purchase(article=f"{A1}  "), None),
        (purchase(article="1.08775E+08"), "article_id is a rounded number: deliver it as text"),
        (purchase(article=A1[2:]), "article_id is not in silver/articles"),
        (purchase(article=A1 + "0"), "article_id is malformed"),
        (purchase(article="NULL"), "article_id is empty"),
        (purchase(customer="\\N"), "customer_id is empty"),
        (purchase(article="0999999999"), "article_id is not in silver/articles"),
        (purchase(article=""), "article_id is empty"),
        (purchase(customer=C1[1:]), "customer_id is malformed"),
        (purchase(customer=C1.upper()), "customer_id is malformed"),
        (purchase(customer="0" * 64), "customer_id is not in silver/customers"),
        (purchase(customer="0" * 64, article="0999999999"), "article_id is not in silver/articles"),
        (purchase(channel="shop"), "sales_channel_id is not a whole number"),
        (purchase(channel="1.5"), "sales_channel_id is not a whole number"),
        (purchase(channel="2.0"), None),
        (purchase() + ",7", "broken line: not 5 fields of UTF-8 text"),
        (purchase("2030-01-01"), None),  # after any as-of date: silver is what was delivered
        (purchase()[:-2], "broken line: not 5 fields of UTF-8 text"),  # the last line, cut off
    ]
    path = tmp_path / "transactions_train.csv"
    write(path, TRANSACTIONS_HEADER, [line for line, _ in lines_and_reasons], end="\r\n", last="")
    (file,) = source_files(tmp_path, HM.transactions)
    rows = block_kernel.transform(read_rows(file), HM, {"article_id": keys(A1, A2), "customer_id": keys(C1, C2)})
    bad = {row["source_line"]: row for row in rows.bad().to_pylist()}
    assert {line: row["reason"] for line, row in bad.items()} == {
        n: reason for n, (_, reason) in enumerate(lines_and_reasons, start=2) if reason
    }
    good = block_kernel.purchases(rows).to_pylist()
    assert len(good) + len(bad) == len(lines_and_reasons)
    assert {(row["customer_id"], row["customer_key"]) for row in good} == {(C1, 0)}
    assert sorted((row["article_id"], row["article_key"], row["price"]) for row in good) == [
        *[(A1, 0, 0.05)] * 8,
        *[(A1, 0, 0.0508)] * 3,
    ]
    assert {row["sales_channel_id"] for row in good} == {2}
    assert bad[4]["raw_row"] == (
        f'{{"t_dat":"2018-9-1","customer_id":"{C1}","article_id":"{A1}","price":"0.05","sales_channel_id":"2"}}'
    )


def test_ids_that_lost_their_zeros_name_the_option(tmp_path: Path) -> None:
    write(tmp_path / "transactions.csv", TRANSACTIONS_HEADER, [purchase(article=A1[1:]), purchase(article="x")])
    (file,) = source_files(tmp_path, HM.transactions)
    without = HM.model_copy(update={"articles": HM.articles.model_copy(update={"id_width": None})})
    rows = block_kernel.transform(read_rows(file), without, {"article_id": keys(A1), "customer_id": keys(C1)})
    assert rows.bad()["reason"].to_pylist() == [
        "article_id lost zeros at its front: give id_width = 10 in the mapping",
        "article_id is malformed",
    ]


def keys(*ids: str) -> block_kernel.Keys:
    """The key of an id is its position."""
    return lambda texts: pc.index_in(texts, value_set=pa.array(ids))


def test_weekly_arrivals(spark: SparkSession, tmp_path: Path) -> None:
    def prices(*columns: str) -> list[tuple]:
        return rows_of(tmp_path, TRANSACTIONS, "source_file", "price", *columns)

    publish_parents(tmp_path)
    write(tmp_path / "transactions_1.csv", TRANSACTIONS_HEADER, [purchase(price="0.1"), purchase(price="0.1")])
    bad = purchase(price="0")
    week_2 = [purchase(price="0.2", customer=C2), bad]
    write(tmp_path / "transactions_2.csv", TRANSACTIONS_HEADER, week_2)
    run = {"max_quarantine_share": 0.5}
    said = transactions.main(job(transactions, spark, tmp_path, **run))
    assert said == "3 units from transactions_1.csv, transactions_2.csv; 1 rows in quarantine"
    first = [("transactions_1.csv", 0.1)] * 2
    assert prices() == [*first, ("transactions_2.csv", 0.2)]
    quarantined = ("source_file", "source_line", "reason")
    assert rows_of(tmp_path, QUARANTINE, *quarantined) == [("transactions_2.csv", 3, "price is not above 0")]

    # Nothing new, then a copy under another name: no commit.
    before = versions(tmp_path)
    assert "nothing to do" in transactions.main(job(transactions, None, tmp_path, **run))
    write(tmp_path / "transactions_3.csv", TRANSACTIONS_HEADER, week_2)
    said = transactions.main(job(transactions, None, tmp_path, **run))
    assert said.endswith("transactions_3.csv is a copy of transactions_2.csv, not ingested")
    assert versions(tmp_path) == before

    # A corrected week and a new one, its columns in another order, arrive in one commit.
    write(tmp_path / "transactions_2.csv", TRANSACTIONS_HEADER, [purchase(price="0.25", customer=C2)])
    turned = ["sales_channel_id,price,article_id,customer_id,t_dat", f"1,0.3,{A3},{C3},2020-09-02"]
    write(tmp_path / "transactions_3.csv", turned[0], turned[1:])
    said = transactions.main(job(transactions, spark, tmp_path, **run))
    assert said == "2 units from transactions_2.csv, transactions_3.csv; 0 rows in quarantine"
    assert version_of(tmp_path, TRANSACTIONS) == before[0] + 1
    noted = rows_of(tmp_path, DELIVERIES, "table_name", "source_file", "copy_of", "table_version")
    assert [row[1:3] for row in noted] == [(f"transactions_{n}.csv", None) for n in (1, 2, 3)]
    assert [row[3] for row in noted] == [before[0], before[0] + 1, before[0] + 1]
    assert prices() == [*first, ("transactions_2.csv", 0.25), ("transactions_3.csv", 0.3)]
    assert rows_of(tmp_path, QUARANTINE, *quarantined) == []
    assert prices("t_dat", "customer_id", "article_id", "sales_channel_id")[-1] == (
        *("transactions_3.csv", 0.3, date(2020, 9, 2), C3, A3, 1),
    )

    # A delivery too bad to believe touches nothing.
    before = versions(tmp_path)
    write(tmp_path / "transactions_4.csv", TRANSACTIONS_HEADER, [purchase(price="0.4"), bad, bad])
    with pytest.raises(JobError, match=r"transactions_4.csv: 2 of 3 rows are bad .* first on line 3") as error:
        transactions.main(job(transactions, spark, tmp_path, **run))
    assert "2 x price is not above 0" in str(error.value)
    assert versions(tmp_path) == before


def test_a_kill_between_the_commits_is_made_good_by_a_rerun(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_parents(tmp_path)
    write(tmp_path / "transactions.csv", TRANSACTIONS_HEADER, [purchase(), purchase(price="0")])

    publish = Job.publish_staged

    def killed(self: Job, files: Staged, *args: Any, **kwargs: Any) -> int:
        if files.contract is TRANSACTIONS:
            raise KeyboardInterrupt
        return publish(self, files, *args, **kwargs)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Job, "publish_staged", killed)
        transactions.main(job(transactions, spark, tmp_path, max_quarantine_share=0.5))
    assert rows_of(tmp_path, TRANSACTIONS, "t_dat") == []
    assert rows_of(tmp_path, QUARANTINE, "source_line") == [(3,)]
    transactions.main(job(transactions, spark, tmp_path, max_quarantine_share=0.5))
    assert rows_of(tmp_path, TRANSACTIONS, "t_dat", "price") == [(DAY, 0.05)]
    assert rows_of(tmp_path, QUARANTINE, "source_line") == [(3,)]


def test_a_kill_before_the_record_is_made_good_by_a_rerun(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows are there, and nothing tells of which files: they are read again, and are there once."""
    publish_parents(tmp_path)
    write(tmp_path / "transactions.csv", TRANSACTIONS_HEADER, [purchase()])
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(transactions, "note_deliveries", Mock(side_effect=KeyboardInterrupt))
        transactions.main(job(transactions, spark, tmp_path))
    assert "1 units from transactions.csv" in transactions.main(job(transactions, spark, tmp_path))
    assert rows_of(tmp_path, TRANSACTIONS, "t_dat", "price") == [(DAY, 0.05)]
    assert "nothing to do" in transactions.main(job(transactions, spark, tmp_path))


def test_a_restored_table_is_brought_up_to_date_and_maintenance_changes_nothing(
    spark: SparkSession, tmp_path: Path
) -> None:
    publish_parents(tmp_path)
    table = str(tmp_path / "warehouse" / TRANSACTIONS.path)
    write(tmp_path / "transactions_1.csv", TRANSACTIONS_HEADER, [purchase()])
    transactions.main(job(transactions, spark, tmp_path))
    version = version_of(tmp_path, TRANSACTIONS)
    write(tmp_path / "transactions_2.csv", TRANSACTIONS_HEADER, [purchase(article=A2)])
    transactions.main(job(transactions, spark, tmp_path))
    DeltaTable(table).optimize.compact()
    DeltaTable(table).alter.set_table_properties({"delta.deletedFileRetentionDuration": "interval 8 days"})
    assert "nothing to do" in transactions.main(job(transactions, spark, tmp_path))

    (tmp_path / "transactions_1.csv").unlink()
    DeltaTable(table).restore(version)
    assert "1 units from transactions_2.csv" in transactions.main(job(transactions, spark, tmp_path))
    assert rows_of(tmp_path, TRANSACTIONS, "article_id") == [(A1,), (A2,)], "what is not delivered any more stays"
    assert "nothing to do" in transactions.main(job(transactions, spark, tmp_path))


def test_purchases_follow_the_catalogue(spark: SparkSession, tmp_path: Path) -> None:
    """Taken in week by week or all at once, the tables end up the same."""
    publish_parents(tmp_path, articles=(A1, A2))
    write(tmp_path / "transactions_1.csv", TRANSACTIONS_HEADER, [purchase(), purchase(article=A3)])
    write(tmp_path / "transactions_2.csv", TRANSACTIONS_HEADER, [purchase(article=A2)])
    run = {"max_quarantine_share": 0.5}
    transactions.main(job(transactions, spark, tmp_path, **run))
    assert rows_of(tmp_path, QUARANTINE, "source_line", "reason") == [(3, "article_id is not in silver/articles")]

    # The unknown article is listed later: the file that waited for it is taken in again, the other is not.
    publish_ids(tmp_path, ARTICLES, (A1, A2, A3))
    said = transactions.main(job(transactions, spark, tmp_path, **run))
    assert said == "2 units from transactions_1.csv; 0 rows in quarantine"
    assert rows_of(tmp_path, TRANSACTIONS, "article_id") == [(A1,), (A2,), (A3,)]
    assert "nothing to do" in transactions.main(job(transactions, None, tmp_path, **run))

    # A customer leaves: the purchases go with them.
    publish_ids(tmp_path, CUSTOMERS, (C2, C3))
    with pytest.raises(JobError, match=r"customer_id is not in silver/customers"):
        transactions.main(job(transactions, spark, tmp_path, **run))
    (tmp_path / "transactions_1.csv").unlink()
    with pytest.raises(JobError, match=r"rows of transactions_1.csv whose customer_id is no longer known") as error:
        transactions.main(job(transactions, spark, tmp_path, **run))
    assert "deliver it again" in str(error.value)


def test_folders_and_packed_files_arrive_as_files_do(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_TICK_NS", 0)
    publish_parents(tmp_path)
    run = {"max_quarantine_share": 0.5}
    folder = tmp_path / "transactions_1.csv"
    write(folder / "part-00000-aa.csv", TRANSACTIONS_HEADER, [purchase(price="0.1"), purchase(price="0.1")])
    write(folder / "part-00001-aa.csv", TRANSACTIONS_HEADER, [purchase(price="0.2"), purchase(price="0")])
    week_2 = "\r\n".join(
        [TRANSACTIONS_HEADER, *(purchase(price="0.3", customer=C2) for _ in range(9)), purchase(price="-1")]
    )
    (tmp_path / "transactions_2.csv.gz").write_bytes(gzip.compress(week_2.encode("utf-16")))
    said = transactions.main(job(transactions, spark, tmp_path, **run))
    assert said == "12 units from transactions_1.csv, transactions_2.csv.gz; 2 rows in quarantine"
    week_2_rows = [("transactions_2.csv.gz", 0.3)] * 9
    assert rows_of(tmp_path, TRANSACTIONS, "source_file", "price") == [
        *[("transactions_1.csv", 0.1)] * 2,
        ("transactions_1.csv", 0.2),
        *week_2_rows,
    ]
    # Of a folder, lines are counted on from part to part.
    refused = [("transactions_1.csv", 6), ("transactions_2.csv.gz", 11)]
    assert rows_of(tmp_path, QUARANTINE, "source_file", "source_line") == refused
    assert "nothing to do" in transactions.main(job(transactions, None, tmp_path, **run))

    # Spark writes the folder again, under other names.
    for part in folder.iterdir():
        part.unlink()
    write(folder / "part-00000-bb.csv", TRANSACTIONS_HEADER, [purchase(price="0.4")])
    said = transactions.main(job(transactions, spark, tmp_path, **run))
    assert said == "1 units from transactions_1.csv; 0 rows in quarantine"
    assert rows_of(tmp_path, TRANSACTIONS, "source_file", "price") == [("transactions_1.csv", 0.4), *week_2_rows]


def test_articles_and_customers_come_first(tmp_path: Path) -> None:
    write(tmp_path / "transactions.csv", TRANSACTIONS_HEADER, [purchase()])
    with pytest.raises(JobError, match=r"silver/articles: no such table; run the task that writes articles first"):
        transactions.main(job(transactions, None, tmp_path))


def test_files_of_earlier_weeks_are_not_read_again(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_parents(tmp_path, articles=(A1, A2))
    monkeypatch.setattr(files, "_TICK_NS", 0)
    read: list[str] = []
    monkeypatch.setattr(
        files, "fingerprint", lambda path, *others: (read.append(Path(path).name), fingerprint(path, *others))[1]
    )
    write(tmp_path / "transactions_1.csv", TRANSACTIONS_HEADER, [purchase(), purchase(article=A3)])
    run = {"max_quarantine_share": 0.5}
    transactions.main(job(transactions, spark, tmp_path, **run))
    write(tmp_path / "transactions_2.csv", TRANSACTIONS_HEADER, [purchase(article=A2)])
    transactions.main(job(transactions, spark, tmp_path, **run))
    assert read == ["transactions_1.csv", "transactions_2.csv"]

    # The article it waited for is listed: it is taken in again, and read for it.
    publish_ids(tmp_path, ARTICLES, (A1, A2, A3))
    said = transactions.main(job(transactions, spark, tmp_path, **run))
    assert said == "2 units from transactions_1.csv; 0 rows in quarantine"
    assert read == ["transactions_1.csv", "transactions_2.csv", "transactions_1.csv"]
    assert "nothing to do" in transactions.main(job(transactions, None, tmp_path, **run))
    assert len(read) == 3
