"""The shop's log as silver/events: each event once, in sessions, bots apart; each file is taken in once.

A new file touches its days: these, and the days after them whose customers or sessions may follow from them, are put
together anew from what the tables hold of other files and from the new rows.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from itertools import pairwise

import pyarrow as pa
from pyspark.sql import Row
from pyspark.sql import functions as F

from expectations.events import BOT_EVENTS, EVENT_FILES, EVENTS, VISITOR_FACTS
from expectations.operations import DELIVERIES
from expectations.transactions import QUARANTINE
from jobs.ingest.deliveries import Plan, Record, plan, record, recorded, state_text, states
from jobs.ingest.events.kernel import DONE, READ, DayWork, Incoming, put_days_together, read_blocks
from jobs.ingest.events.mapping import EventsMapping, load_log_mapping
from jobs.ingest.files import SourceFile, indexed, require_unchanged, source_files
from jobs.ingest.quarantine import audit, findings_of_files
from jobs.ingest.reading import Block, blocks
from jobs.platform.data_files import DataFile
from jobs.platform.job import Job, run
from jobs.platform.schemas import arrow_schema
from jobs.platform.staging import Staged
from jobs.platform.tasks import collected

READS = ()
WRITES = (EVENTS, BOT_EVENTS, VISITOR_FACTS, EVENT_FILES, QUARANTINE, DELIVERIES)
#: What it reads of the retailer's delivery.
FILES = ("events",)
SETTINGS = ("accept_drift", "data", "event_mapping", "max_quarantine_share", "session_gap_minutes")

_BY_DAY = (EVENTS, BOT_EVENTS)
_SHOWN = 10
_DAY = timedelta(days=1)


def main(job: Job) -> str:
    return job.transact(lambda: ingest_delivered(job))


def ingest_delivered(job: Job) -> str:
    """Bring the tables up to date with the delivered files; returns the job's summary."""
    mapping = load_log_mapping(job.settings.event_mapping)
    digest = hashlib.sha256(f"{mapping.digest} {job.settings.session_gap_minutes}".encode()).hexdigest()
    known = recorded(job, EVENTS)
    delivered = source_files(job.settings.data, mapping.events, states(known))
    taken = {name: row["source_checksum"] for name, row in known.items() if row["copy_of"] is None}
    again = {name for name in taken if known[name]["mapping_digest"] != digest}
    steps = plan(delivered, taken, again)
    if changed := taken.keys() & set(steps.replace):
        steps = plan(delivered, taken, again | _with_duplicates_of(job, changed))
    said = f"{len(delivered):,} files, all ingested before; nothing to do"
    if steps.take:
        # Where nothing is known of files, as after a run that was killed, any of them may have rows.
        said = ingest(job, mapping.events, steps, have_rows=not taken or bool(taken.keys() & set(steps.replace)))
    note_deliveries(job, delivered, known, steps, digest)
    return said + "".join(f"; {name} is a copy of {other}, not ingested" for name, other in steps.copies.items())


def _with_duplicates_of(job: Job, names: Iterable[str]) -> set[str]:
    """Files that lost events because one of these had them, too, as far as their days tell."""
    files = {row["source_file"]: row for row in job.read_arrow(EVENT_FILES).to_pylist() if row["first_date"]}
    spans = [(files[name]["first_date"] - _DAY, files[name]["last_date"] + _DAY) for name in names if name in files]
    return {
        name
        for name, row in files.items()
        if row["duplicate_count"]
        and any(row["first_date"] <= last and row["last_date"] >= first for first, last in spans)
    }


