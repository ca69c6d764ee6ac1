"""The one pass over the purchases: what Spark's tasks do of it. Workers import no more.

Each file of the transactions is read once as Arrow, added up by customer and day, and by article and week, and cut by
surrogate key into buckets. Spark's shuffle brings a bucket's parts together, as Arrow streams; its counts, which hardly
grow with the purchases, and its customers are what is returned.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from io import BytesIO
from typing import cast

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from expectations.business import CUSTOMER_SEGMENTS
from jobs.platform import storage
from jobs.platform.data_files import DataFile
from jobs.platform.schemas import arrow_schema
from jobs.platform.staging import Staged
from jobs.reports import assortment, baskets

#: What travels: a bucket, what the part is, and the part as an Arrow stream.
PART = "bucket int, kind string, part binary"
FOUND = "kind string, part binary"
#: Kinds of files, and of parts: of the history (jobs.reports.history) as of an earlier day, and for a later run.
LINES, CUSTOMERS, PAST_CUSTOMERS, PAST_PRICES = "lines", "customers", "past_customers", "past_prices"
_BASKETS, _RECENT, _PRICES = "baskets", "recent", "prices"
#: The customers as of the date.
NOW = "now"
#: Counts that are returned, and the keys of their rows.
COUNTS: Mapping[str, tuple[str, ...]] = {
    "weekly": baskets.WEEKLY_KEY,
    "states": baskets.STATES_KEY,
    "cohorts": ("cohort", "period"),
    "daily": ("days_before",),
    "departments": ("weeks_ago", "department"),
    "articles": ("of", "label"),
    "prices": ("price_bin",),
    "customers": ("weeks_ago", "department"),
    "together": ("one", "other"),
}

_NO_BASKETS = pl.DataFrame(
    schema={
        "customer_key": pl.Int32, "days_before": pl.Int32, "units": pl.Int64, "revenue": pl.Float64,
        "store_units": pl.Int64, "store_revenue": pl.Float64,
    }
)  # fmt: skip
_NO_RECENT = pl.DataFrame(schema=dict.fromkeys(("customer_key", "days_before", "article_key"), pl.Int32))

Batches = Iterator[pa.RecordBatch]


@dataclass(frozen=True)
class Pass:
    """What all tasks of a pass know.

    Attributes:
        as_of_date: of the run.
        since: first day whose lines are read; None: all are.
        horizon: days before the as-of date that the history for later runs ends at.
        buckets: how many.
    """

    as_of_date: date
    since: date | None
    horizon: int
    buckets: int


def cut(of: Pass, files: Sequence[tuple[str, DataFile]], tasks: Batches) -> Batches:
    """Read the files whose positions are given, and cut what they come to into buckets."""
    for kind, file in (files[row] for batch in tasks for row in batch["id"].to_pylist()):
        if kind == LINES:
            lines = baskets.known_lines(_frame(file.read(baskets.LINE)), of.as_of_date, of.since)
            yield from _cut(_BASKETS, baskets.basket_sums(lines), "customer_key", of.buckets)
            yield from _cut(_RECENT, assortment.recent_lines(lines), "customer_key", of.buckets)
            yield from _cut(_PRICES, assortment.article_prices(lines), "article_key", of.buckets)
        elif kind == CUSTOMERS:
            rows = _frame(file.read(["customer_key", "customer_id", "age", "club_member_status"]))
            named = baskets.customer_groups(rows).with_columns(rows["customer_id"])
            yield from _cut(CUSTOMERS, named, "customer_key", of.buckets)
        else:
            key = "customer_key" if kind == PAST_CUSTOMERS else "article_key"
            yield from _cut(kind, counted_back(_frame(file.read(PAST_COLUMNS[kind])), of.as_of_date), key, of.buckets)


#: Columns of the history's files.
PAST_COLUMNS = {
    PAST_CUSTOMERS: (
        "customer_key", "days_before", "basket_count", "amount", "first_day", "store_day", "online_day"
    ),
    PAST_PRICES: (*assortment.PRICES_KEY, "units", "revenue", "price"),
}  # fmt: skip
_WEEKS, _DAYS = "weeks_ago", ("days_before", "first_day", "store_day", "online_day")


def dated(rows: pl.DataFrame, as_of_date: date) -> pl.DataFrame:
    """Days and weeks that are counted back from the as-of date as dates; a week's is the day after it."""
    days = {name: pl.col(name) for name in _DAYS if name in rows.columns}
    days |= {name: pl.col(name) * 7 for name in (_WEEKS,) if name in rows.columns}
    return rows.with_columns(**{n: (pl.lit(as_of_date) - pl.duration(days=d)).cast(pl.Date) for n, d in days.items()})


