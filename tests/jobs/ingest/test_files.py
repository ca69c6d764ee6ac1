import gzip
import hashlib
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.ingest import files as delivered
from jobs.ingest.files import is_known, require_unchanged, source_files
from jobs.ingest.mapping import load_mapping
from jobs.platform.errors import JobError
from tests.jobs.ingest.retail import HM, TRANSACTIONS_HEADER, purchase, write

LONG = "\n".join([TRANSACTIONS_HEADER, *(purchase(price=str(n)) for n in range(20_000))]).encode()
LONG_GZIP, LONG_ZSTD = gzip.compress(LONG, mtime=0), pa.compress(LONG, "zstd", asbytes=True)


def test_finds_every_weekly_file_by_name_with_its_checksum(tmp_path: Path) -> None:
    later = write(tmp_path / "transactions_2020-09-23.csv", TRANSACTIONS_HEADER, [purchase()])
    write(tmp_path / "transactions_2020-09-16.csv", TRANSACTIONS_HEADER, [purchase(price="0.07")])
    write(tmp_path / "articles.csv", "unrelated", ["1"])
    files = source_files(tmp_path, HM.transactions)
    assert [file.name for file in files] == ["transactions_2020-09-16.csv", "transactions_2020-09-23.csv"]
    assert files[1].checksum == hashlib.sha256(later.read_bytes()).hexdigest()
    assert files[0].columns == files[1].columns == tuple(TRANSACTIONS_HEADER.split(","))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", r"empty \(0 bytes\)"),
        (TRANSACTIONS_HEADER.encode(), "a header and no rows"),
        (TRANSACTIONS_HEADER.encode() + b"\r\n\r\n", "a header and no rows"),
        (b"t_dat,customer_id,article_id,price\n1,2,3,4\n", r"column missing: sales_channel_id .*; found t_dat, cust"),
        (b"t_dat,customer_id,article_id,Prices,sales_channel_id\n1,2,3,4,5\n", r"price \(.*; renamed to Prices\?\)"),
        (b"2020-09-01,1,2,3,4\n2020-09-01,1,2,3,4\n", "the first line must name the columns"),
        (b"t_dat,customer_id,article_id,price,price,sales_channel_id\n1\n", "column price appears twice"),
        (b"t_dat;customer_id;article_id;price;sales_channel_id\n1\n", 'give sep = ";" in the mapping'),
        (TRANSACTIONS_HEADER.replace(",", "\t").encode() + b"\n1\n", r'give sep = "\\t" in the mapping'),
        ("t_dat,größe\n1,2\n".encode("latin-1"), "not a CSV file in UTF-8; .* give its encoding in the mapping"),
        ("t_dat,price\n1,2\n".encode("utf-16-be"), 'looks like UTF-16 .* give encoding = "UTF-16BE"'),
        (b"PK\x03\x04...", "a ZIP archive or an Excel workbook"),
        (b"<!DOCTYPE html>", "HTML or XML"),
        (gzip.compress(gzip.compress(b"t_dat\n1\n", mtime=0), mtime=0), r"packed twice \(gzip of gzip\)"),
        (gzip.compress(bytes(257) + b"ustar", mtime=0), "a tar archive"),
        (LONG_GZIP[:-9], "damaged or cut short .gzip: .*; deliver the file again"),
        (LONG_GZIP[:-6] + b"\0\0" + LONG_GZIP[-4:], "damaged or cut short .gzip: CRC"),
        (LONG_GZIP[:99] + b"\xff" + LONG_GZIP[100:], "damaged or cut short .gzip: "),
        (LONG_ZSTD[:-9], "damaged or cut short .zstd: "),
    ],
)
def test_a_fault_of_the_file_is_one_line_that_names_it(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "transactions_train.csv"
    path.write_bytes(content)
    with pytest.raises(JobError, match=said) as error:
        source_files(tmp_path, HM.transactions)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_or_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"transactions\*\.csv: no such file"):
        source_files(tmp_path, HM.transactions)
    with pytest.raises(JobError, match=r"nowhere: no such folder"):
        source_files(tmp_path / "nowhere", HM.transactions)


def test_byte_order_mark_order_and_further_columns_are_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "transactions.csv"
    path.write_bytes("\ufeffprice,t_dat,till,customer_id,article_id,sales_channel_id\n1\n".encode())
    (file,) = source_files(tmp_path, HM.transactions)
    assert file.columns == ("price", "t_dat", "till", "customer_id", "article_id", "sales_channel_id")


def test_parquet_faults(tmp_path: Path) -> None:
    table = load_mapping("completejourney").articles
    path = tmp_path / "products.parquet"
    path.write_bytes(b"not parquet")
    with pytest.raises(JobError, match=r"products.parquet: not a Parquet file"):
        source_files(tmp_path, table)
    pq.write_table(pa.table({"product_id": ["1"]}), path)
    with pytest.raises(JobError, match=r"column missing: product_type \("):
        source_files(tmp_path, table)
    pq.write_table(pa.table({name: pa.array([], pa.string()) for name in table.source_columns}), path)
    with pytest.raises(JobError, match=r"no rows"):
        source_files(tmp_path, table)


def test_a_file_replaced_while_being_read_is_noticed(tmp_path: Path) -> None:
    path = write(tmp_path / "transactions.csv", TRANSACTIONS_HEADER, [purchase()])
    files = source_files(tmp_path, HM.transactions)
    require_unchanged(files)
    write(path, TRANSACTIONS_HEADER, [purchase(price="0.06")])
    with pytest.raises(JobError, match=r"transactions.csv: replaced while it was being read; nothing was published"):
        require_unchanged(files)
    path.unlink()
    with pytest.raises(JobError, match="replaced"):
        require_unchanged(files)


def test_a_known_file_is_read_again_once_it_was_touched_in_any_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivered, "_TICK_NS", 0)
    path = write(tmp_path / "transactions.csv", TRANSACTIONS_HEADER, [purchase()])
    (file,) = source_files(tmp_path, HM.transactions)
    assert file.state
    known = {"transactions.csv": ["as noted", *file.state]}
    (again,) = source_files(tmp_path, HM.transactions, known)
    assert (again.checksum, again.lines_before, again.state) == ("as noted", (), file.state)

    # Other content of the same size and time of change, in the same place: one of the times cannot be set.
    times = path.stat()
    path.write_bytes(path.read_bytes().replace(b"0.05", b"0.06"))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert not is_known(str(path), known)
    (changed,) = source_files(tmp_path, HM.transactions, known)
    assert changed.checksum == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_that_changed_a_moment_ago_is_not_known(tmp_path: Path) -> None:
    write(tmp_path / "transactions.csv", TRANSACTIONS_HEADER, [purchase()])
    assert [file.state for file in source_files(tmp_path, HM.transactions)] == [None]