def ingest(job: Job, mapping: EventsMapping, steps: Plan, *, have_rows: bool) -> str:
    """Read the plan's files, put their days together and commit them; returns what was done in words.

    Of the tables silver/events comes last: until its commit nothing counts as taken in.

    Args:
        job: the running job.
        mapping: the log's.
        steps: the plan.
        have_rows: the tables may have rows of the files that are replaced.
    """
    with (
        job.staging(EVENTS) as events,
        job.staging(BOT_EVENTS) as bots,
        job.staging(VISITOR_FACTS) as facts,
        job.staging(QUARANTINE) as quarantine,
    ):
        incoming = Incoming(f"{events.uri}/{events.folder}-incoming")
        try:
            read = _read(job, mapping, steps, incoming, facts, quarantine)
            stale = _days_of(job, steps.replace) if have_rows else set[date]()
            work = _work(job, read, stale, mapping.identity_days)
            replaced = tuple(steps.replace)
            kernel = partial(
                put_days_together,
                work, mapping, job.settings.session_gap_minutes, incoming, replaced, events, bots,
            )  # fmt: skip
            done = collected(job.spark, kernel, len(work), DONE)
        finally:
            incoming.delete()
        by_file = {"source_file": steps.replace}
        refused = [row.refused for row in read if row.refused]
        job.publish_staged(quarantine, refused, {"table_name": [EVENTS.name]} | by_file)
        job.publish_staged(facts, [row.facts for row in read if row.facts], by_file)
        days = {"event_date": [todo.day for todo in work]}
        job.publish_staged(bots, [row.bots for row in done if row.bots], days, derived_from=_BY_DAY)
        counts = _counted(job, steps, read, done)
        job.publish(EVENT_FILES, counts, {"source_file": sorted({*steps.replace, *counts["source_file"].to_pylist()})})
        job.publish_staged(events, [row.good for row in done if row.good], days, derived_from=_BY_DAY)
    return _summary(steps, read, done)


def _read(
    job: Job, mapping: EventsMapping, steps: Plan, incoming: Incoming, facts: Staged, quarantine: Staged
) -> list[Row]:
    """A row for each block (kernel.READ), read again where some of its events are far after all others.

    Raises JobError where too many rows of a file are bad, or a file was replaced meanwhile.
    """
    work = [block for file in steps.take for block in blocks(indexed(file))]

    def read(some: Sequence[Block], latest: Mapping[str, datetime]) -> list[Row]:
        kernel = partial(read_blocks, some, mapping, incoming, facts, quarantine, latest)
        try:
            return collected(job.spark, kernel, len(some), READ)
        finally:  # before anything else is said of a file that was replaced meanwhile
            require_unchanged(steps.take)

    done = read(work, {})
    latest = _latest(done, mapping.max_silent_days)
    doubtful = sorted({row.block for row in done if row.days and max(row.days) > latest[row.source_file].date()})
    if doubtful:
        done = [row for row in done if row.block not in doubtful] + read([work[n] for n in doubtful], latest)
    rows_read: Counter[str] = Counter()
    for row in done:
        rows_read[row.source_file] += row.counts["row_count"]
    refused = [row.refused for row in done if row.refused]
    found = findings_of_files(rows_read, quarantine.read_spark(job.spark, refused) if refused else None)
    audit(found, job.settings.max_quarantine_share)
    return done


def _latest(read: Sequence[Row], max_silent_days: int) -> dict[str, datetime]:
    """Name of each file -> the last moment of its last day that is not far after all those before it.

    Of a file whose days lie so far apart that no part has most of its events every day is believed.
    """
    days: dict[str, Counter[date]] = {}
    for row in read:
        days.setdefault(row.source_file, Counter()).update(dict(zip(row.days, row.rows, strict=True)))
    found = {}
    for name, counts in days.items():
        ordered = sorted(counts)
        last = ordered[-1] if ordered else date.min
        for before, after in pairwise(ordered):
            later = sum(n for day, n in counts.items() if day >= after)
            if (after - before).days > max_silent_days and later < counts.total() / 2:
                last = before
                break
        found[name] = datetime.combine(last, time.max, UTC)
    return found


def _work(job: Job, read: Sequence[Row], stale: set[date], identity_days: int) -> list[DayWork]:
    """The days to put together, and of what: those of new rows and the stale ones, and what follows from them."""
    groups: dict[date, list[tuple[str, int]]] = {}
    for row in read:
        for group, day in enumerate(row.days or ()):
            groups.setdefault(day, []).append((row.incoming, group))
    files: dict[date, list[DataFile]] = {}
    for table in _BY_DAY:
        for file in job.data_files(table):
            files.setdefault(date.fromisoformat(str(file.partition["event_date"])), []).append(file)
    touched = groups.keys() | stale
    horizon = timedelta(days=identity_days)
    after = {day for day in files if any(first < day <= first + horizon + _DAY for first in touched)}
    found = []
    for day in sorted(touched | after):
        reach = (day - _DAY - horizon, day - _DAY)
        found.append(
            DayWork(
                day,
                tuple(groups.get(day, ())),
                tuple(groups.get(day - _DAY, ())),
                tuple(files.get(day, ())),
                tuple(files.get(day - _DAY, ())),
                tuple(
                    row.sign_ins
                    for row in read
                    if row.sign_ins and min(row.days) < reach[1] and max(row.days) >= reach[0]
                ),
                tuple(each for d, of_day in files.items() if reach[0] <= d < reach[1] for each in of_day),
            )
        )
    return found


