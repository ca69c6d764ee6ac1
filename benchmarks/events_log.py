"""A log of any size in Atelier's shape, a file a day; and what all contestants make of it alike."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from jobs.ingest.events.mapping import load_log_mapping

LOG = load_log_mapping("atelier").events
WEIGHTS = {rule.when["event"]: rule.weight for rule in LOG.rules}
BOT_EVENTS = LOG.bot_events
EVENTS_A_DAY = 1_000_000
_KINDS = ["impression", "view", "click", "wishlist", "cart", "purchase"]
_SHARES = [0.5, 0.3, 0.08, 0.03, 0.06, 0.03]
_TWICE = 0.01
_VISIT = 12  # events, on average


def write(folder: Path, events: int, seed: int = 1) -> Path:
    """Days of events before 2020-09-23; a hundredth is delivered twice. Nothing is broken: Polars would stop."""
    days = max(1, round(events / EVENTS_A_DAY))
    (folder / "events").mkdir(parents=True)
    for n in range(days):
        rng = np.random.default_rng([seed, n])
        _day(rng, date(2020, 9, 22) - timedelta(days=days - 1 - n), events // days).write_ndjson(
            folder / "events" / f"events_{n:03d}.jsonl"
        )
    return folder


def _day(rng: np.random.Generator, day: date, events: int) -> pl.DataFrame:
    visits = max(events // _VISIT, 1)
    visit = np.sort(rng.integers(0, visits, events))
    visitor = rng.integers(0, 3 * visits, visits)[visit]
    second = rng.integers(0, 80_000, visits)[visit] + rng.integers(0, 4_000, events)
    # No two events of a visit at one time: which of them is the first no contestant could know.
    moment = np.datetime64(day, "ms") + (second * 1_000 + np.arange(events) % 1_000).astype("timedelta64[ms]")
    kind = rng.choice(len(_KINDS), events, p=_SHARES)
    is_signed = rng.random(events) < 0.4
    is_bought, is_shown = kind == 5, kind == 0
    lists = pl.Series(["search", "category", "recommendations"]).gather(rng.integers(0, 3, events))

    def texts(prefix: str, numbers: np.ndarray, width: int) -> pl.Series:
        return prefix + pl.Series(numbers).cast(pl.String).str.zfill(width)

    frame = pl.DataFrame({
        "event_id": texts(f"{day:%Y%m%d}", np.arange(events), 8),
        "time": pl.Series(moment).dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ"),
        "event": pl.Series(_KINDS).gather(kind),
        "visitor_id": texts("v", visitor, 8),
        "customer_id": texts("c", visitor // 2, 63).set(pl.Series(~is_signed), None),
        "article_id": texts("0", rng.integers(0, 105_542, events), 9),
        "list": lists.set(pl.Series(~is_shown), None),
        "position": pl.Series(rng.integers(0, 24, events)).set(pl.Series(~is_shown), None),
        "quantity": pl.Series(np.ones(events, np.int64)).set(pl.Series(~is_bought), None),
        "price": pl.Series(rng.integers(100, 9_999, events) / 100).set(pl.Series(~is_bought), None),
        "currency": pl.Series(["SEK"]).new_from_index(0, events).set(pl.Series(~is_bought), None),
        "city": pl.Series(["Stockholm", "Malmö", "Lund", None]).gather(visitor % 4),
        "region": pl.Series(["Stockholm", "Skåne", "Skåne", None]).gather(visitor % 4),
        "birth_date": pl.Series([None], dtype=pl.String).new_from_index(0, events),
    })  # fmt: skip
    return pl.concat([frame, frame.sample(fraction=_TWICE, seed=int(rng.integers(2**32)))])
