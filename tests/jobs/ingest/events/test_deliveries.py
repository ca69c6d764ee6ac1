"""Files as they come: packed, in pieces, with types of their own, damaged; and runs that were killed."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from expectations.events import BOT_EVENTS, EVENTS
from expectations.transactions import QUARANTINE
from jobs.ingest import files, shop_events
from jobs.ingest.events.mapping import Article, load_log_mapping
from jobs.ingest.events.reading import frames
from jobs.ingest.events.transform import transform
from jobs.ingest.files import indexed, source_files
from jobs.ingest.reading import Block, blocks
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from tests.jobs.ingest.events.shop_log import LOG, ODD, event, read, rows, take_in, write_log

LINES = [json.dumps(event(f"10:00:{n:02d}", article=f"a{n}", visitor=f"é{n}"), ensure_ascii=False) for n in range(40)]
WANTED = [(n + 1, f"a{n}", f"é{n}") for n in range(40)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("events.jsonl", "\n".join(LINES).encode()),  # without a line end
        ("events.jsonl", ("\n".join(LINES) + "\n").encode("utf-8-sig")),
        ("events.jsonl", ("\r\n".join(LINES) + "\r\n").encode()),
        ("events.jsonl", ("\r".join(LINES) + "\r").encode()),
        ("events.jsonl", ("\n".join(LINES) + "\n").encode("utf-16")),
        ("events.jsonl.gz", gzip.compress(("\n".join(LINES) + "\n").encode())),
    ],
)
def test_json_lines_however_they_are_written(
    tmp_path: Path, name: str, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "events" / name
    path.parent.mkdir()
    path.write_bytes(content)
    for size in (64 << 20, 1_000, 150, 90):  # blocks longer and shorter than lines
        monkeypatch.setattr(files, "BLOCK_BYTES", size)
        assert read(tmp_path) == WANTED


@pytest.mark.parametrize("kind", ["parquet", "json", "csv"])
def test_what_the_names_of_folders_say(tmp_path: Path, kind: str) -> None:
    """As Spark's partitionBy writes them: the column is in no file."""
    log = LOG.model_copy(update={"file": "events/*", "columns": {"visitor_id": LOG.columns["visitor_id"]}})
    row = {name: text for name, text in ODD.items() if name != "event"}
    for done in ("view", "cart"):
        path = tmp_path / "events" / "day" / f"event={done}" / f"part-0.{kind}"
        path.parent.mkdir(parents=True)
        if kind == "parquet":
            pq.write_table(pa.Table.from_pylist([row]), path)
        else:
            path.write_text(json.dumps(row) if kind == "json" else f"{','.join(row)}\n{','.join(row.values())}\n")
    (file,) = source_files(tmp_path, log)
    found = [transform(frame, log) for block in blocks(indexed(file)) for frame in frames(block, None)]
    assert [part.events["event_type"].item() for part in found] == ["cart", "view"]


def test_a_field_and_what_it_is_in_cannot_both_be_named(tmp_path: Path) -> None:
    log = LOG.model_copy(update={"articles": (Article(column="page", pattern="[0-9]+"), Article(column="page.id"))})
    write_log(tmp_path, "events.jsonl", [ODD])
    with pytest.raises(JobError, match=r"events.jsonl: the mapping names page.id and page, .*; name fields in page"):
        read(tmp_path, log)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[{"a": 1}, {"a": 2}]', "a JSON array; deliver JSON lines"),
        ('{\n  "a": 1\n}\n', "JSON objects over several lines"),
        ("", r"empty \(0 bytes\)"),
        ("a,b\n1,2\n", None),
    ],
)
def test_files_that_are_something_else(tmp_path: Path, text: str, said: str | None) -> None:
    path = write_log(tmp_path, "events.jsonl", [])
    path.write_text(text)
    if said is None:
        assert read(tmp_path) == []  # by its name JSON: every line is a broken one
        return
    with pytest.raises(JobError, match=f"events.jsonl: {said}"):
        read(tmp_path)


