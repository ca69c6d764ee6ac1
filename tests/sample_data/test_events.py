"""The shop's log: the same bytes for the same seed, and no trace of it in the other files."""

import hashlib
import json
from pathlib import Path

import polars as pl

from sample_data.app_log import APP_COLUMNS
from sample_data.generate import PRESETS, generate

LOG = pl.Struct(dict.fromkeys(("event_id", "time", "event", "visitor_id", "article_id"), pl.String))


def digests(out: Path) -> dict[str, str]:
    files = (path for path in out.rglob("*") if path.is_file())
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_same_seed_gives_the_same_log_and_the_same_purchases_without_it(tmp_path: Path) -> None:
    for name, days in (("one", 2), ("again", 2), ("without", 0)):
        generate(tmp_path / name, PRESETS["tiny"], seed=1, image_count=0, event_days=days)
    one, again, without = (digests(tmp_path / name) for name in ("one", "again", "without"))
    assert one == again and without == {name: one[name] for name in one if "/" not in name}
    logs = {f"events/events_2020-09-{day}.jsonl" for day in (21, 22)} | {"events/truth.json"}
    app = {f"app_log/events_2020-09-{day}.csv" for day in (21, 22)} | {"app_log/products.csv", "app_log/truth.json"}
    assert one.keys() - without.keys() == logs | app
    header = (tmp_path / "one" / "app_log" / "events_2020-09-22.csv").read_text().partition("\n")[0]
    assert header.split(",") == APP_COLUMNS and len(APP_COLUMNS) == 44
    truth = json.loads((tmp_path / "one" / "events" / "truth.json").read_text())
    lines = sum(len(path.read_text().splitlines()) for path in (tmp_path / "one" / "events").glob("*.jsonl"))
    assert lines == truth["events"] + truth["bot_events"] + truth["duplicates"] + truth["broken"]


def test_a_third_of_what_is_bought_was_looked_at_on_an_earlier_day(tmp_path: Path) -> None:
    generate(tmp_path, PRESETS["tiny"], seed=1, image_count=0, event_days=60)
    lines = [line for path in (tmp_path / "events").glob("*.jsonl") for line in path.read_text().splitlines()]
    whole = pl.DataFrame({"line": lines}).filter(
        pl.col("line").str.starts_with("{") & pl.col("line").str.ends_with("}")
    )
    events = whole.select(pl.col("line").str.json_decode(LOG)).unnest("line").unique("event_id")
    events = events.drop_nulls(["time", "article_id"]).filter(pl.col("visitor_id").str.starts_with("d"))
    who = pl.col("visitor_id").str.slice(1).cast(pl.Int64) // 2  # of either device
    events = events.select("event", "article_id", who=who, day=pl.col("time").str.head(10).str.to_date())
    bought = events.filter(pl.col("event") == "purchase").unique(["who", "article_id", "day"])
    views = events.filter(pl.col("event") == "view").unique(["who", "article_id", "day"])
    both = bought.join(views, on=["who", "article_id"], suffix="_viewed")
    wait = pl.col("day") - pl.col("day_viewed")
    before = both.filter(wait > pl.duration(days=0), wait <= pl.duration(days=7))
    settled = pl.col("day") >= events["day"].min() + pl.duration(days=7)  # whose earlier visits are in the log, too
    share = len(before.filter(settled).unique(["who", "article_id", "day"])) / len(bought.filter(settled))
    assert 0.3 < share < 0.6 and len(bought) > 200  # in so small a shop some by chance, too
    idle = views.join(bought, on=["who", "article_id"], how="anti")
    assert len(idle) > len(views) / 3  # many a look leads to nothing