def counted_back(rows: pl.DataFrame, as_of_date: date) -> pl.DataFrame:
    """What `dated` returned, as of another date: days and weeks counted back from that."""
    days = {name: (pl.lit(as_of_date) - pl.col(name)).dt.total_days() for name in rows.columns if name in _DAYS}
    days |= {name: (pl.lit(as_of_date) - pl.col(name)).dt.total_days() // 7 for name in rows.columns if name == _WEEKS}
    return rows.with_columns(**{name: count.cast(pl.Int32) for name, count in days.items()})


def count(of: Pass, articles: pl.DataFrame, batches: Batches) -> Batches:
    """The counts of one bucket's customers and articles, its customers, and its part of the history.

    Args:
        of: the pass.
        articles: see assortment.labels.
        batches: the bucket's parts.
    """
    parts: dict[str, list[pl.DataFrame]] = defaultdict(list)
    for batch in batches:
        for kind, part in zip(batch["kind"].to_pylist(), batch["part"], strict=True):
            parts[kind].append(read(part.as_buffer()))
    if _BASKETS in parts or PAST_CUSTOMERS in parts:
        yield from _of_customers(of, articles, parts)
    if prices := [*parts[_PRICES], *parts[PAST_PRICES]]:
        known = pl.concat(prices)
        sold = assortment.article_weeks(known)
        yield part_of("departments", assortment.department_counts(sold, articles))
        yield part_of("articles", assortment.article_counts(sold, articles))
        yield part_of("prices", assortment.price_counts(known))
        yield part_of(PAST_PRICES, dated(known.filter(pl.col(_WEEKS) * 7 >= of.horizon), of.as_of_date))


def _of_customers(of: Pass, articles: pl.DataFrame, parts: Mapping[str, list[pl.DataFrame]]) -> Batches:
    customers = pl.concat(parts[CUSTOMERS])
    past = pl.concat(parts[PAST_CUSTOMERS]) if PAST_CUSTOMERS in parts else None
    sums = baskets.added_up([_NO_BASKETS, *parts[_BASKETS]], "customer_key", "days_before")
    made = baskets.baskets(sums, customers.drop("customer_id"), past)
    yield part_of("weekly", baskets.weekly_counts(made))
    yield part_of("states", baskets.state_counts(made))
    yield part_of("cohorts", baskets.cohort_counts(made, of.as_of_date))
    yield part_of("daily", baskets.daily_counts(made))
    recent = pl.concat([_NO_RECENT, *parts[_RECENT]]).unique()
    yield part_of("customers", assortment.department_customers(recent, articles))
    yield part_of("together", assortment.sold_together(recent, articles))
    ids = customers.select("customer_key", "customer_id")
    yield part_of(NOW, baskets.known_customers(made, 0).join(ids, "customer_key", how="left"))
    yield part_of(PAST_CUSTOMERS, dated(baskets.known_customers(made, of.horizon), of.as_of_date))


def stage_segments(
    staged: Staged,
    shares: Mapping[tuple[int, int], float],
    mean_revenue: float,
    stamp: Mapping[str, str],
    found: Batches,
) -> Batches:
    """Write rows of gold/customer_segments as files of the table; a row with the path of each.

    Args:
        staged: the table's folder.
        shares, mean_revenue: see baskets.segments.
        stamp: as_of_date and run_id.
        found: parts of kind NOW.
    """
    names = [name for name in CUSTOMER_SEGMENTS.column_names if name != "as_of_date"]
    schema = pa.schema([arrow_schema(CUSTOMER_SEGMENTS).field(name).with_nullable(True) for name in names])
    for part in (part for batch in found for part in batch["part"]):
        rows = baskets.segments(read(part.as_buffer()), shares, mean_revenue)
        rows = rows.with_columns(run_id=pl.lit(stamp["run_id"])).select(names)
        path = staged.write(rows.to_arrow().cast(schema), as_of_date=stamp["as_of_date"])
        yield pa.RecordBatch.from_pydict({"path": [path]})


def keep(uri: str, found: Batches) -> Batches:
    """Write parts into a folder, a Parquet file each; a row with kind and path of each."""
    filesystem, folder = storage.filesystem(uri)
    for batch in found:
        for kind, part in zip(batch["kind"].to_pylist(), batch["part"], strict=True):
            name = f"{kind}-{uuid.uuid4()}.parquet"
            with filesystem.open_output_stream(f"{folder}/{name}") as stream:
                pq.write_table(read(part.as_buffer()).to_arrow(), stream)
            yield pa.RecordBatch.from_pydict({"kind": [kind], "path": [name]})


def part_of(kind: str, rows: pl.DataFrame) -> pa.RecordBatch:
    """Rows as a part."""
    return pa.RecordBatch.from_pydict({"kind": [kind], "part": [_stream(rows)]})


def read(part: bytes | pa.Buffer) -> pl.DataFrame:
    """The rows of a part."""
    return pl.read_ipc_stream(BytesIO(part))


def _stream(rows: pl.DataFrame) -> bytes:
    stream = BytesIO()
    rows.write_ipc_stream(stream)
    return stream.getvalue()


def _cut(kind: str, rows: pl.DataFrame, key: str, buckets: int) -> Batches:
    by_bucket = rows.with_columns(bucket=pl.col(key) % buckets).partition_by("bucket", as_dict=True, include_key=False)
    for (bucket,), part in by_bucket.items():
        yield pa.RecordBatch.from_arrays(
            [pa.array([bucket], pa.int32()), pa.array([kind]), pa.array([_stream(part)], pa.binary())],
            ["bucket", "kind", "part"],
        )


def _frame(table: pa.Table) -> pl.DataFrame:
    return cast(pl.DataFrame, pl.from_arrow(table))