GOOD = "\n".join(LINES).encode() + b"\n"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"time": "2020-09-01T10', "broken line"),
        (LINES[0].encode() + b",", "broken line"),
        (LINES[0].encode() * 2, "broken line"),
        (LINES[0].encode("latin-1"), "broken line"),
        (LINES[0].encode().replace(b"a0", b"a\0"), "broken line"),
        (LINES[0].encode().replace(b"a0", rb"a\u0000"), "broken line"),
        (LINES[0].encode().replace(b"a0", rb"a\ud800"), "broken line"),
        (b"\0" * 5_000, "broken line"),
        (b"x" * 5_000_000, "broken line"),
        (b'{"time": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "no rule"),
        (json.dumps(ODD | {"visitor_id": "x" * 5_000_000}).encode(), "neither customer_id nor visitor_id"),
        (json.dumps(ODD | {"visitor_id": {"id": "v"}}).encode(), "neither customer_id nor visitor_id"),
        (json.dumps(ODD | {"visitor_id": "9.12E+11"}).encode(), "neither customer_id nor visitor_id"),
        (json.dumps(ODD | {"customer_id": ["c", "d"]}).encode(), "customer_id unreadable, left empty"),
        (json.dumps(ODD | {"article_id": {"id": 1}}).encode(), "article_id: no id"),
        (json.dumps(ODD | {"article_id": [{"id": 1}]}).encode(), "article_id: no id"),
        (json.dumps(ODD | {"article_id": [None, ""]}).encode(), "article_id: no id"),
        (json.dumps(ODD | {"article_id": "NaN"}).encode(), "article_id is empty"),
        (json.dumps(ODD | {"time": 1598954400}).encode(), "event_time is not a moment (iso in UTC)"),
    ],
)
def test_a_damaged_line_spoils_no_other(tmp_path: Path, line: bytes, reason: str) -> None:
    """Whatever it is, quarantine has it with its line and not much of it; a mark in the middle is of joined files."""
    write_log(tmp_path, "events.jsonl", []).write_bytes(GOOD + line + b"\n\xef\xbb\xbf" + GOOD)
    (file,) = source_files(tmp_path, LOG)
    found = [transform(f, LOG) for block in blocks(indexed(file)) for f in frames(block, None)]
    bad = [row for part in found for row in part.bad.rows()]
    assert [(n, why.startswith(reason), len(raw) < 20_000) for n, why, raw in bad] == [(41, True, True)]
    events = [n for part in found for n in part.events["source_line"].to_list()]
    assert [n for n in events if n != 41] == [n for n in range(1, 82) if n != 41]


def test_a_character_that_was_lost_before_spoils_nothing(tmp_path: Path) -> None:
    """U+FFFD is what programs put in place of it; beside a line that is no UTF-8 it is still text."""
    line = json.dumps(ODD | {"visitor_id": "J\ufffdrgen"}, ensure_ascii=False).encode()
    write_log(tmp_path, "events.jsonl", []).write_bytes(line + b"\n" + line.replace("\ufffd".encode(), b"\xf6") + b"\n")
    assert read(tmp_path) == [(1, "1", "J\ufffdrgen")]


def test_what_numbers_and_lists_are_written_as(tmp_path: Path) -> None:
    log = [ODD | {"article_id": 7.0, "visitor_id": 8}, ODD | {"article_id": "['1', 'None', '2']"}]
    write_log(tmp_path, "events.jsonl", [*log, ODD | {"article_id": [3, None]}])
    assert read(tmp_path) == [(1, "7", "8"), (2, "1", "v"), (2, "2", "v"), (3, "3", "v")]


def test_answers_over_several_lines(tmp_path: Path) -> None:
    log = load_log_mapping("twentytoo")
    ids = [digit * 32 for digit in "abc"]
    head = ",".join(log.events.source_columns)
    row = {"time": "1693562400", "event_name": "product_details_page_View", "distinct_id": "d"}
    lines = [
        ",".join((row | {"product_ids": one, "Answer": answer}).get(name, "") for name in log.events.source_columns)
        for one, answer in zip(ids, ("", '"It was\n""fine"",\nborn 13-09-1990"', '"cut'), strict=True)
    ]
    (tmp_path / "events.csv").write_text("\n".join([head, *lines, lines[0]]) + "\n")
    (file,) = source_files(tmp_path, log.events)
    (found,) = (transform(frame, log.events) for block in blocks(indexed(file)) for frame in frames(block, None))
    kept = found.events.select("source_line", "article_id").sort("source_line")
    assert kept.rows() == [(2, ids[0]), (3, ids[1]), (7, ids[0])]
    assert found.facts["value"].to_list() == ["1990-09-13"] and found.bad["source_line"].to_list() == [6]


