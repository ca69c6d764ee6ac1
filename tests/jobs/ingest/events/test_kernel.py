"""What a day's rows are read from."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.ingest.events.kernel import _SCHEMA, Incoming, _rows
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