def _days_of(job: Job, names: Sequence[str]) -> set[date]:
    """Days on which the tables have rows of these files."""
    found: set[date] = set()
    for table in (table for table in _BY_DAY if job.data_files(table)):
        rows = job.read_spark(table).where(F.col("source_file").isin(list(names))).select("event_date").distinct()
        found |= {row.event_date for row in rows.collect()}
    return found


def _counted(job: Job, steps: Plan, read: Sequence[Row], done: Sequence[Row]) -> pa.Table:
    """Rows of ops/event_files: of the files that were read, and of others that lost events to them."""
    names = [c.name for c in EVENT_FILES.columns if c.name.endswith("_count")]
    rows: dict[str, Record] = {
        file.name: dict.fromkeys(names, 0)
        | {"source_file": file.name, "source_checksum": file.checksum, "first_date": None, "last_date": None}
        for file in steps.take
    }
    for block in read:
        row = rows[block.source_file]
        for name, count in block.counts.items():
            row[name] += count
        if block.days:
            row["first_date"] = min(filter(None, (row["first_date"], *block.days)))
            row["last_date"] = max(filter(None, (row["last_date"], *block.days)))
    noted = {
        row["source_file"]: row for row in (job.read_arrow(EVENT_FILES).to_pylist() if job.exists(EVENT_FILES) else [])
    }
    for day in done:
        for name, count in day.duplicates.items():
            if name in rows or name in noted:
                rows.setdefault(name, noted.get(name, {}))["duplicate_count"] += count
        for name, count in day.bots_by_file.items():
            if name in {file.name for file in steps.take}:
                rows[name]["bot_count"] += count
    return pa.Table.from_pylist(list(rows.values()), arrow_schema(EVENT_FILES))


def _summary(steps: Plan, read: Sequence[Row], done: Sequence[Row]) -> str:
    """What was done in words; the events that no rule is for are logged, the most frequent first."""
    counts: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    for row in read:
        counts.update(row.counts)
        left_out.update(row.left_out)
    for pair, count in left_out.most_common(_SHOWN):
        logging.info("left out: %s x %s", f"{count:,}", pair)
    names = [file.name for file in steps.take]
    shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else "")
    duplicates = sum(sum(day.duplicates.values()) for day in done)
    bots = sum(sum(day.bots_by_file.values()) for day in done)
    return (
        f"{counts['event_count']:,} events of {len(done):,} days from {shown}; {duplicates:,} were there already,"
        f" {bots:,} are of bots, {counts['left_out_count']:,} rows have no rule and {counts['without_article_count']:,}"
        f" no article, {counts['refused_count']:,} in quarantine"
    )


def note_deliveries(
    job: Job, delivered: Sequence[SourceFile], known: Mapping[str, Record], steps: Plan, digest: str
) -> None:
    """Bring ops/deliveries up to date: what the table is made from now, and copies of that under other names."""
    files = {file.name: file for file in delivered}
    version = job.version(EVENTS) if not steps.take else job.warehouse.versions_written[EVENTS.name]
    rows: list[Record] = []
    for file in steps.take:
        rows.append(
            {"source_file": file.name, "source_checksum": file.checksum, "copy_of": None, "table_version": version}
        )
    for name, other in steps.copies.items():
        rows.append(
            {"source_file": name, "source_checksum": files[name].checksum, "copy_of": other, "table_version": 0}
        )
    rows = [row | {"mapping_digest": digest, "file_state": state_text(files[row["source_file"]])} for row in rows]
    noted = {row["source_file"] for row in rows}
    rows += [  # as they were, but for where they lie: they need not be read again to be known
        {name: value for name, value in row.items() if name not in ("table_name", "run_id")} | {"file_state": state}
        for name, row in known.items()
        if name in files and name not in noted and (state := state_text(files[name])) not in (None, row["file_state"])
    ]
    gone = set(steps.replace) - noted
    if rows or gone & known.keys():
        record(job, EVENTS, rows, gone)


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES, settings=SETTINGS, any_day=True)
