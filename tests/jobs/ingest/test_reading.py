import csv
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.ingest import files, reading
from jobs.ingest.files import fingerprint
from jobs.ingest.layout import Layout
from jobs.ingest.raw_rows import RawRows
from jobs.ingest.reading import blocks, read_records, read_rows
from jobs.platform.errors import JobError

#: What a catalogue's texts may hold, quotes and line breaks among it.
TEXT = st.text(st.sampled_from('ab", \n\ré'), min_size=1, max_size=6)


def collected(rows: RawRows) -> list[tuple]:
    fields = [tuple(record.values()) for record in rows.fields.to_pylist()]
    return sorted(zip(rows.line.tolist(), fields, rows.broken.to_pylist(), strict=True))


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_line_numbers_are_exact_across_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(files, "BLOCK_BYTES", size)
    # each row says its own line; every seventh line is blank, line lengths vary
    lines = ["" if n % 7 == 0 else f"{n},{'x' * (n * n % 23)}" for n in range(2, 212)]
    for end in ("\n", "\r\n"):
        path = tmp_path / "big.csv"
        path.write_text("line,filler\n" + end.join(lines), encoding="utf-8", newline="")
        file = fingerprint(str(path), ("line", "filler"))
        assert len(blocks(file)) == -(-path.stat().st_size // size)
        found = [
            pair
            for block in blocks(file)
            for rows in block.read()
            for pair in zip(rows.line, rows.text("line"), strict=True)
        ]
        assert [(int(line), text.as_py()) for line, text in found] == [(n, str(n)) for n in range(2, 212) if n % 7]
        assert collected(read_rows(file)) == sorted(
            (n, (str(n), "x" * (n * n % 23) or None), None) for n in range(2, 212) if n % 7
        )


@pytest.mark.parametrize("size", [8, 64, 1000])
def test_a_file_is_the_same_in_pieces_of_any_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Texts that repeat and texts that do not; empty fields, oddly quoted lines, and lines longer than a piece."""
    lines = [("x" * n if n % 9 else f'{n},"a" b') if n % 5 == 0 else f"{n},{n % 3 or ''}" for n in range(2, 200)]
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "\n".join(lines))
    whole = collected(read_rows(fingerprint(str(path), ("a", "b"))))
    assert [row[0] for row in whole] == list(range(2, 200))
    monkeypatch.setattr(reading, "_PIECE_BYTES", size)
    assert collected(read_rows(fingerprint(str(path), ("a", "b")))) == whole


def test_lines_as_they_come(tmp_path: Path) -> None:
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
    assert collected(read_rows(fingerprint(str(path), ("a", "b")))) == [
        (2, ("1", "2"), None),
        (4, ('x, "y"', None), None),
        (5, (None, None), "3"),
        (6, (None, None), "4,5,6"),
        (7, (None, None), "caf�,7"),
        (8, ("a", "b"), None),
        (9, ("8", "9"), None),
    ]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ('1,"a ""b"", c"\n"2",d\n', [(2, ("1", 'a "b", c'), None), (3, ("2", "d"), None)]),  # quoted, all in order
        ('1,"a\n2,b\n3,c"\n', [(2, (None, None), '1,"a'), (3, ("2", "b"), None), (4, ("3", 'c"'), None)]),
        ("1,a\n2,b\rc\n", [(2, ("1", "a"), None), (3, (None, None), "2,b\rc")]),
        ("   \n1,a\n \r\n", [(3, ("1", "a"), None)]),
    ],
)
def test_an_odd_line_spoils_no_other(tmp_path: Path, lines: str, expected: list[tuple]) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,b\n" + lines.encode())
    found = collected(read_rows(fingerprint(str(path), ("a", "b"))))
    assert [row for row in found if row[2] is None] == [row for row in expected if row[2] is None]
    assert [row[0] for row in found] == [row[0] for row in expected]


def test_quoted_line_breaks_where_the_mapping_has_them(tmp_path: Path) -> None:
    """What is cut short, and never closed, spoils no other row; lines are those in which rows begin."""
    path = tmp_path / "t.csv"
    path.write_bytes(
        b'a,b\n1,"two\r\nlines, ""quoted"""\n2,plain\n3,"never closed\n4,"x"\n"5\n\n5",y\n6,"a\nb",too,long\n7,z\n'
    )
    assert collected(read_rows(fingerprint(str(path), ("a", "b"), Layout(multi_line=True)))) == [
        (2, ("1", 'two\nlines, "quoted"'), None),
        (4, ("2", "plain"), None),
        (5, (None, None), '3,"never closed'),
        (6, ("4", "x"), None),
        (7, ("5\n\n5", "y"), None),
        (10, (None, None), '6,"a'),
        (11, (None, None), 'b",too,long'),
        (12, ("7", "z"), None),
    ]


