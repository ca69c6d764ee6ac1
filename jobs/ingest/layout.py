"""How the bytes of a delivered file are laid out, detected from the bytes, not from its name; and its text as UTF-8."""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import lzma
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from io import BufferedReader, RawIOBase, TextIOWrapper
from typing import IO, Any

import pyarrow as pa

from jobs.ingest.file_format import FileFormat
from jobs.platform import storage
from jobs.platform.errors import JobError

_PACKED = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
    b"\xfd7zXZ\x00": "xz",
    b"BZh": "bz2",
}
_FOREIGN = {
    b"PK\x03\x04": "a ZIP archive or an Excel workbook; unpack it, or save it as CSV in UTF-8",
    b"\xd0\xcf\x11\xe0": "an Excel workbook; save it as CSV in UTF-8",
    b"7z\xbc\xaf": "a 7z archive; unpack it",
    b"Rar!": "a RAR archive; unpack it",
    b"<": "HTML or XML, maybe a page that was saved in its place; deliver the file again",
    b"{": "JSON; deliver CSV or Parquet",
    b"Obj\x01": "an Avro file; deliver CSV or Parquet",
    b"ORC": "an ORC file; deliver CSV or Parquet",
    b"ARROW1": "an Arrow file; deliver CSV or Parquet",
    b"PAR1": "a Parquet file in another packing; unpack it",
}
#: Longer ones first: UTF-32's begins with UTF-16's.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_HEAD_BYTES = 64 << 10
#: What a line without content may hold: blanks, and by what DOS and file systems fill the end of a file.
NOTHING = " \t\r\n\v\f\x1a\0"

# Bytes without a meaning in their encoding become one that has none in UTF-8: their line is then a broken one.
_NO_TEXT = "not-utf8"
codecs.register_error(_NO_TEXT, lambda error: ("\udcff", error.end))  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Layout:
    """How a file is read.

    Attributes:
        is_parquet: else it is text, as the rest says.
        is_json: a JSON object on each line, else CSV.
        lists: columns of Parquet that may hold lists of ids, each with the key of the id where they are objects.
        packing: what compressed it, None: nothing.
        encoding: Python's name of the codec.
        ends_in_cr: lines end in CR alone, some at least.
        sep, quote, escape, time_zone, multi_line, last_column_takes_rest: as in FileFormat.
    """

    is_parquet: bool = False
    packing: str | None = None
    encoding: str = "utf-8"
    ends_in_cr: bool = False
    sep: str = ","
    quote: str = '"'
    escape: str = ""
    time_zone: str | None = None
    is_json: bool = False
    lists: tuple[tuple[str, str | None], ...] = ()
    multi_line: bool = False
    last_column_takes_rest: bool = False

    @property
    def is_utf8(self) -> bool:
        """Its text is what is read of it, byte by byte."""
        return self.encoding == "utf-8" and not self.ends_in_cr

    @property
    def has_blocks(self) -> bool:
        """It can be read from any byte on."""
        return self.packing is None and self.is_utf8


#: Plain CSV.
PLAIN = Layout()


def opened(path: str) -> BufferedReader:
    """The bytes of a file, seekable; `path` may be an object-store URI."""
    filesystem, place = storage.filesystem(path)
    return BufferedReader(filesystem.open_input_file(place), 1 << 20)


def layout_of(path: str, declared: FileFormat | None = None) -> Layout:
    """How a file that is not empty is laid out.

    Raises JobError where it is of a kind that is not read here.

    Args:
        path: the file.
        declared: what the mapping says of its table's files.
    """
    said = declared or FileFormat()
    with _damage(path, None), opened(path) as raw:
        start = raw.read(8)
    if start.startswith(b"PAR1"):
        return Layout(is_parquet=True, time_zone=said.time_zone, lists=said.lists)
    if path.endswith(".parquet"):
        raise JobError(f"{path}: not a Parquet file (it does not begin with PAR1); deliver the file again")
    packing = next((name for magic, name in _PACKED.items() if start.startswith(magic)), None)
    with _damage(path, packing), opened(path) as raw:
        head = _unpacked(raw, packing).read(_HEAD_BYTES)
    is_json = said.takes_json and _is_json(path, head)
    if not is_json:
        _refuse_foreign(path, head, packing)
    encoding = next((name for mark, name in _MARKS.items() if head.startswith(mark)), said.encoding)
    start = head[:64]
    if encoding == "utf-8" and start.count(0) > len(start) / 4:
        order = "LE" if start[1::2].count(0) > start[::2].count(0) else "BE"
        raise JobError(
            f'{path}: looks like UTF-16 without a byte order mark; give encoding = "UTF-16{order}" in the mapping'
        )
    text = codecs.getincrementaldecoder(encoding)("replace").decode(head)
    line_end = re.search(r"\r\n|\r|\n", text)
    ends_in_cr = line_end is not None and line_end[0] == "\r" and text != text[: line_end.end()]
    marks = {name: getattr(said, name) for name in ("sep", "quote", "escape", "multi_line", "last_column_takes_rest")}
    return Layout(False, packing, encoding, ends_in_cr, is_json=is_json, **marks)


