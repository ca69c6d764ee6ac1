"""Values that cannot be, or can be and are not to be believed: single ones are set aside, many stop the run."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tests.faults.campaign import Fault, published, quarantined, refused, same
from tests.faults.injected_files import ARTICLES, CUSTOMERS, PURCHASES, replaced, rewritten
from tests.faults.shop import INGEST, Shop

DAY, PRICE = "2020-09-01", "0.05"


def purchases(*lines: str, times: int = 1) -> Callable[[Shop], object]:
    """Damage that adds lines: with {customer} and {article} of a purchase that is there."""

    def damage(shop: Shop) -> None:
        path = shop.data / PURCHASES
        content = path.read_text()
        _, customer, article, *_ = content.splitlines()[1].split(",")
        added = "".join(line.format(customer=customer, article=article) + "\n" for line in lines)
        path.write_text(content + added * times)

    return damage


def price(value: str, times: int = 1) -> Callable[[Shop], object]:
    """Damage that adds a purchase at this price."""
    return purchases(f"{DAY},{{customer}},{{article}},{value},2", times=times)


def day(value: str) -> Callable[[Shop], object]:
    """Damage that adds a purchase of this day."""
    return purchases(f"{value},{{customer}},{{article}},{PRICE},2")


def words_for_empty(shop: Shop) -> None:
    """The customers' empty fields as words that other systems write."""
    path = shop.data / CUSTOMERS
    header, *lines = path.read_text().splitlines()
    words = ("NULL", r"\N", "NaN", "None")
    lines = [line.replace(",,", f",{words[n % 4]},", 1) for n, line in enumerate(lines)]
    path.write_text("\n".join([header, *lines]) + "\n")


def lost_zeros(shop: Shop) -> None:
    """The article ids of all files as numbers."""
    for file in (ARTICLES, PURCHASES):
        path = shop.data / file
        header, *lines = path.read_text().splitlines()
        column = header.split(",").index("article_id")
        rows = [line.split(",", column + 1) for line in lines]
        numbers = [",".join([*row[:column], row[column].lstrip("0"), *row[column + 1 :]]) for row in rows]
        path.write_text("\n".join([header, *numbers]) + "\n")


_fault = partial(Fault, "values")

PRICES = ("1e308", "1e9", "-1", "0", "NaN", "inf", "")
DAYS = ("0001-01-01", "1900-01-01", "2020-02-30")
AGE = rewritten(CUSTOMERS, replaced(b",NONE,26,", b",NONE,300,", 1))

FAULTS = (
    *(_fault(f"a price of {value or 'nothing'}", price(value), quarantined(1)) for value in PRICES),
    *(_fault(f"a purchase of {value}", day(value), quarantined(1)) for value in DAYS),
    _fault("a purchase after the as-of date", day("2020-10-01"), published("kept for later dates, in no feature")),
    _fault("a price of 1e9 on many lines", price("1e9", times=3000), refused(PURCHASES, "price")),
    _fault("an unknown article", purchases(f"{DAY},{{customer}},0000000000,{PRICE},2"), quarantined(1)),
    _fault("an unknown customer", purchases(f"{DAY},nobody,{{article}},{PRICE},2"), quarantined(1)),
    _fault("words for empty: NULL, \\N, NaN, None", words_for_empty, same(), INGEST[1:2], "delivered"),
    _fault("article ids as numbers, in all files", lost_zeros, same(), INGEST, "delivered"),
    _fault("an age of 300", AGE, published("age left empty"), INGEST[1:2], "delivered"),
)