def test_parquet_rows_are_numbered_across_row_groups(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    moments = [datetime(2020, 9, day, 23, 59) for day in (1, 2, 3, 4, 5)]
    pq.write_table(
        pa.table({"when": moments, "n": [1.0, 2.5, None, 4.0, 5.0], "s": ["x", "", None, "y", "é"]}),
        path,
        row_group_size=2,
    )
    assert collected(read_rows(fingerprint(str(path), ("when", "n", "s")))) == [
        (1, ("2020-09-01", "1", "x"), None),
        (2, ("2020-09-02", "2.5", None), None),
        (3, ("2020-09-03", None, None), None),
        (4, ("2020-09-04", "4", "y"), None),
        (5, ("2020-09-05", "5", "é"), None),
    ]


def test_records_may_hold_line_breaks(tmp_path: Path) -> None:
    path = tmp_path / "articles.csv"
    path.write_bytes(
        b'\xef\xbb\xbfid,text\r\n1,"two\nlines, ""quoted"""\r\n\r\n2,plain\r\n3\r\n4,a,b\r\n5,"end\r\n\r\n"\r\n6,last'
    )
    assert collected(read_records(fingerprint(str(path), ("id", "text")))) == [
        (2, ("1", 'two\nlines, "quoted"'), None),
        (5, ("2", "plain"), None),
        (6, (None, None), "3"),
        (7, (None, None), "4,a,b"),
        (8, ("5", "end\r\n\r\n"), None),
        (11, ("6", "last"), None),
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'id,text\n1,a\n2,"never closed\n3,c\n', r"cannot be read after line 2 \(unexpected end of data\)"),
        (b'id,text\n1,"5" pipe"\n', r"after line 1 \(',' expected after '\"'\); .* give escape = '\\'"),
        (b"id,text\n1,caf\xe9\n", 'not a CSV file in UTF-8; .* such as encoding = "windows-1252"'),
    ],
)
def test_records_that_cannot_be_told_apart(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "articles.csv"
    path.write_bytes(content)
    with pytest.raises(JobError, match=said):
        read_records(fingerprint(str(path), ("id", "text")))


@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=6), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_records_are_those_of_a_csv_reader(records: list[tuple[str, str]], end: str, is_all_quoted: bool) -> None:
    if not is_all_quoted:  # the writer does not quote a bare carriage return, by which its reader ends a record
        records = [(one.replace("\r", ""), other.replace("\r", "")) for one, other in records]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "articles.csv"
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(
                stream, lineterminator=end, quoting=csv.QUOTE_ALL if is_all_quoted else csv.QUOTE_MINIMAL
            )
            writer.writerows([("id", "text"), *records])
        with path.open(encoding="utf-8", newline="") as stream:
            reader, starts = csv.reader(stream), [1]
            expected = [(starts[-1], tuple(row), starts.append(reader.line_num + 1))[:2] for row in reader][1:]
        found = collected(read_records(fingerprint(str(path), ("id", "text"))))
        assert found == [(line, tuple(text or None for text in row), None) for line, row in expected]
