"""Delivered purchases as silver/transactions: one row per unit bought, each file ingested once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from pyspark.sql import Row

from expectations.operations import DELIVERIES
from expectations.transactions import QUARANTINE, TRANSACTIONS
from jobs.ingest.block_kernel import DONE, PARENTS, ingest_blocks, unknown
from jobs.ingest.deliveries import (
    Plan,
    Record,
    overtaken_by,
    plan,
    record,
    recorded,
    state_text,
    states,
    superseded,
    version_at_start,
)
from jobs.ingest.delivery_modes import counted_once
from jobs.ingest.files import SourceFile, indexed, require_unchanged, source_files
from jobs.ingest.judging import read_and_judged
from jobs.ingest.key_lookup import KeyLookup
from jobs.ingest.mapping import ShopMapping, require_purchases
from jobs.ingest.overlap import warn_of_odd_names
from jobs.ingest.plausibility import Usual
from jobs.ingest.quarantine import audit, findings_of_files
from jobs.ingest.reading import Block, blocks
from jobs.platform.errors import JobError
from jobs.platform.job import Job, run
from jobs.platform.measures import unknown_rows
from jobs.platform.tasks import collected

READS, WRITES = tuple(PARENTS.values()), (TRANSACTIONS, QUARANTINE, DELIVERIES)
#: What it reads of the retailer's delivery.
FILES = ("transactions",)
SETTINGS = ("accept_drift", "data", "mapping", "max_quarantine_share")


def to_take_again(
    job: Job,
    delivered: Sequence[SourceFile],
    taken: dict[str, str],
    known: dict[str, Record],
    facts: dict[str, str | int],
) -> set[str]:
    """Names of files already ingested in whose rows might be judged otherwise today.

    These are those without a record, or with one of another mapping; else, when the catalogue or the customers changed,
    those with rows refused because an id was unknown, and those with rows whose id has another key there, or none.

    Raises:
        JobError: there are such rows and their file is not there to be ingested again.
    """
    again = {
        name
        for name, checksum in taken.items()
        if name not in known
        or known[name]["source_checksum"] != checksum
        or known[name]["mapping_digest"] != facts["mapping_digest"]
    }
    changed = [
        c for c, table in PARENTS.items() if any(_is_of_another(row, table.name, facts) for row in known.values())
    ]
    if not changed:
        return again
    reasons = {"table_name": [TRANSACTIONS.name], "reason": [unknown(column) for column in changed]}
    waiting = job.read_arrow(QUARANTINE, columns=["source_file"], where=reasons)["source_file"].unique().to_pylist()
    orphaned = _orphaned(job, changed)
    present = {file.name for file in delivered} | {n for n in taken if taken[n] in {f.checksum for f in delivered}}
    if lost := sorted(orphaned - present):
        raise JobError(
            f"{TRANSACTIONS.path} holds rows of {', '.join(lost)} whose {' or '.join(changed)} is no longer known, or"
            f" by another key, and {job.settings.data} does not have that file; deliver it again, or run"
            " jobs.maintenance.repair_keys, or use another warehouse"
        )
    return again | ((set(waiting) | orphaned) & taken.keys())


def _is_of_another(row: Record, table: str, facts: dict[str, str | int]) -> bool:
    return row["copy_of"] is None and row[f"{table}_version"] != facts[f"{table}_version"]


def _orphaned(job: Job, columns: Sequence[str]) -> set[str]:
    """Files with a purchase whose article or customer is not in its table any more, or has another key there."""
    rows = job.read_spark(TRANSACTIONS)
    files: set[str] = set()
    for reference in TRANSACTIONS.references:
        if reference.id_column in columns:
            lost = unknown_rows(rows, reference, job.read_spark(reference.parent).select(*reference.parent_columns))
            files |= {row.source_file for row in lost.select("source_file").distinct().collect()}
    return files


def main(job: Job) -> str:
    since, held = version_at_start(job, TRANSACTIONS), taken_in(job)
    return job.transact(lambda: ingest_delivered(job, since, held))


def taken_in(job: Job) -> dict[str, str]:
    """Name -> checksum of the files whose purchases are in the table that this run reads."""
    return {p["source_file"]: p["source_checksum"] for p in job.partitions(TRANSACTIONS)}


def refuse_overtaken(
    job: Job, delivered: Sequence[SourceFile], taken: dict[str, str], since: int, held: dict[str, str]
) -> None:
    """Raise JobError where another run replaced a file's rows since this one began, which has other ones of that name.

    Args:
        job: the running job.
        delivered: the files that it found.
        taken: name -> checksum of those in the table now.
        since, held: the table's version when this run began, and what it held then.
    """
    sums = {file.name: file.checksum for file in delivered}
    both = sorted(n for n, found in taken.items() if sums.get(n, found) != found and held.get(n) != found)
    if both and (day := overtaken_by(job, TRANSACTIONS, since)):
        raise JobError(
            f"{job.settings.data}/{both[0]}: while this run of {job.settings.as_of_date} read it, one of {day} took"
            f" other content of that name into {TRANSACTIONS.path}, which stays, since this one's may be older;"
            " nothing published: run it again if it is not"
        )


def ingest_delivered(job: Job, since: int, held: dict[str, str]) -> str:
    """Bring the table up to date with the delivered files, catalogue and customers; returns the job's summary.

    Args:
        job: the running job.
        since, held: the table's version when this run began, and the files that it held then.
    """
    mapping = require_purchases(job.settings.mapping)
    known = recorded(job, TRANSACTIONS)
    delivered = source_files(job.settings.data, mapping.transactions, states(known))
    facts: dict[str, str | int] = {"mapping_digest": mapping.digest}
    facts |= {f"{table.name}_version": job.version(table) for table in PARENTS.values()}
    taken = taken_in(job)
    refuse_overtaken(job, delivered, taken, since, held)
    again = to_take_again(job, delivered, taken, known, facts) if taken else set()
    is_cumulative = mapping.transactions.deliveries == "cumulative"
    steps = plan(delivered, taken, again, superseded(known, mapping.digest) if is_cumulative else {})
    warn_of_odd_names([file.name for file in delivered])
    said = f"{len(delivered):,} files, all ingested before; nothing to do"
    if steps.take:
        said, steps = ingest(job, mapping, steps, taken)
    note_deliveries(job, delivered, taken, known, steps, facts)
    kind = "superseded by" if is_cumulative else "a copy of"
    return said + "".join(f"; {name} is {kind} {other}, not ingested" for name, other in steps.copies.items())


def ingest(job: Job, mapping: ShopMapping, steps: Plan, taken: dict[str, str]) -> tuple[str, Plan]:
    """Read the plan's files and commit their rows, refused ones first: a kill in between leaves the rest to a rerun.

    Returns what was done in words, and the plan as it was carried out: of cumulative files only the newest is taken.
    """
    with job.staging(TRANSACTIONS) as files, job.staging(QUARANTINE) as quarantine:
        lookups = {column: KeyLookup.of(job.table(table), column) for column, table in PARENTS.items()}
        files_read = [indexed(file) for file in steps.take]
        work = [block for file in files_read for block in blocks(file)]

        def read(some: Sequence[Block], usual: dict[str, Usual]) -> list[Row]:
            kernel = partial(ingest_blocks, some, mapping, lookups, files, quarantine, usual)
            return collected(job.spark, kernel, len(some), DONE)

        done = read_and_judged(job, work, read, mapping.transactions, steps.replace)
        refused = [block.refused for block in done if block.refused]
        rows_read: dict[str, int] = {}
        for block in done:
            rows_read[block.source_file] = rows_read.get(block.source_file, 0) + block.row_count
        found = findings_of_files(rows_read, quarantine.read_spark(job.spark, refused) if refused else None)
        audit(found, job.settings.max_quarantine_share)
        require_unchanged(steps.take)
        steps, remark = counted_once(job, mapping.transactions, steps, taken, files, done)
        names = [file.name for file in steps.take]
        if not names:
            return "nothing published", steps
        refused = [block.refused for block in done if block.refused and block.source_file in names]
        replace = {"source_file": steps.replace}
        job.publish_staged(quarantine, refused, {"table_name": [TRANSACTIONS.name]} | replace)
        good = [block.good for block in done if block.good and block.source_file in names]
        count = job.publish_staged(files, good, replace, derived_from=[TRANSACTIONS, *PARENTS.values()])
    bad = sum(of_file.bad for of_file in found if of_file.file in names)
    return f"{count:,} units from {', '.join(names)}; {bad:,} rows in quarantine{remark}", steps


def note_deliveries(
    job: Job,
    delivered: Sequence[SourceFile],
    taken: dict[str, str],
    known: dict[str, Record],
    steps: Plan,
    facts: dict[str, str | int],
) -> None:
    """Bring ops/deliveries up to date: what the table is made from now, and copies of that under other names."""
    files = {file.name: file for file in delivered}
    version = job.warehouse.versions_written.get(TRANSACTIONS.name)
    made_from = {name: checksum for name, checksum in taken.items() if name not in steps.replace}
    made_from |= {file.name: file.checksum for file in steps.take}
    rows: list[Record] = []
    for name, checksum in made_from.items():
        committed = known[name]["table_version"] if name in known and name not in steps.replace else None
        row: Record = facts | {"source_file": name, "source_checksum": checksum}
        row["table_version"] = next(v for v in (committed, version, job.version(TRANSACTIONS)) if v is not None)
        rows.append(row | {"file_state": state_text(files[name]) if name in files else None})
    for name, first in ((name, first) for name, first in steps.copies.items() if name in files):
        state = {"file_state": state_text(files[name]), "copy_of": first, "table_version": 0}
        rows.append({"source_file": name, "source_checksum": files[name].checksum, **facts, **state})
    rows = [row for row in rows if not _is_noted(row, known)]
    gone = (known.keys() | set(steps.replace)) - made_from.keys() - steps.copies.keys()
    if rows or gone & known.keys():
        record(job, TRANSACTIONS, rows, gone)


def _is_noted(row: Record, known: dict[str, Record]) -> bool:
    return row.items() <= known.get(row["source_file"], {}).items()


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES, settings=SETTINGS)
