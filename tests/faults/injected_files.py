"""Files as other systems write them, and files that are broken: what can be read gives the same tables."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from functools import partial

import polars as pl

from tests.faults.campaign import Fault, refused, same
from tests.faults.shop import INGEST, Shop

PURCHASES, ARTICLES, CUSTOMERS = "transactions_train.csv", "articles.csv", "customers.csv"


def rewritten(file: str, change: Callable[[bytes], bytes]) -> Callable[[Shop], object]:
    """Damage that changes the bytes of one file."""

    def damage(shop: Shop) -> None:
        path = shop.data / file
        path.write_bytes(change(path.read_bytes()))

    return damage


def replaced(old: bytes, new: bytes, count: int = -1) -> Callable[[bytes], bytes]:
    """Bytes with this text instead of that."""
    return lambda content: content.replace(old, new, count)


def split_into_folder(shop: Shop) -> None:
    """As Spark writes a CSV: a folder of that name, with parts and a mark of success."""
    path = shop.data / PURCHASES
    header, *lines = path.read_text().splitlines(keepends=True)
    path.unlink()
    path.mkdir()
    for number in range(3):
        (path / f"part-0000{number}.csv").write_text("".join([header, *lines[number::3]]))
    (path / "_SUCCESS").touch()


def compressed(shop: Shop) -> None:
    """The purchases as .csv.gz."""
    path = shop.data / PURCHASES
    (shop.data / f"{PURCHASES}.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()


def cut_gzip(content: bytes) -> bytes:
    """The first half of a compressed file, under the name of a plain one."""
    whole = gzip.compress(content)
    return whole[: len(whole) // 2]


def quoted(content: bytes) -> bytes:
    """Every field in quotes."""
    return b"\n".join(b'"' + line.replace(b",", b'","') + b'"' for line in content.splitlines()) + b"\n"


def shuffled_columns(shop: Shop) -> None:
    """The purchases' columns in another order, with an unmapped one."""
    path = shop.data / PURCHASES
    rows = pl.read_csv(path, infer_schema=False)
    rows.select(pl.lit("x").alias("till"), *reversed(rows.columns)).write_csv(path)


NO_TEXT = rewritten(ARTICLES, replaced(b",", b",\xff\xfe", 1))

_fault = partial(Fault, "files")

FAULTS = (
    _fault("line ends of CR alone", rewritten(PURCHASES, replaced(b"\n", b"\r")), same()),
    _fault("line ends of CR LF", rewritten(PURCHASES, replaced(b"\n", b"\r\n")), same()),
    _fault("a byte-order mark", rewritten(PURCHASES, lambda content: b"\xef\xbb\xbf" + content), same()),
    _fault("UTF-16", rewritten(PURCHASES, lambda content: content.decode().encode("utf-16")), same()),
    _fault("gzip by name", compressed, same()),
    _fault("gzip under the name of a plain file", rewritten(PURCHASES, gzip.compress), same()),
    _fault("gzip cut in the middle", rewritten(PURCHASES, cut_gzip), refused(PURCHASES)),
    _fault("a folder of parts", split_into_folder, same()),
    _fault("every field in quotes", rewritten(PURCHASES, quoted), same()),
    _fault("other order of columns, one unmapped", shuffled_columns, same()),
    _fault("empty columns at the end", rewritten(PURCHASES, replaced(b"\n", b",,\n")), same()),
    _fault("no such file", lambda shop: (shop.data / PURCHASES).unlink(), refused("transactions")),
    _fault("an empty file", rewritten(PURCHASES, lambda _: b""), refused(PURCHASES)),
    _fault(
        "a column that is missing", rewritten(PURCHASES, replaced(b"price", b"cost", 1)), refused(PURCHASES, "price")
    ),
    _fault("a column twice", rewritten(PURCHASES, replaced(b"price", b"t_dat", 1)), refused(PURCHASES, "t_dat")),
    _fault(
        "bytes that are no text",
        rewritten(ARTICLES, replaced(b",", b",\xff\xfe", 1)),
        refused(ARTICLES),
        INGEST[:1],
        "delivered",
    ),
)
