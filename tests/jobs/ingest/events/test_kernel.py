"""What a day's rows are read from."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.ingest.events.kernel import _SCHEMA, DayWork, Incoming, _rows, _sign_ins, _signed_before
from jobs.platform.data_files import DataFile


def test_rows_of_a_file_that_is_older_than_a_column_have_null_there(tmp_path: Path) -> None:
    """As written before the events said who recommended what they show."""
    new = ("source", "model_version", "bucket")
    older = pa.schema([field for field in _SCHEMA if field.name not in new])
    values = {"event_id": "e", "article_id": "1", "source_file": "log.jsonl", "source_line": 7}
    pq.write_table(pa.Table.from_pylist([values], older), tmp_path / "old.parquet")
    stored = DataFile(str(tmp_path / "old.parquet"), {}, 1, {}, {})
    found = _rows((), (stored,), Incoming(str(tmp_path)), (), _SCHEMA.names)
    assert found.columns == _SCHEMA.names
    assert found.select("event_id", "source_line", *new).rows() == [("e", 7, None, None, None)]


def test_of_two_sign_ins_at_one_moment_the_same_one_is_handed_on_as_is_read_back(tmp_path: Path) -> None:
    """Whether the later days' run is this one or another."""
    at = datetime(2020, 9, 1, 10, tzinfo=UTC)
    signs = [
        {"visitor_id": "v", "customer_id": customer, "event_time": at, "is_signed_in": True, "source_line": line}
        for line, customer in enumerate(("d", "c"), start=1)
    ]
    events = pl.DataFrame(signs).with_columns(event_date=pl.col("event_time").dt.date())
    incoming = Incoming(str(tmp_path / "incoming"))
    assert incoming.read(str(_sign_ins(incoming, events)), [0], ("customer_id",)).rows() == [("d",)]
    pq.write_table(
        pa.Table.from_pylist([sign | {"source_file": "log.jsonl"} for sign in signs]), tmp_path / "a.parquet"
    )
    stored = DataFile(str(tmp_path / "a.parquet"), {}, 2, {}, {})
    work = DayWork(at.date() + timedelta(days=9), (), (), (), (), (), (stored,))
    assert _signed_before(work, incoming, (), timedelta(days=30))["customer_id"].to_list() == ["d"]
