"""What Spark's tasks do of a log: read a block of a file; put a day together. Workers import this and nothing beyond.

Between the two the rows wait in files of one batch a day, which are no table's.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl
import pyarrow as pa

from expectations.events import BOT_EVENTS, EVENTS, VISITOR_FACTS
from expectations.transactions import QUARANTINE
from jobs.ingest.events.days import put_together
from jobs.ingest.events.mapping import EventsMapping
from jobs.ingest.events.reading import frames
from jobs.ingest.events.transform import transform
from jobs.ingest.reading import Block
from jobs.platform import storage
from jobs.platform.data_files import DataFile
from jobs.platform.schemas import arrow_schema, arrow_type
from jobs.platform.staging import Staged

#: What a task tells of a block, or of a piece of one: where its events, sign-ins, facts and bad rows wait, the days of
#: the events (batches) with their numbers, and the counts.
READ = (
    "block bigint, source_file string, incoming string, sign_ins string, facts string, refused string,"
    " days array<date>, rows array<bigint>, counts map<string,bigint>, left_out map<string,bigint>"
)
#: What a task tells of a day: the files written, and rows dropped and put apart by file.
DONE = "day date, good string, bots string, duplicates map<string,bigint>, bots_by_file map<string,bigint>"

_SIGN_IN = ("visitor_id", "customer_id", "event_time")
_HELD = [c for c in EVENTS.columns if c.name not in ("session_id", "event_date")]
_SCHEMA = pa.schema([pa.field(c.name, arrow_type(c)) for c in _HELD])
_EMPTY = pl.DataFrame(pl.from_arrow(_SCHEMA.empty_table()))
_DAY_BEFORE = timedelta(days=1)
#: What of the day before counts for a day.
_NARROW = (
    *("event_id", "article_id", "event_time", "event_type", "visitor_id", "customer_id", "is_signed_in"),
    *("source_file", "source_line"),
)


@dataclass(frozen=True)
class Incoming:
    """A folder for events on their way from files to days; small, so that it can be sent to any process."""

    uri: str

    def write(self, parts: Sequence[pl.DataFrame]) -> str:
        """Write frames of the same columns, each as a batch of one file; returns the file's name."""
        filesystem, root = storage.filesystem(self.uri)
        filesystem.create_dir(root)
        name = f"{uuid.uuid4()}.arrow"
        # As Polars has them: neither here nor there a text is copied.
        tables = [part.rechunk().to_arrow(compat_level=pl.CompatLevel.newest()).combine_chunks() for part in parts]
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        with (
            filesystem.open_output_stream(f"{root}/{name}") as stream,
            pa.ipc.new_file(stream, tables[0].schema, options=options) as writer,
        ):
            for table in tables:
                writer.write_batch(table.to_batches()[0])
        return name

    def read(self, name: str, batches: Sequence[int], columns: Sequence[str]) -> pl.DataFrame:
        """Columns of some of a file's batches."""
        filesystem, root = storage.filesystem(self.uri)
        with filesystem.open_input_file(f"{root}/{name}") as stream:
            names = pa.ipc.open_file(stream).schema.names
            options = pa.ipc.IpcReadOptions(included_fields=[names.index(column) for column in columns])
            file = pa.ipc.open_file(stream, options=options)
            found = pa.Table.from_batches([file.get_batch(batch) for batch in batches])
        return pl.DataFrame(pl.from_arrow(found)).select(columns)

    def delete(self) -> None:
        filesystem, root = storage.filesystem(self.uri)
        filesystem.create_dir(root)
        filesystem.delete_dir(root)


@dataclass(frozen=True)
class DayWork:
    """What a day is put together from.

    Attributes:
        day: the day.
        incoming: (file, batch) of its new rows; `incoming_before`: of the day before.
        stored: its files of silver/events and silver/bot_events; `stored_before`: of the day before.
        sign_ins: files of new sign-ins.
        earlier: files of silver/events of the days before those two, as far back as sign-ins count.
    """

    day: date
    incoming: tuple[tuple[str, int], ...]
    incoming_before: tuple[tuple[str, int], ...]
    stored: tuple[DataFile, ...]
    stored_before: tuple[DataFile, ...]
    sign_ins: tuple[str, ...]
    earlier: tuple[DataFile, ...]


def read_blocks(
    blocks: Sequence[Block],
    mapping: EventsMapping,
    incoming: Incoming,
    facts: Staged,
    quarantine: Staged,
    latest: Mapping[str, datetime],
    tasks: Iterator[pa.RecordBatch],
) -> Iterator[pa.RecordBatch]:
    """Read the blocks whose positions are given, and write what they hold where it waits; see READ.

    Args:
        latest: name of a file -> its events are not later.
    """
    for position in (row for batch in tasks for row in batch["id"].to_pylist()):
        block = blocks[position]
        source = {"source_file": block.file.name, "source_checksum": block.file.checksum}
        for raw in frames(block, mapping.records):
            found = transform(raw, mapping, latest.get(block.file.name))
            events = found.events.with_columns(source_file=pl.lit(block.file.name))
            days = events.partition_by("event_date", as_dict=True, include_key=False)
            parts = {day: part.select(_SCHEMA.names) for (day,), part in sorted(days.items())}
            refused = {"table_name": EVENTS.name, "source_file": block.file.name}
            row = {
                "block": position,
                "source_file": block.file.name,
                "incoming": incoming.write(list(parts.values())) if parts else None,
                "sign_ins": _sign_ins(incoming, events),
                "facts": facts.write(as_table(found.facts, VISITOR_FACTS, **source), **source)
                if len(found.facts)
                else None,
                "refused": quarantine.write(as_table(found.bad, QUARANTINE, **(source | refused)), **refused)
                if len(found.bad)
                else None,
                "days": list(parts),
                "rows": [len(part) for part in parts.values()],
                "counts": list((found.counts | {"event_count": len(events)}).items()),
                "left_out": list(found.left_out.items()),
            }
            yield _one_row(row, _READ_SCHEMA)


