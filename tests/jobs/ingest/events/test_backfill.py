"""Days of the DAG shop_events one after the other, as a backfill asks for them: its jobs, as of the end of each day."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from pyspark.sql import SparkSession

from expectations.events import BOT_EVENTS, EVENT_FILES, EVENTS, VISITOR_FACTS, VISITORS
from jobs.ingest import products, shop_events, visitors
from tests.jobs.ingest.events.shop_log import event, rows, take_in, version, write_log

FIRST, SECOND = date(2020, 9, 1), date(2020, 9, 2)


def run_day(spark: SparkSession, data: Path, day: date) -> list[str]:
    """What the jobs of the day's run say; `products` has no files here."""
    as_of = day.replace(day=day.day + 1)
    return [take_in(spark, data, module, as_of_date=as_of) for module in (shop_events, products, visitors)]


def known_of(data: Path, day: date) -> list[list[tuple]]:
    """Every value of the day's events and of what is known of visitors at its end."""
    as_of = day.replace(day=day.day + 1)
    where = {EVENTS: ("event_date", day), BOT_EVENTS: ("event_date", day), VISITORS: ("as_of_date", as_of)}
    return [
        [row for row in rows(data, table, *table.column_names) if row[table.column_names.index(column)] == value]
        for table, (column, value) in where.items()
    ]


def write_day(data: Path, day: date, *more: dict) -> None:
    """Seen by two visitors, of whom one says who and where they are."""
    stated = {"customer_id": "c2", "birth_date": "1990-05-01", "city": "Lund", "region": "Skåne"}
    hours = [event(f"{day}T{hour:02d}:00:00Z", article=f"a{hour}") for hour in (8, 9)]
    write_log(data, f"events_{day}.jsonl", [*hours, event(f"{day}T10:00:00Z", visitor="v2", **stated), *more])


def test_days_are_taken_in_once_and_later_files_change_nothing_of_them(spark: SparkSession, tmp_path: Path) -> None:
    tables = (EVENTS, BOT_EVENTS, VISITOR_FACTS, EVENT_FILES)
    write_day(tmp_path, FIRST)
    assert "3 events of 1 days" in run_day(spark, tmp_path, FIRST)[0]
    first = known_of(tmp_path, FIRST)
    assert [len(part) for part in first] == [3, 0, 2]

    write_day(tmp_path, SECOND, event("2020-09-02T12:00:00Z", "cart", customer_id="c1"))
    assert "4 events of 1 days from events_2020-09-02.jsonl" in run_day(spark, tmp_path, SECOND)[0]
    second, versions = known_of(tmp_path, SECOND), [version(tmp_path, table) for table in tables]
    assert known_of(tmp_path, FIRST) == first and [len(part) for part in second] == [4, 0, 2]

    assert "nothing to do" in run_day(spark, tmp_path, FIRST)[0]  # the first day again
    assert (known_of(tmp_path, FIRST), known_of(tmp_path, SECOND)) == (first, second)
    assert [version(tmp_path, table) for table in tables] == versions

    # Another story of the second day: other people on the same devices, other ages and places, a bot, no cart.
    forged = {"customer_id": "c9", "birth_date": "1950-01-01", "city": "Malmö", "region": "Halland"}
    fast = [event(f"2020-09-02T13:{n // 60:02d}:{n % 60:02d}Z", visitor="v2", article=f"b{n}") for n in range(250)]
    story = [event(f"2020-09-02T0{hour}:00:00Z", visitor=v, **forged) for hour in (1, 7) for v in ("v1", "v2")]
    write_log(tmp_path, f"events_{SECOND}.jsonl", [*story, *fast])
    assert "254 events of 1 days" in run_day(spark, tmp_path, SECOND)[0]
    run_day(spark, tmp_path, FIRST)
    assert known_of(tmp_path, FIRST) == first
    assert known_of(tmp_path, SECOND) != second and len(known_of(tmp_path, SECOND)[1]) > 0
