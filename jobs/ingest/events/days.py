"""One day of events put together: each once, with who did it, in sessions, bots apart.

What a row is given depends on the event itself and on earlier ones alone, so that it is the same in whatever order
files come, and whatever comes later.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from expectations.events import EVENTS
from jobs.ingest.events.mapping import EventsMapping

#: The first of several rows that are one event stays.
_ORDER = ("event_time", "source_file", "source_line")
_COUNTED = pl.col("event_type") != "impression"


@dataclass(frozen=True)
class Day:
    """A day's rows, without event_date.

    `duplicates` and `bots_by_file`: how many rows of each file were dropped, and put among the bots.
    """

    events: pl.DataFrame
    bots: pl.DataFrame
    duplicates: dict[str, int]
    bots_by_file: dict[str, int]


def put_together(
    rows: pl.DataFrame, sign_ins: pl.DataFrame, day: date, mapping: EventsMapping, gap_minutes: int
) -> Day:
    """The day's events.

    Args:
        rows: events of the day and of the day before, as files state them (customer_id may be stitched already).
        sign_ins: visitor_id, customer_id, event_time of sign-ins before those two days.
        day: the day.
        mapping: the log's.
        gap_minutes: a longer pause ends a session.
    """
    once = _once(rows.with_columns(customer_id=pl.when("is_signed_in").then("customer_id")))
    is_today = pl.col("event_date") == day
    duplicates = _by_file(rows.filter(is_today)) - _by_file(once.filter(is_today))
    known = _with_customers(_connected(once, sign_ins, day), sign_ins, timedelta(days=mapping.identity_days))
    is_bot = _is_bot(known, mapping)
    bots, people = known.filter(is_bot), known.filter(~is_bot)
    names = [name for name in EVENTS.column_names if name not in EVENTS.partition_by]
    of_bots = _with_sessions(bots, gap_minutes).filter(is_today)
    events = _with_sessions(people, gap_minutes).filter(is_today)
    return Day(events.select(names), of_bots.select(names), dict(duplicates), dict(_by_file(of_bots)))


def _once(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows without those that are an event, and article, for the second time; only these few are put in order."""
    identity = ["event_id", "article_id"]
    # Digests are compared in half the time; of two rows that share one by chance both are kept below.
    is_repeated = rows.select(pl.struct(identity).hash().is_duplicated()).to_series()
    if not is_repeated.any():
        return rows
    first = rows.filter(is_repeated).sort(_ORDER).unique(identity, keep="first")
    return pl.concat([rows.filter(~is_repeated), first])


def _connected(rows: pl.DataFrame, sign_ins: pl.DataFrame, day: date) -> pl.DataFrame:
    """Rows of the day, and those of the day before that can matter to them: of the same devices and customers."""
    today, before = rows.filter(pl.col("event_date") == day), rows.filter(pl.col("event_date") != day)
    pair = ["visitor_id", "customer_id"]
    signed = pl.concat([sign_ins.select(pair), before.filter("is_signed_in").select(pair)])
    devices = today["visitor_id"].unique()
    customers = pl.concat(
        [today["customer_id"], signed.filter(pl.col("visitor_id").is_in(devices.implode()))["customer_id"]]
    ).unique()
    devices = pl.concat(
        [devices, signed.filter(pl.col("customer_id").is_in(customers.implode()))["visitor_id"]]
    ).unique()
    is_known = pl.col("visitor_id").is_in(devices.implode()) | pl.col("customer_id").is_in(customers.implode())
    return pl.concat([today, before.filter(is_known)])


def _by_file(rows: pl.DataFrame) -> Counter[str]:
    return Counter(dict(rows["source_file"].value_counts().iter_rows()))


def _with_customers(rows: pl.DataFrame, sign_ins: pl.DataFrame, horizon: timedelta) -> pl.DataFrame:
    """Rows that state no customer with the one who signed in last on their device, before them."""
    own = rows.filter("is_signed_in", pl.col("visitor_id").is_not_null())
    all_of = pl.concat([sign_ins, own.select(sign_ins.columns)]).sort("event_time", "customer_id")
    unknown = rows.filter(~pl.col("is_signed_in"))
    if not len(all_of) or not len(unknown):
        return rows
    signed = all_of.rename({"customer_id": "signed_in", "event_time": "signed_in_at"}).set_sorted("signed_in_at")
    found = unknown.sort("event_time").join_asof(
        signed, left_on="event_time", right_on="signed_in_at", by="visitor_id", strategy="backward",
        tolerance=horizon, check_sortedness=False,
    )  # fmt: skip
    mended = found.with_columns(customer_id="signed_in").select(rows.columns)
    return pl.concat([rows.filter("is_signed_in"), mended])


def _is_bot(rows: pl.DataFrame, mapping: EventsMapping) -> pl.Series:
    """True from the event on with which a device was faster than a person is."""
    device = pl.coalesce("visitor_id", "customer_id")
    back = mapping.bot_events
    window = timedelta(minutes=mapping.bot_minutes)
    is_over = (pl.col("device") == pl.col("device").shift(back)) & (
        pl.col("event_time") - pl.col("event_time").shift(back) <= window
    )
    acts = rows.filter(_COUNTED).select(device.alias("device"), "event_time", "event_id").sort("device", "event_time")
    if len(fast := acts.filter(is_over)):  # by their rows, of which an event with several products has several
        acts = acts.filter(pl.col("device").is_in(fast["device"].unique().implode()))
        acts = acts.unique(["device", "event_id"], keep="first", maintain_order=True)
    since = acts.filter(is_over).group_by("device").agg(pl.col("event_time").min().alias("since"))
    if not len(since):
        return pl.repeat(False, len(rows), dtype=pl.Boolean, eager=True)
    found = rows.select(device.alias("device"), "event_time").join(
        since, on="device", how="left", maintain_order="left"
    )
    return found.select((pl.col("event_time") >= pl.col("since")).fill_null(False)).to_series()


def _with_sessions(rows: pl.DataFrame, gap_minutes: int) -> pl.DataFrame:
    """Rows with the session that each is of: whose it is, and when it began."""
    whose = pl.coalesce(pl.lit("c:") + pl.col("customer_id"), pl.lit("v:") + pl.col("visitor_id"))
    # Together, in whatever order: digests are sorted in less time than texts.
    ordered = rows.with_columns(whose=whose).sort(pl.col("whose").hash(), "event_time", "event_id", "article_id")
    is_same = (pl.col("whose") == pl.col("whose").shift(1)) & (
        pl.col("event_time") - pl.col("event_time").shift(1) <= timedelta(minutes=gap_minutes)
    )
    name = pl.concat_str("whose", pl.col("event_time").dt.strftime("%Y-%m-%dT%H:%M:%S%.3f"), separator="@")
    begins = ordered.filter(~is_same.fill_null(False)).select(name).to_series()
    number = (~is_same.fill_null(False)).cum_sum().cast(pl.UInt32) - 1
    place = ordered.select(number).to_series()
    return ordered.with_columns(begins.gather(place).alias("session_id"))