def _is_json(path: str, head: bytes) -> bool:
    """By what it is, or by its name where its first line is broken; raises JobError on one document of many lines."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"["):
        raise JobError(f"{path}: a JSON array; deliver JSON lines, one object a line (jq -c '.[]')")
    if re.match(rb"\{[ \t]*\r?\n", start):
        raise JobError(f"{path}: JSON objects over several lines; deliver JSON lines, one object a line (jq -c .)")
    return start.startswith(b"{") or re.search(r"\.(jsonl|ndjson|json)(\.\w+)?$", path) is not None


def _refuse_foreign(path: str, head: bytes, packing: str | None) -> None:
    if packing and (twice := next((name for magic, name in _PACKED.items() if head.startswith(magic)), None)):
        raise JobError(f"{path}: packed twice ({packing} of {twice}); unpack it once")
    if head[257:262] == b"ustar":
        raise JobError(f"{path}: a tar archive; unpack it")
    for magic, what in _FOREIGN.items():
        if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(magic):
            raise JobError(f"{path}: {what}")


@contextmanager
def _damage(path: str, packing: str | None) -> Iterator[None]:
    """Says which file it was that cannot be read."""
    try:
        yield
    except PermissionError:
        raise  # it is no damage, and another delivery would not help
    except (OSError, EOFError, zlib.error, lzma.LZMAError, pa.ArrowException) as error:
        what = f"damaged or cut short ({packing}: {error})" if packing else f"cannot be read ({error})"
        raise JobError(f"{path}: {what}; deliver the file again") from error


def _unpacked(raw: BufferedReader, packing: str | None) -> IO[bytes]:
    """The stream without its packing; several packed streams one after another are one."""
    if packing in ("gzip", "bz2", "xz"):
        return {"gzip": gzip, "bz2": bz2, "xz": lzma}[packing].open(raw)
    return BufferedReader(_Readable(pa.CompressedInputStream(raw, packing))) if packing else raw


class _Readable(RawIOBase):
    """Arrow's stream as one of Python's."""

    def __init__(self, stream: pa.NativeFile) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._stream.readinto(buffer)


@contextmanager
def open_text(path: str, layout: Layout, errors: str = "strict") -> Iterator[TextIOWrapper]:
    """The text of a CSV file, without byte order mark; lines that end in CR end in LF here, others end as they do."""
    encoding = "utf-8-sig" if layout.encoding == "utf-8" else layout.encoding
    with (
        _damage(path, layout.packing),
        opened(path) as raw,
        _unpacked(raw, layout.packing) as stream,
        TextIOWrapper(stream, encoding, errors, newline=None if layout.ends_in_cr else "") as text,
    ):
        yield text


def open_leniently(path: str, layout: Layout) -> AbstractContextManager[TextIOWrapper]:
    """As open_text, with U+DCFF in place of what is no text in the file's encoding."""
    return open_text(path, layout, _NO_TEXT)


def utf8_chunks(path: str, layout: Layout, size: int) -> Iterator[bytes]:
    """The text of a CSV file in UTF-8, about `size` bytes at a time, lines that end in CR ended by LF.

    What is no text in the file's encoding is no UTF-8 here. Raises JobError where the file is damaged.
    """
    if layout.is_utf8:
        with _damage(path, layout.packing), opened(path) as raw, _unpacked(raw, layout.packing) as stream:
            while chunk := stream.read(size):
                yield chunk
        return
    with open_leniently(path, layout) as text:
        while found := text.read(size):
            yield found.encode("utf-8", "surrogateescape")


def pieces(path: str, layout: Layout, size: int) -> Iterator[tuple[bytes, int]]:
    """A text file's lines in pieces of about `size` bytes, and the number of each piece's first line.

    Every line ends in LF. The header of CSV is not among them.
    """
    held: list[bytes] = []
    length, number, has_header = 0, 1, not layout.is_json
    for chunk in utf8_chunks(path, layout, min(size, 4 << 20)):
        held, length = [*held, chunk], length + len(chunk)
        end = chunk.rfind(b"\n") + 1
        if end == 0 or (length < size and not has_header):
            continue
        whole = b"".join(held)
        end += length - len(chunk)
        start = whole.find(b"\n") + 1 if has_header else 0
        number, has_header = (2, False) if has_header else (number, has_header)
        if end > start and length >= size:
            yield whole[start:end], number
            number += whole.count(b"\n", start, end)
            start = end
        held, length = [whole[start:]], length - start
    if not has_header and (last := ended(b"".join(held))):
        yield last, number


def ended(lines: bytes) -> bytes:
    """A file's last lines, the last one ended by LF as the others are, without the Ctrl-Z by which DOS ends a file."""
    lines = lines.removesuffix(b"\x1a")
    return lines if lines.endswith(b"\n") or not lines else lines + b"\n"


def not_text(path: str, layout: Layout) -> JobError:
    """What is said of a file whose bytes mean nothing in its encoding."""
    return JobError(
        f"{path}: not a CSV file in {layout.encoding.upper()}; deliver it as UTF-8, or give its encoding in the"
        ' mapping, such as encoding = "windows-1252"'
    )


def records(lines: Iterable[str], layout: Layout) -> Any:
    """csv.reader of lines, strict."""
    if layout.escape:
        lines = (
            unescaped(line.encode("utf-8", "surrogateescape"), layout).decode("utf-8", "surrogateescape")
            for line in lines
        )
    quoting: dict[str, Any] = {"quotechar": layout.quote} if layout.quote else {"quoting": csv.QUOTE_NONE}
    return csv.reader(lines, delimiter=layout.sep, strict=True, **quoting)


def unescaped(lines: bytes, layout: Layout) -> bytes:
    """Lines with quotes doubled where they were escaped: what every parser knows.

    Only lines with a quote are looked at: elsewhere Spark writes the escape as it is.
    """
    escape, quote = layout.escape.encode(), layout.quote.encode()
    if not escape or not quote or escape not in lines or quote not in lines:
        return lines
    pair = re.compile(re.escape(escape) + b"([" + re.escape(escape + quote) + b"])")
    line = re.compile(b"[^\n]*" + re.escape(quote) + b"[^\n]*")
    return line.sub(lambda found: pair.sub(lambda two: quote * 2 if two[1] == quote else escape, found[0]), lines)
