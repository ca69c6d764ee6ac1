from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession

from jobs.ingest.files import SourceFile, checksum
from jobs.ingest.reading import by_layout, read_records, read_rows
from jobs.platform.errors import JobError


def source(path: Path, *columns: str) -> SourceFile:
    return SourceFile(path, columns, repr(columns), checksum(path))


def collected(rows: DataFrame) -> list[tuple]:
    return sorted((r.source_line, tuple(r.raw), r.broken_line) for r in rows.collect())


@pytest.fixture
def small_blocks(spark: SparkSession):
    """Files are read in blocks of 64 bytes, several to a task, as large ones are in blocks of 128 MB."""
    conf = {"spark.sql.files.maxPartitionBytes": "64", "spark.sql.files.openCostInBytes": "4"}
    before = {key: spark.conf.get(key) for key in conf}
    for key, value in conf.items():
        spark.conf.set(key, value)
    yield
    for key, value in before.items():
        spark.conf.set(key, value)


def test_line_numbers_are_exact_across_blocks_and_files(
    spark: SparkSession, tmp_path: Path, small_blocks: None
) -> None:
    folder = tmp_path / "a [1] {b} 100%"  # characters that Spark would otherwise interpret
    folder.mkdir()
    files = []
    for name, count in (("big one.csv", 211), ("small.csv", 3), ("é+1.csv", 97)):
        # each row says its own line; every seventh line is blank, line lengths vary
        lines = ["" if n % 7 == 0 else f"{n},{'x' * (n * n % 23)}" for n in range(2, count + 1)]
        (folder / name).write_text("line,filler\n" + "\r\n".join(lines), encoding="utf-8", newline="")
        files.append(source(folder / name, "line", "filler"))
    rows = read_rows(spark, files)
    assert rows.rdd.getNumPartitions() > 10
    found = rows.collect()
    assert all(row.raw.line == str(row.source_line) for row in found)
    expected = {
        file.name: sum(n % 7 != 0 for n in range(2, c + 1)) for file, c in zip(files, (211, 3, 97), strict=True)
    }
    assert {name: sum(row.source_file == name for row in found) for name in expected} == expected
    assert {(row.source_file, row.source_checksum) for row in found} == {(f.name, f.checksum) for f in files}


def test_lines_as_they_come(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(
        b"\xef\xbb\xbfa,b\r\n"  # byte order mark, CRLF
        b"1,2\r\n"
        b"\r\n"
        b'"x, ""y""",\r\n'  # quoted comma and quotes; an empty last field
        b"3\r\n"
        b"4,5,6\r\n"
        b"caf\xe9,7\r\n"  # Latin-1
        b"a,b\r\n"  # looks like the header, is a row
        b"8,9"  # complete, without a line end
    )
    assert collected(read_rows(spark, [source(path, "a", "b")])) == [
        (2, ("1", "2"), None),
        (4, ('x, "y"', None), None),
        (5, ("3", None), "3"),
        (6, ("4", "5"), "4,5,6"),
        (7, ("caf�", "7"), "caf�,7"),
        (8, ("a", "b"), None),
        (9, ("8", "9"), None),
    ]


def test_records_may_hold_line_breaks(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "articles.csv"
    path.write_bytes(
        b'\xef\xbb\xbfid,text\r\n1,"two\nlines, ""quoted"""\r\n\r\n2,plain\r\n3\r\n4,a,b\r\n5,"end\r\n\r\n"\r\n6,last'
    )
    assert collected(read_records(spark, source(path, "id", "text"))) == [
        (2, ("1", 'two\nlines, "quoted"'), None),
        (5, ("2", "plain"), None),
        (6, ("3", None), "3"),
        (7, ("4", "a"), "4,a,b"),
        (8, ("5", "end\r\n\r\n"), None),
        (11, ("6", "last"), None),
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'id,text\n1,a\n2,"never closed\n3,c\n', r"cannot be read after line 2 \(unexpected end of data\)"),
        (b"id,text\n1,caf\xe9\n", r"cannot be read after line \d+ \('utf-8' codec"),
    ],
)
def test_records_that_cannot_be_told_apart(spark: SparkSession, tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "articles.csv"
    path.write_bytes(content)
    with pytest.raises(JobError, match=said):
        read_records(spark, source(path, "id", "text"))


def test_files_are_read_together_only_if_columns_agree(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).write_text("")
    a, b, c = source(tmp_path / "a", "x", "y"), source(tmp_path / "b", "y", "x"), source(tmp_path / "c", "x", "y")
    assert [[f.name for f in group] for group in by_layout([c, b, a])] == [["a", "c"], ["b"]]
