"""From files to tables, as the job does it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from expectations.events import BOT_EVENTS, EVENT_FILES, EVENTS
from expectations.transactions import QUARANTINE
from jobs.platform.errors import JobError
from tests.conftest import SHARED_DATA
from tests.jobs.ingest.events.shop_log import event, rows, take_in, version, write_log

LOOSE = {"max_quarantine_share": 1.0}


def test_files_are_taken_in_once_and_in_any_order(spark: SparkSession, tmp_path: Path) -> None:
    first = [event("10:00:00"), event("10:20:00", "cart"), event("10:20:00", "cart"), "rubbish"]
    late = [event("09:45:00"), event("10:00:00"), event("23:50:00")]
    next_day = [event("2020-09-02T00:10:00Z"), event("2020-09-02T01:00:00Z")]
    columns = ("event_time", "event_type", "session_id", "source_file", "source_line")

    one = tmp_path / "one"
    write_log(one, "events_1.jsonl", first)
    write_log(one, "events_3.jsonl", next_day)
    assert "; 1 were there already" in take_in(spark, one, **LOOSE)
    assert [row[2][-12:-4] for row in rows(one, EVENTS, *columns)] == ["10:00:00"] * 2 + ["00:10:00", "01:00:00"]
    assert rows(one, QUARANTINE, "source_file", "source_line") == [("events_1.jsonl", 4)]
    write_log(one, "events_2.jsonl", late)  # comes last
    take_in(spark, one, **LOOSE)
    after = rows(one, EVENTS, *columns)
    assert [row[2][-12:-4] for row in after] == ["09:45:00"] * 3 + ["23:50:00"] * 2 + ["01:00:00"]
    assert rows(one, EVENT_FILES, "source_file", "event_count", "duplicate_count", "refused_count") == [
        ("events_1.jsonl", 3, 1, 1),
        ("events_2.jsonl", 3, 1, 0),
        ("events_3.jsonl", 2, 0, 0),
    ]
    noted = version(one, EVENTS)
    assert "nothing to do" in take_in(spark, one, **LOOSE) and version(one, EVENTS) == noted

    other = tmp_path / "other"
    for name, log in (("events_1.jsonl", first), ("events_2.jsonl", late), ("events_3.jsonl", next_day)):
        write_log(other, name, log)
    take_in(spark, other, **LOOSE)
    assert rows(other, EVENTS, *columns) == after

    write_log(one, "events_1.jsonl", first[1:3])  # corrected: what it had alone is gone, what others had too is theirs
    take_in(spark, one, **LOOSE)
    assert [row for row in rows(one, EVENTS, *columns) if row[1] == "view" and row[0].hour == 10] == [
        (after[1][0], "view", after[1][2], "events_2.jsonl", 2)
    ]


def test_too_many_broken_rows_stop_it(spark: SparkSession, tmp_path: Path) -> None:
    write_log(tmp_path, "events.jsonl", [event("10:00:00"), '{"time": '])
    with pytest.raises(JobError, match=r"events.jsonl: 1 of 2 rows are bad .* broken line.*first on line 2"):
        take_in(spark, tmp_path)


def test_bots_are_apart(spark: SparkSession, tmp_path: Path) -> None:
    bot = [event(f"10:{n // 60:02d}:{n % 60:02d}", article=f"a{n}", visitor="bot") for n in range(300)]
    write_log(tmp_path, "events.jsonl", [*bot, event("11:59:00", visitor="bot"), event("11:59:00")])
    take_in(spark, tmp_path)
    assert len(rows(tmp_path, EVENTS, "event_id")) == 201 and len(rows(tmp_path, BOT_EVENTS, "event_id")) == 101
    assert rows(tmp_path, EVENT_FILES, "event_count", "bot_count") == [(302, 101)]


def test_ottos_sessions(spark: SparkSession, tmp_path: Path) -> None:
    otto = SHARED_DATA / "otto" / "train.jsonl"
    if not otto.exists():
        pytest.skip("OTTO's sample is not here")
    (tmp_path / "train.jsonl").symlink_to(otto)
    take_in(spark, tmp_path, event_mapping="otto")
    found = rows(tmp_path, EVENTS, "event_type")
    assert {kind: found.count((kind,)) for kind in ("click", "cart", "purchase")} == {
        "click": 800,
        "cart": 52,
        "purchase": 10,
    }
