"""What Parquet holds: lists, objects, numbers, moments."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.ingest.events.mapping import Article, EventsMapping
from jobs.ingest.events.reading import LINE, frames
from jobs.ingest.events.transform import transform
from jobs.ingest.files import indexed, source_files
from jobs.ingest.reading import blocks
from jobs.platform.errors import JobError
from tests.jobs.ingest.events.shop_log import LOG, ODD, read

#: A text column whose bytes are no text: Arrow does not look at them when it reads.
BAD_TEXT = pa.StringArray.from_buffers(1, pa.array([0, 1], pa.int32()).buffers()[1], pa.py_buffer(b"\xff"))


def test_lists_and_moments_of_parquet(tmp_path: Path) -> None:
    log = LOG.model_copy(update={"file": "events.parquet", "columns": {"visitor_id": LOG.columns["visitor_id"]}})
    moment = datetime(2020, 9, 1, 10, tzinfo=UTC)
    table = pa.table(
        {
            "time": pa.array([moment, moment], pa.timestamp("ms", "Europe/Stockholm")),
            "article_id": pa.array([["a", "b", "a"], None]),
            "visitor_id": pa.array([7.0, math.nan]),  # numbers that pandas made floats
            "event": ["view", "view"],
            "other": pa.array([{"x": 1}, None]),
        }
    )
    pq.write_table(table, tmp_path / "events.parquet")
    assert read(tmp_path, log) == [(1, "a", "7"), (1, "b", "7")]
    (file,) = source_files(tmp_path, log)
    (frame,) = frames(blocks(indexed(file))[0], None)
    assert transform(frame, log).bad["reason"].to_list() == ["neither customer_id nor visitor_id"] and frame[
        LINE
    ].to_list() == [1, 2]


def parquet_log(data: Path, items: pa.Array, column: str = "items", **mapping: Any) -> EventsMapping:
    """A log of one column of this type, else of views by one visitor, and its mapping."""
    said = {"columns": {"visitor_id": LOG.columns["visitor_id"]}, "articles": (Article(column="items", **mapping),)}
    views = {name: pa.repeat(text, len(items)) for name, text in (ODD | {"items": "7"}).items()}
    pq.write_table(pa.table(views | {column: items}), data / "events.parquet")
    return LOG.model_copy(update={"file": "events.parquet", **said})


@pytest.mark.parametrize(
    ("items", "said", "wanted"),
    [
        (pa.array([["a", "b"], []], pa.large_list(pa.string())), {}, ["a", "b"]),  # as Polars writes them
        (pa.array([[" a ", "", "null", None], ["b"]]), {}, ["a", "b"]),
        (pa.array([[1.0, None], [2.0]]), {}, ["1", "2"]),
        (pa.array([["https://shop/p/a", "/p/b"], None]), {"pattern": "/p/([a-z]*)"}, ["a", "b"]),
        (pa.array([[{"id": "a", "n": 1}, {"id": None, "n": 2}], [{"id": "b", "n": 3}]]), {"key": "id"}, ["a", "b"]),
        (pa.array([7.0, None]), {}, ["7"]),
        (pa.array([1234567890123456789.0, 5.0]), {}, ["5"]),  # a float has lost the last digits
        (pa.array([7, 80], pa.decimal128(38, 10)), {}, ["7", "80"]),
        (pa.array(["9.12345678901E11", "9.123456789012345678E18"]), {}, ["912345678901"]),
        (pa.array([b"a", b"b"]), {}, ["a", "b"]),
    ],
)
def test_ids_of_whatever_type(tmp_path: Path, items: pa.Array, said: dict[str, str], wanted: list[str]) -> None:
    log = parquet_log(tmp_path, items, **said)
    assert [article for _, article, _ in read(tmp_path, log)] == wanted


@pytest.mark.parametrize(
    ("column", "items", "said"),
    [
        ("items", pa.array([[{"id": "a"}]]), "column items is of type list<.*name a column of single values or a key"),
        ("items", pa.array([[["a"]]]), "column items is of type list<.*name a column of single values"),
        ("visitor_id", pa.array([["v"]]), "column visitor_id is of type list<.*name a column of single values"),
        ("event", pa.array([["view"]]), "column event is of type list<.*name a column of single values"),
        ("time", pa.array([["2020-09-01T10:00:00Z"]]), "column time is of type list<.*name a column of single values"),
        ("visitor_id", pa.array([b"\xff"]), "column visitor_id is no text .*deliver it as text"),
        ("items", BAD_TEXT, "column items is no text .*deliver it as text"),
    ],
)
def test_types_that_cannot_be_read(tmp_path: Path, column: str, items: pa.Array, said: str) -> None:
    log = parquet_log(tmp_path, items, column)
    with pytest.raises(JobError, match=f"events.parquet: {said}"):
        read(tmp_path, log)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "+05:30", "-03:30"])
def test_a_moment_is_the_same_in_all_zones(tmp_path: Path, zone: str) -> None:
    moment = datetime(2020, 9, 1, 10, tzinfo=UTC)
    log = parquet_log(tmp_path, pa.array([moment], pa.timestamp("us", zone)), "time")
    (file,) = source_files(tmp_path, log)
    (frame,) = frames(blocks(indexed(file))[0], None)
    assert transform(frame, log).events["event_time"].to_list() == [moment]


def test_a_moment_beyond_all_calendars(tmp_path: Path) -> None:
    log = parquet_log(tmp_path, pa.array([2**62, 1598954400 * 10**6], pa.timestamp("us", "UTC")), "time")
    assert read(tmp_path, log) == [(2, "7", "v")]
