"""Purchase histories as parallel arrays: what candidate sources, training sets and baselines all start from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from expectations.articles import ARTICLES
from expectations.contract import Contract, gone_on_of, key_of
from expectations.customers import CUSTOMERS
from expectations.transactions import TRANSACTIONS
from jobs.platform.codes import NO_ARTICLE, Ints
from jobs.platform.errors import JobError
from jobs.platform.job import Job

#: Of a surrogate key that no id has.
NO_CODE = -1
#: The day after all days.
NEVER = int(np.iinfo(np.int32).max)


def day_number(day: date) -> int:
    """Days since 1970-01-01, the unit of `Purchases.day`."""
    return int(np.datetime64(day, "D").astype(np.int64))


@dataclass(frozen=True)
class Purchases:
    """Units bought, one element per unit, ordered by (day, customer, article).

    Customers and articles are codes: positions in the sorted ids of the silver tables.

    Attributes:
        day: days since 1970-01-01, int32.
        customer: customer codes, int32.
        article: article codes, int32.
        customer_ids: every customer's id by code, with or without purchases.
        article_ids: every article's id by code.
        end: the day before which they were looked at, so the as-of date of a history; NEVER: all days were.
        left_date: day from which each customer is a customer no more, by code, else NEVER; None: all still are.
        delisted_date: day from which each article is listed no more, likewise.
        product: code of the product each article is a variant of, (articles,); None: nothing is known of products.
    """

    day: Ints
    customer: Ints
    article: Ints
    customer_ids: pa.StringArray
    article_ids: pa.StringArray
    end: int = NEVER
    left_date: Ints | None = None
    delisted_date: Ints | None = None
    product: Ints | None = None

    def __len__(self) -> int:
        return len(self.day)

    def between(self, start: date | None, end: date) -> Purchases:
        """Those with start <= day < end; `start` None: everything before `end`."""
        first = 0 if start is None else np.searchsorted(self.day, day_number(start), "left")
        last = np.searchsorted(self.day, day_number(end), "left")
        return replace(self.where(slice(int(first), int(last))), end=min(self.end, day_number(end)))

    def where(self, units: slice | npt.NDArray[np.bool_]) -> Purchases:
        """Some of the units, in the same order."""
        return replace(self, day=self.day[units], customer=self.customer[units], article=self.article[units])

    def products(self) -> Ints:
        """Code of each article's product, (articles,); an article of which nothing is known is a product of its own."""
        return np.arange(len(self.article_ids), dtype=np.int32) if self.product is None else self.product

    def known(self) -> tuple[Ints, Ints, Ints]:
        """Day, customer and article of every unit, the latter two numbered among those that occur.

        Those numbers stay the same whoever and whatever else becomes known.
        """
        sides = ((self.customer, len(self.customer_ids)), (self.article, len(self.article_ids)))
        numbers = []
        for codes, size in sides:
            occurs = np.zeros(size, dtype=np.int32)
            occurs[codes] = 1
            numbers.append((np.cumsum(occurs, dtype=np.int32) - 1)[codes])
        return self.day, numbers[0], numbers[1]

    def before(self, as_of_date: date) -> Purchases:
        """The history that a run as of that date may see."""
        return self.between(None, as_of_date)

    def articles_sold(self) -> npt.NDArray[np.bool_]:
        """Mask over article codes: sold at least once in this history."""
        mask = np.zeros(len(self.article_ids), dtype=bool)
        mask[self.article] = True
        return mask

    def articles_listed(self) -> npt.NDArray[np.bool_]:
        """Mask over article codes: not delisted at the end of this history."""
        return _still_there(self.delisted_date, self.end, len(self.article_ids))

    def articles_on_sale(self) -> npt.NDArray[np.bool_]:
        """Mask over article codes: sold at least once in this history and still listed, so it can be picked."""
        return self.articles_sold() & self.articles_listed()

    def customers(self) -> Ints:
        """Codes of those who are customers at the end of this history, ascending."""
        return np.flatnonzero(_still_there(self.left_date, self.end, len(self.customer_ids))).astype(np.int32)


def _still_there(gone_on: Ints | None, day: int, size: int) -> npt.NDArray[np.bool_]:
    return np.ones(size, dtype=bool) if gone_on is None else np.asarray(gone_on > day)


def still_there(rows: pa.Table, gone_on: str, as_of_date: date) -> pa.Table:
    """The customers, or articles, that are so as of a date.

    Args:
        rows: of their table.
        gone_on: left_date or delisted_date.
    """
    return rows.filter(pc.greater(rows[gone_on], pa.scalar(as_of_date, pa.date32())).fill_null(True))


def encode(values: pa.ChunkedArray, ids: pa.StringArray, what: str) -> Ints:
    """Codes of `values` in `ids`; raises JobError when one is unknown."""
    codes = pc.index_in(values, value_set=ids)
    if codes.null_count:
        unknown = values.filter(pc.is_null(codes))[0]
        raise JobError(
            f"silver/{what}s: {codes.null_count:,} rows name an unknown {what}, such as {unknown}; rerun ingest"
        )
    return codes.to_numpy().astype(np.int32, copy=False)