def _sign_ins(incoming: Incoming, events: pl.DataFrame) -> str | None:
    """Write the last sign-in of each visitor and day."""
    rows = events.filter("is_signed_in", pl.col("visitor_id").is_not_null())
    rows = rows.select(*_SIGN_IN, "event_date").sort("event_time", "customer_id")
    last = rows.unique(["visitor_id", "event_date"], keep="last").select(_SIGN_IN)
    return incoming.write([last]) if len(last) else None


def as_table(rows: pl.DataFrame, contract, **same: str) -> pa.Table:  # type: ignore[no-untyped-def]
    """Rows as a table of the contract, with columns of one value each."""
    whole = rows.with_columns(**{name: pl.lit(value) for name, value in same.items()})
    return _cast(whole.select(contract.column_names), arrow_schema(contract))


def _cast(rows: pl.DataFrame, schema: pa.Schema) -> pa.Table:
    return rows.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(schema)


def put_days_together(
    work: Sequence[DayWork],
    mapping: EventsMapping,
    gap_minutes: int,
    incoming: Incoming,
    replaced: Sequence[str],
    events: Staged,
    bots: Staged,
    tasks: Iterator[pa.RecordBatch],
) -> Iterator[pa.RecordBatch]:
    """Put the days whose positions are given together and write them where they wait for their commit; see DONE.

    Args:
        replaced: names of the files whose stored rows do not count.
    """
    schema = pa.schema([f for f in arrow_schema(EVENTS) if f.name not in EVENTS.partition_by])
    for position in (row for batch in tasks for row in batch["id"].to_pylist()):
        todo = work[position]
        today = _rows(todo.incoming, todo.stored, incoming, replaced, _SCHEMA.names)
        before = _rows(todo.incoming_before, todo.stored_before, incoming, replaced, _NARROW)
        dated = [today.with_columns(event_date=todo.day), before.with_columns(event_date=todo.day - _DAY_BEFORE)]
        rows = pl.concat(dated, how="diagonal")
        signed = _signed_before(todo, incoming, replaced, timedelta(days=mapping.identity_days))
        found = put_together(rows, signed, todo.day, mapping, gap_minutes)
        row = {
            "day": todo.day,
            "good": _written(events, found.events, schema, todo.day),
            "bots": _written(bots, found.bots, schema, todo.day),
            "duplicates": list(found.duplicates.items()),
            "bots_by_file": list(found.bots_by_file.items()),
        }
        yield _one_row(row, _DONE_SCHEMA)


def _written(files: Staged, rows: pl.DataFrame, schema: pa.Schema, day: date) -> str | None:
    return files.write(_cast(rows, schema), event_date=day.isoformat()) if len(rows) else None


def _rows(
    new: Sequence[tuple[str, int]],
    stored: Sequence[DataFile],
    incoming: Incoming,
    replaced: Sequence[str],
    columns: Sequence[str],
) -> pl.DataFrame:
    """These columns of a day's rows, new and stored; null where a file is older than the column."""
    groups: dict[str, list[int]] = {}
    for name, group in new:
        groups.setdefault(name, []).append(group)
    parts = [incoming.read(name, of_file, columns) for name, of_file in groups.items()]
    for file in stored:
        rows = pl.DataFrame(pl.from_arrow(file.read(columns)))
        parts.append(rows.filter(~pl.col("source_file").is_in(list(replaced))))
    empty = _EMPTY.select(columns)
    typed = [part.cast({name: empty.schema[name] for name in part.columns}) for part in parts]
    return pl.concat([empty, *typed], how="diagonal")


def _signed_before(todo: DayWork, incoming: Incoming, replaced: Sequence[str], horizon: timedelta) -> pl.DataFrame:
    """Sign-ins before the day before, as far back as they count; of each visitor the last."""
    first = pl.lit(todo.day - _DAY_BEFORE - horizon)
    day = pl.col("event_time").dt.date()
    found = [_EMPTY.select(_SIGN_IN)]
    found += [incoming.read(name, [0], _SIGN_IN).cast(found[0].schema) for name in todo.sign_ins]
    for file in todo.earlier:
        rows = pl.DataFrame(pl.from_arrow(file.read([*_SIGN_IN, "is_signed_in", "source_file"])))
        is_kept = pl.col("is_signed_in") & pl.col("visitor_id").is_not_null()
        found.append(rows.filter(is_kept & ~pl.col("source_file").is_in(list(replaced))).select(_SIGN_IN))
    before = pl.concat(found).filter((day >= first) & (day < todo.day - _DAY_BEFORE))
    return before.sort("event_time", "customer_id").unique("visitor_id", keep="last")


def _one_row(values: dict[str, Any], schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([values], schema=schema)


_COUNTS = pa.map_(pa.string(), pa.int64())
_READ_SCHEMA = pa.schema(
    {
        "block": pa.int64(), "source_file": pa.string(), "incoming": pa.string(), "sign_ins": pa.string(),
        "facts": pa.string(), "refused": pa.string(), "days": pa.list_(pa.date32()), "rows": pa.list_(pa.int64()),
        "counts": _COUNTS, "left_out": _COUNTS,
    }
)  # fmt: skip
_DONE_SCHEMA = pa.schema(
    {"day": pa.date32(), "good": pa.string(), "bots": pa.string(), "duplicates": _COUNTS, "bots_by_file": _COUNTS}
)
assert BOT_EVENTS.columns == EVENTS.columns
