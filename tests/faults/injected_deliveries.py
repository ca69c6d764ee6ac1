"""Deliveries of a second week that hold more, less or other than they should."""

from __future__ import annotations

import shutil
from functools import partial

from tests.faults.campaign import Fault, published, refused
from tests.faults.injected_files import ARTICLES, CUSTOMERS, PURCHASES
from tests.faults.shop import INGEST, PUBLISH, Shop


def lines_of(shop: Shop, file: str) -> tuple[str, list[str]]:
    """Header and lines of a file."""
    header, *lines = (shop.data / file).read_text().splitlines()
    return header, lines


def write(shop: Shop, file: str, header: str, lines: list[str]) -> None:
    """Write a file of lines."""
    (shop.data / file).write_text("\n".join([header, *lines]) + "\n")


def cumulative(shop: Shop) -> None:
    """A second file holds all purchases so far, with one more."""
    header, lines = lines_of(shop, PURCHASES)
    write(shop, "transactions_2.csv", header, [*lines, lines[-1].replace(lines[-1][:10], "2020-09-22")])


def sample_beside(shop: Shop) -> None:
    """Every tenth line again, in a file of its own."""
    header, lines = lines_of(shop, PURCHASES)
    write(shop, "transactions_train_sample.csv", header, lines[::10])


def sorted_copy(shop: Shop) -> None:
    """The same purchases in another order under another name."""
    header, lines = lines_of(shop, PURCHASES)
    write(shop, "transactions_2.csv", header, sorted(lines, key=lambda line: line[::-1]))


def byte_copy(shop: Shop) -> None:
    """The same file under another name."""
    shutil.copy(shop.data / PURCHASES, shop.data / "transactions_copy.csv")


def shorter(file: str, share: float) -> partial[None]:
    """Damage that leaves the last part out of a file."""
    return partial(_shorten, file, share)


def _shorten(file: str, share: float, shop: Shop) -> None:
    header, lines = lines_of(shop, file)
    write(shop, file, header, lines[: round(len(lines) * (1 - share))])


_fault = partial(Fault, "deliveries", after="ingested")

FAULTS = (
    _fault("all purchases so far, in a second file", cumulative, refused(PURCHASES, "transactions_2.csv"), INGEST),
    _fault("a sample beside the whole", sample_beside, refused(PURCHASES, "transactions_train_sample.csv"), INGEST),
    _fault("a copy sorted otherwise", sorted_copy, refused(PURCHASES, "transactions_2.csv"), INGEST),
    _fault("a copy under another name", byte_copy, published("counted once", equal=True), INGEST),
    _fault(
        "articles delisted",
        shorter(ARTICLES, 0.05),
        published("no longer recommended"),
        (*INGEST, *PUBLISH),
        after="published",
    ),
    _fault(
        "customers who left",
        shorter(CUSTOMERS, 0.05),
        published("no longer recommended to"),
        (*INGEST, *PUBLISH),
        after="published",
    ),
)
