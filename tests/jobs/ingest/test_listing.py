"""Folders of files, as Spark, Hive and pyarrow write them."""

import gzip
import logging
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.ingest import files
from jobs.ingest.files import indexed, require_unchanged, source_files
from jobs.ingest.mapping import TransactionsMapping
from jobs.ingest.reading import blocks, read_rows
from jobs.platform.errors import JobError
from tests.jobs.ingest.retail import HM, TRANSACTIONS_HEADER, purchase

NAMES = {"t_dat": "t_dat", "customer_id": "c", "article_id": "a", "price": "p", "sales_channel_id": "s"}


def mapping(**options: object) -> TransactionsMapping:
    return TransactionsMapping.model_validate({"file": "t*", "columns": NAMES, **options})


def part(folder: Path, name: str, *prices: int, header: str = TRANSACTIONS_HEADER) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "\n".join([header, *(purchase(price=str(price)) for price in prices)]).encode()
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)


def prices(file: files.SourceFile) -> list[tuple[int, str]]:
    found = [rows for block in blocks(file) for rows in block.read()]
    return [
        (int(line), text)
        for rows in found
        for line, text in zip(rows.line, rows.text("price").to_pylist(), strict=True)
    ]


def test_a_folder_of_parts_is_one_delivery(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(files, "_TICK_NS", 0)
    folder = tmp_path / "transactions.csv"
    part(folder, "part-00000-aa.csv", 1, 2)
    part(folder, "part-00001-aa.csv")  # a header alone
    part(folder, "part-00003-aa.csv.gz", 3)
    part(folder, "more/part-00004.csv", 4)
    for name in ("_SUCCESS", ".part-00000-aa.csv.crc", "part-00005.csv"):
        (folder / name).touch()
    (file,) = source_files(tmp_path, HM.transactions)
    assert file.name == "transactions.csv"
    # Lines are counted on from file to file, in order of their names.
    assert prices(file) == [(2, "4"), (4, "1"), (5, "2"), (7, "3")]
    assert sorted(read_rows(file).line.tolist()) == [2, 4, 5, 7]
    with caplog.at_level(logging.WARNING):
        assert source_files(tmp_path, HM.transactions) == [file]
    assert "no part 00002 among its files" in caplog.text

    # Known again without being read, and read again on demand.
    known = {file.name: [file.checksum, *file.state]}
    (again,) = source_files(tmp_path, HM.transactions, known)
    assert again.checksum == file.checksum and not blocks(again)
    assert prices(indexed(again)) == prices(file)
    require_unchanged([file])
    part(folder, "part-00006.csv", 5)
    (changed,) = source_files(tmp_path, HM.transactions, known)
    assert changed.checksum != file.checksum and len(prices(changed)) == 5
    with pytest.raises(JobError, match=r"transactions.csv: replaced while it was being read"):
        require_unchanged([file])


def test_folders_that_are_more_than_their_files(tmp_path: Path) -> None:
    folder = tmp_path / "transactions.csv"
    folder.mkdir()
    with pytest.raises(JobError, match=r"transactions.csv: a folder without files"):
        source_files(tmp_path, HM.transactions)
    part(folder, "part-0.csv")
    with pytest.raises(JobError, match=r"part-0.csv: a header and no rows"):
        source_files(tmp_path, HM.transactions)
    part(folder, "part-1.csv", 1, header="a,b,c,d,e")
    with pytest.raises(JobError, match=r"part-1.csv: column missing"):
        source_files(tmp_path, HM.transactions)
    (folder / "_temporary").mkdir()
    with pytest.raises(JobError, match="still being written"):
        source_files(tmp_path, HM.transactions)
    (folder / "_delta_log").mkdir()
    with pytest.raises(JobError, match="a Delta table, whose folder holds rows that are deleted"):
        source_files(tmp_path, HM.transactions)


def test_columns_in_the_names_of_folders(tmp_path: Path) -> None:
    rows = pa.table(
        {
            "c": ["c"] * 3,
            "a": ["1", "2", "3"],
            "p": [1.0] * 3,
            "s": [1] * 3,
            "t_dat": ["2020-09-01", "2020-09-02", None],
        }
    )
    pq.write_to_dataset(rows, tmp_path / "t", partition_cols=["t_dat"])
    (file,) = source_files(tmp_path, mapping())
    found = read_rows(file)
    days = dict(zip(found.text("a").to_pylist(), found.text("t_dat").to_pylist(), strict=True))
    assert days == {"1": "2020-09-01", "2": "2020-09-02", "3": None}
    part(tmp_path / "t/t_dat=2020-09-09", "x.csv", 7, header="t_dat,c,a,p,s")  # the file has the column itself
    (file,) = source_files(tmp_path, mapping())
    assert sorted(filter(None, read_rows(file).text("t_dat").to_pylist())) == ["2020-09-01", "2020-09-01", "2020-09-02"]
    lost = sorted((tmp_path / "t").rglob("*.parquet"))[1]
    lost.write_bytes(lost.read_bytes()[:-9])
    with pytest.raises(JobError, match=rf"{lost.name}: not a whole Parquet file .*; deliver the file again"):
        source_files(tmp_path, mapping())


def parquet(folder: Path, **columns: object) -> files.SourceFile:
    same = {"t_dat": ["2020-09-01"] * 2, "c": ["c", "d"], "a": ["1", "2"], "p": [1.0, 2.5], "s": [1, 2]}
    pq.write_table(pa.table({**same, **columns}), folder / "t.csv")  # by content, not by name
    (file,) = source_files(folder, mapping(timeZone=columns.get("timeZone", [None])[0]))
    return file


def test_parquet_columns_as_they_come(tmp_path: Path) -> None:
    midnights = [datetime(2020, 9, day, tzinfo=ZoneInfo("Europe/Stockholm")) for day in (1, 2)]
    for zone in ("Europe/Stockholm", "UTC"):
        moments = pa.array(midnights, pa.timestamp("us", zone))
        days = read_rows(parquet(tmp_path, t_dat=moments)).text("t_dat").to_pylist()
        assert days == (["2020-09-01", "2020-09-02"] if zone != "UTC" else ["2020-08-31", "2020-09-01"])
        days = read_rows(parquet(tmp_path, t_dat=moments, timeZone=["Europe/Stockholm"] * 2)).text("t_dat").to_pylist()
        assert days == ["2020-09-01", "2020-09-02"]

    def ids(values: object) -> list[str | None]:
        return read_rows(parquet(tmp_path, a=values)).text("a").to_pylist()

    assert ids(pa.array([900000001, 2])) == ids([900000001.0, 2.0]) == ["900000001", "2"]
    assert ids([123456789012.0, float("nan")]) == ["123456789012", None]
    assert ids([2.0**60, 1.5]) == ["1.152921504606847e+18", "1.5"]  # digits are lost: refused as rounded
    assert ids(pa.array([9e8, 7.0], pa.float32())) == ["900000000e+0", "7"]
    assert ids(pa.array(["1", "2"]).dictionary_encode()) == ids(pa.array([b"1", b"2"])) == ["1", "2"]
    assert ids(pa.array([900000001, 2]).dictionary_encode()) == ["900000001", "2"]
    with pytest.raises(JobError, match=r"t.csv: column a is no text \(binary: .*UTF8"):
        ids(pa.array([b"\xff", b"2"]))
    with pytest.raises(JobError, match=r"t.csv: column a is of type list<.*name a column of single values"):
        ids([["1"], ["2"]])


def test_parquet_columns_that_nobody_maps_are_not_read(tmp_path: Path) -> None:
    file = parquet(tmp_path, urls=[["x"], ["y"]], more=[{"a": 1}, {"a": 2}])
    assert read_rows(file).fields.column_names == list(NAMES.values())


def test_parquet_columns_within_columns(tmp_path: Path) -> None:
    names = {**NAMES, "customer_id": "who.id", "article_id": "what.ref.id"}
    who = [{"id": "c", "tags": ["x"]}, {"id": "d", "tags": []}]
    what = [{"ref": {"id": 1}}, None]
    pq.write_table(
        pa.table({"t_dat": ["2020-09-01"] * 2, "what": what, "who": who, "p": [1, 2], "s": [1, 2]}), tmp_path / "t"
    )
    (file,) = source_files(tmp_path, mapping(columns=names))
    found = read_rows(file)
    assert (found.text("who.id").to_pylist(), found.text("what.ref.id").to_pylist()) == (["c", "d"], ["1", None])
    with pytest.raises(JobError, match=r"column missing: who .*; found .*who.id, who.tags"):
        source_files(tmp_path, mapping(columns={**names, "customer_id": "who"}))
    with pytest.raises(JobError, match=r"column who.tags is of type list"):
        source_files(tmp_path, mapping(columns={**names, "customer_id": "who.tags"}))


def test_a_damaged_row_group_is_named(tmp_path: Path) -> None:
    file = parquet(tmp_path)
    content = bytearray((tmp_path / "t.csv").read_bytes())
    content[4:60] = bytes(56)
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(JobError, match=r"t.csv: damaged in row group 1 \(.*; deliver the file again"):
        read_rows(file)
