"""The shop's log by Polars, as one would write it by hand: JSON lines to Parquet by day, nothing checked.

python -m benchmarks.events_polars DATA OUT
"""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

import polars as pl

from benchmarks.events_log import BOT_EVENTS, WEIGHTS

SCHEMA = {
    **dict.fromkeys(("event_id", "time", "event", "visitor_id", "customer_id", "article_id", "list"), pl.String),
    "position": pl.Int32, "quantity": pl.Int32, "price": pl.Float64,
    **dict.fromkeys(("currency", "city", "region", "birth_date"), pl.String),
}  # fmt: skip


def main(data: Path, out: Path) -> None:
    """One Parquet file a day of events, and of bots'."""
    minutes = timedelta(minutes=1)
    moment = pl.col("time").str.to_datetime("%Y-%m-%dT%H:%M:%S%.3fZ", time_unit="us", time_zone="UTC")
    rows = (
        pl.scan_ndjson(data / "events" / "*.jsonl", schema=SCHEMA)
        .with_columns(event_time=moment, weight=pl.col("event").replace_strict(WEIGHTS, return_dtype=pl.Float64))
        .drop("time", "birth_date")
        .collect()
        .unique(["event_id", "article_id"], keep="any")
        .sort("visitor_id", "event_time", "event_id")
    )
    signed_at = pl.when(pl.col("customer_id").is_not_null()).then("event_time").forward_fill().over("visitor_id")
    last = pl.col("customer_id").forward_fill().over("visitor_id")
    is_recent = pl.col("event_time") - signed_at <= timedelta(days=30)
    rows = rows.with_columns(
        is_signed_in=pl.col("customer_id").is_not_null(), customer_id=pl.when(is_recent).then(last)
    )
    acts = rows.filter(pl.col("event") != "impression").select("visitor_id", "event_time")
    back = acts.select(pl.all().shift(BOT_EVENTS).name.prefix("back_"))
    is_over = (pl.col("visitor_id") == pl.col("back_visitor_id")) & (
        pl.col("event_time") - pl.col("back_event_time") <= 60 * minutes
    )
    over = acts.hstack(back).filter(is_over).group_by("visitor_id").agg(since=pl.col("event_time").min())
    rows = rows.join(over, on="visitor_id", how="left")
    is_bot = (pl.col("event_time") >= pl.col("since")).fill_null(False)
    for name, part in (("events", rows.filter(~is_bot)), ("bot_events", rows.filter(is_bot))):
        whose = pl.coalesce(pl.lit("c:") + pl.col("customer_id"), pl.lit("v:") + pl.col("visitor_id"))
        ordered = part.drop("since").with_columns(whose=whose).sort("whose", "event_time")
        is_same = (pl.col("whose") == pl.col("whose").shift(1)) & (
            pl.col("event_time") - pl.col("event_time").shift(1) <= 30 * minutes
        )
        begins = pl.when(~is_same.fill_null(False)).then("event_time").forward_fill()
        session = pl.concat_str("whose", begins.dt.strftime("%Y-%m-%dT%H:%M:%S%.3f"), separator="@")
        found = ordered.with_columns(session_id=session, event_date=pl.col("event_time").dt.date()).drop("whose")
        for (day,), of_day in found.partition_by("event_date", as_dict=True, include_key=False).items():
            folder = out / name / f"event_date={day}"
            folder.mkdir(parents=True, exist_ok=True)
            of_day.sort("event_time").write_parquet(folder / "part.parquet", compression="snappy")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