def sorted_ids(column: pa.ChunkedArray) -> pa.StringArray:
    """Distinct ids in ascending order: the code of an id is its position."""
    ids = column.combine_chunks()
    return ids.take(pc.array_sort_indices(ids))


#: The tables that `load_purchases` reads; a job that calls it declares them.
PURCHASE_TABLES = (ARTICLES, CUSTOMERS, TRANSACTIONS)


def load_purchases(job: Job, before: date) -> Purchases:
    """All purchases dated before `before`, from the silver tables."""
    sides = {what: _coded(job, table, what) for what, table in (("customer", CUSTOMERS), ("article", ARTICLES))}
    columns = ["t_dat", *(key_of(f"{what}_id") for what in sides)]
    rows = job.read_arrow(TRANSACTIONS, columns, before={"t_dat": before})
    if not rows.num_rows:
        raise JobError(f"silver/transactions: no purchase before {before}; check --data and --as-of-date")
    codes = [_codes_of(rows[key_of(f"{what}_id")].to_numpy(), by_key, what) for what, (_, by_key, _) in sides.items()]
    ids = [ids for ids, _, _ in sides.values()]
    day = rows["t_dat"].cast(pa.int32()).to_numpy()
    # One number per line: sorting those is many times faster than sorting positions.
    bits = [len(some).bit_length() for some in ids]
    first = int(day.min())
    packed = (day - first).astype(np.int64)
    for code, width in zip(codes, bits, strict=True):
        packed <<= width
        packed |= code
    packed.sort()
    article = (packed & (1 << bits[1]) - 1).astype(np.int32)
    packed >>= bits[1]
    customer = (packed & (1 << bits[0]) - 1).astype(np.int32)
    packed >>= bits[0]
    return Purchases(
        (packed + first).astype(np.int32),
        customer,
        article,
        customer_ids=ids[0],
        article_ids=ids[1],
        end=day_number(before),
        left_date=sides["customer"][2],
        delisted_date=sides["article"][2],
        product=_products(job, ids[1]),
    )


def _products(job: Job, article_ids: pa.StringArray) -> Ints:
    """The code of each article's product; an article without a product code is a product of its own."""
    rows = job.read_arrow(ARTICLES, ["article_id", "product_code"])
    rows = rows.take(pc.index_in(article_ids, value_set=rows["article_id"].combine_chunks()))
    product = pc.coalesce(rows["product_code"], rows["article_id"]).combine_chunks()
    return product.dictionary_encode().indices.to_numpy().astype(np.int32)


def _coded(job: Job, table: Contract, what: str) -> tuple[pa.StringArray, Ints, Ints]:
    """The ids of a table in ascending order, and what is known of them.

    That is each one's code by surrogate key, NO_CODE where no id has the key, and the day that it was gone on by code.
    """
    rows = job.read_arrow(table, [f"{what}_id", key_of(f"{what}_id"), gone_on_of(table)])
    ids, keys = rows[0].combine_chunks(), rows[1].to_numpy()
    order = pc.array_sort_indices(ids)
    by_key = np.full(keys.max(initial=-1) + 1, NO_CODE, dtype=np.int32)
    by_key[keys[order.to_numpy()]] = np.arange(len(ids), dtype=np.int32)
    gone_on = rows[2].cast(pa.int32()).fill_null(NEVER).to_numpy()
    return ids.take(order), by_key, gone_on[order.to_numpy()]


def _codes_of(keys: Ints, by_key: Ints, what: str) -> Ints:
    """Codes of surrogate keys; raises JobError when one is unknown."""
    codes = np.append(by_key, NO_CODE)[np.minimum(keys, len(by_key))]
    unknown = codes == NO_CODE
    if unknown.any():
        raise JobError(
            f"silver/transactions: {int(unknown.sum()):,} rows name an unknown {what}, such as {what}_key "
            f"{keys[unknown][0]}; rerun ingest"
        )
    return codes


def first_per_group(groups: Ints, values: Ints, wanted: Sequence[int] | Ints, width: int) -> Ints:
    """The first `width` values of each wanted group, as a matrix.

    Args:
        groups: group of each element, ascending; shape (n,).
        values: value of each element, in order of preference within its group; shape (n,).
        wanted: groups to return, in any order; shape (g,).
        width: number of columns.

    Returns:
        Shape (g, width), padded with NO_ARTICLE.
    """
    wanted = np.asarray(wanted)
    start = np.searchsorted(groups, wanted, "left")
    end = np.searchsorted(groups, wanted, "right")
    position = start[:, None] + np.arange(width)
    filled = position < end[:, None]
    padded = np.full(position.shape, NO_ARTICLE, dtype=np.int32)
    padded[filled] = values[position[filled]]
    return padded
