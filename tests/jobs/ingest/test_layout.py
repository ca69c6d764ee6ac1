"""A file is read by what its bytes are: every way to write the same table gives the same rows."""

import bz2
import gzip
import lzma
import re
from collections.abc import Callable
from io import BufferedReader
from pathlib import Path

import pyarrow as pa
import pytest

from jobs.ingest import files, layout, reading
from jobs.ingest.file_format import FileFormat
from jobs.ingest.files import SourceFile, source_files
from jobs.ingest.mapping import load_mapping
from jobs.ingest.reading import blocks, read_records, read_rows
from jobs.platform.errors import JobError, permanent
from tests.jobs.ingest.retail import C1, C2

HEADER = "customer_id,club_member_status,postal_code"
LINES = [f"{C1},ACTIVE,Málaga", f"{C2},,5 €", "c,LEFT,"]
ROWS = [(2, C1, "ACTIVE", "Málaga"), (3, C2, None, "5 €"), (4, "c", "LEFT", None)]
TEXT = "\n".join([HEADER, *LINES]) + "\n"

MAPPING = """
[articles]
file = "articles.csv"
columns = { article_id = "id" }
[transactions]
file = "transactions.csv"
columns = { t_dat = "t", customer_id = "c", article_id = "a", price = "p", sales_channel_id = "s" }
[customers]
file = "customers.csv"
columns = { customer_id = "customer_id", club_member_status = "club_member_status", postal_code = "postal_code" }
"""


def delivered(folder: Path, content: bytes, options: str = "", name: str = "customers.csv") -> SourceFile:
    (folder / name).write_bytes(content)
    (folder / "mapping.toml").write_text(MAPPING + options)
    (file,) = source_files(folder, load_mapping(str(folder / "mapping.toml")).customers)
    return file


def rows(found: layout.Iterator | list) -> list[tuple]:
    columns = ("customer_id", "club_member_status", "postal_code")
    return sorted(
        (int(line), *texts)
        for part in found
        for line, *texts in zip(part.line, *(part.text(name).to_pylist() for name in columns), strict=True)
        if not part.broken[part.line.tolist().index(line)].is_valid
    )


WAYS: dict[str, tuple[Callable[[str], bytes], str]] = {
    "UTF-8": (lambda t: t.encode(), ""),
    "byte order mark": (lambda t: t.encode("utf-8-sig"), ""),
    "UTF-16": (lambda t: t.encode("utf-16"), ""),
    "UTF-16 big end first": (
        lambda t: b"\xfe\xff" + t.encode("utf-16-be"),
        'encoding = "windows-1252"',
    ),  # the mark counts
    "UTF-32": (lambda t: t.encode("utf-32"), ""),
    "UTF-16 without mark": (lambda t: t.encode("utf-16-le"), 'encoding = "UTF-16LE"'),
    "declared": (lambda t: t.encode("cp1252"), 'encoding = "windows-1252"'),
    "gzip": (lambda t: gzip.compress(t.encode()), ""),
    "gzip in two": (lambda t: gzip.compress(t[:50].encode()) + gzip.compress(t[50:].encode()) + bytes(99), ""),
    "zstd": (lambda t: pa.compress(t.encode(), "zstd", asbytes=True), ""),
    "lz4": (lambda t: pa.compress(t.encode(), "lz4", asbytes=True), ""),
    "bz2": (lambda t: bz2.compress(t.encode()), ""),
    "xz": (lambda t: lzma.compress(t.encode()), ""),
    "UTF-16 in gzip, CRLF": (lambda t: gzip.compress(t.replace("\n", "\r\n").encode("utf-16")), ""),
    "CR": (lambda t: t.replace("\n", "\r").encode(), ""),
    "CR in UTF-16": (lambda t: t.replace("\n", "\r").encode("utf-16"), ""),
    "CRLF and LF": (lambda t: t.replace("\n", "\r\n", 2).encode(), ""),
    "no last line end, Ctrl-Z": (lambda t: t[:-1].encode() + b"\x1a", ""),
    "Ctrl-Z on a line": (lambda t: t.encode() + b"\x1a\r\n", ""),
    "NULs at the end": (lambda t: t.encode() + bytes(500), ""),
    "semicolons": (lambda t: t.replace(",", ";").encode(), 'sep = ";"'),
    "tabs": (lambda t: t.replace(",", "\t").encode(), "sep = '\\t'"),
    "Hive": (lambda t: t.replace(",", "\x01").encode(), 'sep = "\\u0001"'),
    "all quoted": (lambda t: re.sub("[^,\n]+", r'"\g<0>"', t).encode(), ""),
    "other quotes": (lambda t: re.sub("[^,\n]+", r"'\g<0>'", t).encode(), 'quote = "\'"'),
    "header in other letters": (lambda t: t.replace("customer_id,club", " Customer_ID ,CLUB").encode(), ""),
    "columns without a name": (lambda t: t.replace("\n", ",, \n").replace(" ", "", 1).encode(), ""),
    "index of pandas": (lambda t: re.sub("(?m)^(?=.)", "7,", t).replace("7", "", 1).encode(), ""),
    "names twice": (lambda t: t.replace("\n", ",y,y\n").encode(), ""),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_same_rows_however_they_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    write, options = WAYS[way]
    for size in (20, 4 << 20):  # in pieces shorter than a line, and in one
        monkeypatch.setattr(files, "BLOCK_BYTES", size)
        monkeypatch.setattr(reading, "_PIECE_BYTES", size)
        file = delivered(tmp_path, write(TEXT), options)
        assert rows([read_rows(file)]) == ROWS
        assert rows([read_records(file)]) == ROWS
        assert rows(part for block in blocks(file) for part in block.read()) == ROWS


def test_packed_files_are_found_by_either_name_and_not_twice(tmp_path: Path) -> None:
    assert rows([read_rows(delivered(tmp_path, gzip.compress(TEXT.encode()), name="customers.csv.gz"))]) == ROWS
    with pytest.raises(JobError, match=r"customers.csv and customers.csv.gz seem to be the same delivery; leave one"):
        delivered(tmp_path, TEXT.encode())


def test_a_packed_file_is_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"{n},{'x' * (n % 50)}," for n in range(2, 3000)]
    monkeypatch.setattr(files, "BLOCK_BYTES", 5_000)
    file = delivered(tmp_path, gzip.compress("\n".join([HEADER, *lines]).encode()))
    (block,) = blocks(file)
    pieces = list(block.read())
    assert len(pieces) > 10 and max(map(len, pieces)) < 500
    assert [
        (int(line), text)
        for piece in pieces
        for line, text in zip(piece.line, piece.text("customer_id").to_pylist(), strict=True)
    ] == [(n, str(n)) for n in range(2, 3000)]