def test_an_hour_in_which_nothing_happened(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("events_1.jsonl", "events_3.jsonl"):
        write_log(tmp_path, name, [])
    write_log(tmp_path, "events_2.jsonl", [ODD])
    assert [file.name for file in source_files(tmp_path, LOG)] == ["events_2.jsonl"]
    assert "events_3.jsonl: empty (0 bytes); deliver the file again (passed over)" in caplog.text
    (tmp_path / "events" / "events_2.jsonl").write_text("")
    with pytest.raises(JobError, match="3 files without a row"):
        source_files(tmp_path, LOG)


def test_a_file_that_grows(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is read, which stops the run; and between two runs: its rows are replaced, whatever its name."""
    path = write_log(tmp_path, 'it\'s "5" é.jsonl', [ODD])

    def grow(visitor: str) -> None:
        with path.open("a") as log:
            log.write(json.dumps(ODD | {"visitor_id": visitor}) + "\n")

    def grown(file: files.SourceFile) -> list[Block]:
        grow("w")
        return blocks(file)

    monkeypatch.setattr(shop_events, "blocks", grown)
    with pytest.raises(JobError, match=r"é.jsonl: replaced while it was being read; nothing was published, run again"):
        take_in(spark, tmp_path)
    monkeypatch.undo()
    take_in(spark, tmp_path)
    assert rows(tmp_path, EVENTS, "visitor_id") == [("v",), ("w",)]
    grow("x")
    take_in(spark, tmp_path)
    assert rows(tmp_path, EVENTS, "visitor_id", "source_line") == [("v", 1), ("w", 2), ("x", 3)]


@pytest.mark.parametrize("change", ["cut", "gone"])
def test_of_a_file_that_is_replaced_while_it_is_read_nothing_else_is_said(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    path = write_log(tmp_path, "events.jsonl", [ODD] * 5)

    def replaced(file: files.SourceFile) -> list[Block]:
        found = blocks(file)
        path.unlink() if change == "gone" else path.write_bytes(path.read_bytes()[:-20])
        return found

    monkeypatch.setattr(shop_events, "blocks", replaced)
    with pytest.raises(
        JobError, match=r"events.jsonl: replaced while it was being read; nothing was published, run again"
    ):
        take_in(spark, tmp_path)


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "events").write_text("x")
    with pytest.raises(JobError, match=r"events/\*.jsonl: events is a file and no folder"):
        source_files(tmp_path, LOG)


def test_one_clock_that_is_years_ahead(spark: SparkSession, tmp_path: Path) -> None:
    log = [event(f"10:00:{n:02d}") for n in range(30)] + [event("2035-01-01T00:00:00Z")]
    write_log(tmp_path, "events.jsonl", log)
    take_in(spark, tmp_path)
    assert {row[0].year for row in rows(tmp_path, EVENTS, "event_time")} == {2020}
    assert rows(tmp_path, QUARANTINE, "source_line", "reason") == [
        (31, "event_time is more than 92 days after the rest of its file: a clock is ahead")
    ]


def test_a_run_killed_between_two_tables_is_made_good(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bot's events are committed, the others are not; the next run finds both right."""
    fast = [event(f"10:00:{n // 10:02d}.{n % 10}", article=f"a{n}", visitor="bot") for n in range(210)]
    write_log(tmp_path, "events_1.jsonl", [event("09:00:00")])
    take_in(spark, tmp_path)
    write_log(tmp_path, "events_2.jsonl", [*fast, event("09:01:00")])
    publish = Job.publish_staged

    def killed(self: Job, files: object, *args: object, **kwargs: object) -> int:
        if files.contract is EVENTS:  # type: ignore[attr-defined]
            raise KeyboardInterrupt
        return publish(self, files, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(Job, "publish_staged", killed)
    with pytest.raises(KeyboardInterrupt):
        take_in(spark, tmp_path)
    assert len(rows(tmp_path, EVENTS, "event_id")) == 1
    monkeypatch.setattr(Job, "publish_staged", publish)
    take_in(spark, tmp_path)
    assert (len(rows(tmp_path, EVENTS, "event_id")), len(rows(tmp_path, BOT_EVENTS, "event_id"))) == (202, 10)
    assert "nothing to do" in take_in(spark, tmp_path)
    left = [path for path in (tmp_path / "warehouse" / "silver" / "events").iterdir() if path.name.endswith("incoming")]
    assert left == [] and shop_events.WRITES