@pytest.mark.parametrize("encode", [str.encode, lambda t: t.encode("utf-16")], ids=["in blocks", "in a stream"])
def test_lines_of_many_kinds_lose_no_row(tmp_path: Path, encode: Callable[[str], bytes]) -> None:
    """Also read as a block, where rows of odd lines once vanished."""
    lines = ['1,5" pipe,a', "2,x,b\r3,y,c\r4,z,d", "5,,", "6,A\0B,", '7,"q ""r""",', "8,x", "9,,late"]
    file = delivered(tmp_path, encode("\n".join([HEADER, *lines])))
    for found in ([read_rows(file)], [part for block in blocks(file) for part in block.read()]):
        assert rows(found) == [
            *((2, "1", '5" pipe', "a"), (3, "2", "x", "b"), (3, "3", "y", "c"), (3, "4", "z", "d")),
            *((4, "5", None, None), (6, "7", 'q "r"', None), (8, "9", None, "late")),
        ]
        (part,) = found
        assert dict(zip(part.line.tolist(), part.broken.to_pylist(), strict=True))[5] == "6,A\0B,"
        assert part.broken.drop_null().to_pylist() == ["6,A\0B,", "8,x"]


def test_a_nul_byte_breaks_its_line_alone(tmp_path: Path) -> None:
    found = read_rows(delivered(tmp_path, f"{HEADER}\n1,A\0B,\n2,,\n".encode()))
    assert rows([found]) == [(3, "2", None, None)]
    assert found.broken.drop_null().to_pylist() == ["1,A\0B,"]


def test_a_value_under_no_name_breaks_its_line_alone(tmp_path: Path) -> None:
    file = delivered(tmp_path, f"{HEADER},,\n1,a,b,,\n2,a,b, ,x\n3,,,,\n".encode())
    found = read_rows(file)
    assert rows([found]) == [(2, "1", "a", "b"), (4, "3", None, None)]
    assert found.broken.drop_null().to_pylist() == ["2,a,b, ,x"]


def test_bytes_without_a_meaning_break_their_line_alone(tmp_path: Path) -> None:
    content = (
        b"\xff\xfe" + f"{HEADER}\n1,,\n".encode("utf-16-le") + b"2\0\x00\xd8,\0,\0\n\0" + "3,,\n".encode("utf-16-le")
    )
    found = read_rows(delivered(tmp_path, content))
    assert rows([found]) == [(2, "1", None, None), (4, "3", None, None)]
    assert found.broken.drop_null().to_pylist() == ["2\ufffd,,"]


def test_quotes_escaped_as_spark_writes_them(tmp_path: Path) -> None:
    content = "\n".join(
        [
            HEADER,
            r'1,"say \"hi\"",back\slash',
            r'2,end\,"both\\\"x"',
            r'3,"comma, back\\",\N',
            '4,"line',
            r'break \"q\"",x',
        ]
    )
    with pytest.raises(JobError, match=r"give escape = '\\' in the mapping if quotes are escaped by a backslash"):
        read_records(delivered(tmp_path, content.encode()))
    assert rows([read_records(delivered(tmp_path, content.encode(), r"escape = '\'"))]) == [
        (2, "1", 'say "hi"', r"back\slash"),
        (3, "2", "end\\", r"both\"x"),
        (4, "3", "comma, back\\", r"\N"),
        (5, "4", 'line\nbreak "q"', "x"),
    ]


def test_a_mark_of_the_mapping_is_no_mark_elsewhere(tmp_path: Path) -> None:
    declared = FileFormat.model_validate({"quote": "", "sep": "|"})
    (tmp_path / "t").write_text('a|b\n"1|2"\n')
    assert layout.layout_of(str(tmp_path / "t"), declared).quote == ""
    file = delivered(tmp_path, f'{HEADER.replace(",", "|")}\n"1|2"|,\n'.encode(), 'sep = "|"\nquote = ""')
    assert rows([read_rows(file)]) == [(2, '"1', '2"', ",")]


def test_a_file_that_may_not_be_read_is_not_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another delivery of it would not help."""

    def forbidden(path: str) -> BufferedReader:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(layout, "opened", forbidden)
    with pytest.raises(PermissionError) as refused:
        delivered(tmp_path, TEXT.encode())
    assert re.search(r"customers\.csv'; let user \d+ do so there, or name another place$", permanent(refused.value))
