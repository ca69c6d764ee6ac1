"""Which delivered files to ingest, given what was ingested before, and what ops/deliveries records of that.

A record holds while nobody else changes the table: after a commit that is neither maintenance nor recorded here (a
restored version, a run killed before it recorded what it had published) nothing is known of the table's files.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from expectations.contract import Contract
from expectations.operations import DELIVERIES
from jobs.ingest.files import Known, SourceFile
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.schemas import arrow_schema


@dataclass(frozen=True)
class Plan:
    """`take`: files to read; `replace`: names whose rows go; `copies`: name -> the file that holds its content."""

    take: list[SourceFile]
    replace: list[str]
    copies: dict[str, str]


def plan(
    delivered: Sequence[SourceFile],
    taken: Mapping[str, str],
    again: Collection[str] = (),
    superseded: Mapping[str, str] | None = None,
) -> Plan:
    """Decide by content: a checksum is taken in once, whatever its name; a known name with new content is replaced.

    A file that was taken in and is no longer delivered keeps its rows.

    Args:
        delivered: the files now in the data folder.
        taken: name -> checksum of the files whose rows are in silver.
        again: names of `taken` to take in again if their content is still delivered.
        superseded: checksum of a file -> name of the newer one that was found to hold its rows.

    Raises:
        JobError: a known name now holds a copy of another file: its earlier rows would vanish.
    """
    sums = {file.name: file.checksum for file in delivered}
    redo = {name for name in again if taken[name] in sums.values()}
    kept = {name: sum_ for name, sum_ in taken.items() if name not in redo and sums.get(name, sum_) == sum_}
    unchanged = {name for name, sum_ in taken.items() if sums.get(name, sum_) == sum_}
    owner = {sum_: name for sum_, name in (superseded or {}).items() if name in unchanged}
    owner |= {sum_: name for name, sum_ in kept.items()}
    take, copies = [], {}
    for file in sorted(delivered, key=lambda f: f.name):
        if file.name in kept:
            continue
        if file.checksum not in owner:
            owner[file.checksum] = file.name
            take.append(file)
        elif file.name in taken and file.name not in redo:
            raise JobError(
                f"{file.path}: now a copy of {owner[file.checksum]}, its own rows would be lost; restore or remove it"
            )
        else:
            copies[file.name] = owner[file.checksum]
    replace = sorted({file.name for file in take} | (taken.keys() - kept.keys()))
    return Plan(take, replace, copies)


# ---- ops/deliveries

#: A row of ops/deliveries.
Record = dict[str, Any]


def recorded(job: Job, contract: Contract) -> dict[str, Record]:
    """File name -> its record, of the files that the table was made from; nothing where the records hold no longer.

    They are of the version of the table that this run reads. Raises TableChangedError where they are of a later one.
    """
    if job.exists(contract):
        job.version(contract)  # before its records, which another run may bring up to date meanwhile
    rows = every_record(job, contract)
    if not rows or job.warehouse.changes_as_read(contract, max(row["table_version"] for row in rows)) != set():
        return {}
    return {row["source_file"]: row for row in rows}


def every_record(job: Job, contract: Contract) -> list[Record]:
    """Whatever was recorded of the table's files."""
    if not job.exists(DELIVERIES):
        return []
    return job.read_arrow(DELIVERIES, where={"table_name": [contract.name]}).to_pylist()


def record(job: Job, contract: Contract, rows: Sequence[Record], gone: Collection[str] | None = ()) -> None:
    """Note the files that the table was made from, in place of what was noted of them and of those that are `gone`.

    Where another run has noted a later version of the table, made from this one, that stands.

    Args:
        job: the running job, which published the table or found it as it should be.
        contract: the table.
        rows: records without table_name and run_id; columns of no meaning for the table may be left out.
        gone: names of files without rows in the table; None: all others.
    """
    version = job.warehouse.versions_written.get(contract.name, job.version(contract))

    def note() -> None:
        noted = every_record(job, contract)
        newest = job.warehouse.newest(contract).version()  # a table made anew begins below what was noted of the old
        if any(version < row["table_version"] <= newest for row in noted):
            return
        given = {"next_key": next_key(noted)} if next_key(noted) > next_key(rows) else {}
        _publish(job, contract, [row | given for row in rows], gone)

    job.transact(note, [DELIVERIES])


def version_at_start(job: Job, contract: Contract) -> int:
    """The table's version before a run looks at its files, for `overtaken_by`; -1 where there is no table."""
    return job.version(contract) if job.exists(contract) else -1


def overtaken_by(job: Job, contract: Contract, since: int) -> str:
    """As-of date of another run that took in files after this version, while this one ran; "" without one.

    The runs' as-of dates alone decide which of two files is the newer one: one that an earlier date took in does not
    count, and is replaced.
    """
    publishes = job.warehouse.publishes_since(contract, since)
    own = job.warehouse.versions_written.get(contract.name)
    found = [stamp.get("as_of_date", "") for version, stamp in publishes.items() if version != own]
    latest = max(found, default="")
    return latest if latest >= job.settings.as_of_date.isoformat() else ""


def reserve_keys(job: Job, contract: Contract, file: SourceFile, key: int) -> None:
    """Note that keys below this one are given, before the commit that gives them: a killed run never notes it after.

    Args:
        job: the running job.
        contract: the table.
        file: that its rows are from, in case that nothing was noted of the table before.
        key: the least that stays free.
    """

    def note() -> None:
        noted = every_record(job, contract)
        unmade = {"source_file": file.name, "source_checksum": file.checksum, "mapping_digest": "", "table_version": 0}
        if next_key(noted) < key:
            _publish(job, contract, [row | {"next_key": key} for row in noted or [unmade]])

    job.transact(note, [DELIVERIES])


def next_key(rows: Sequence[Record]) -> int:
    """The least surrogate key that was never given, as far as these records know."""
    return max((row.get("next_key") or 0 for row in rows), default=0)


def _publish(job: Job, contract: Contract, rows: Sequence[Record], gone: Collection[str] | None = ()) -> None:
    stamp = {"table_name": contract.name, "run_id": job.settings.run_id}
    table = pa.Table.from_pylist([stamp | row for row in rows], arrow_schema(DELIVERIES))
    replace = {"table_name": [contract.name]}
    if gone is not None:
        replace["source_file"] = sorted({row["source_file"] for row in rows} | set(gone))
    job.publish(DELIVERIES, table, replace, derived_from=[DELIVERIES])


def superseded(records: Mapping[str, Record], mapping_digest: str) -> dict[str, str]:
    """Checksum of each file that was not taken in -> name of the one that was instead."""
    rows = (row for row in records.values() if row["copy_of"] and row["mapping_digest"] == mapping_digest)
    return {row["source_checksum"]: row["copy_of"] for row in rows}


def states(records: Mapping[str, Record]) -> Known:
    """The recorded files as files that need not be read to be known again."""
    return {
        name: [row["source_checksum"], *json.loads(row["file_state"])]
        for name, row in records.items()
        if row["file_state"]
    }


def state_text(file: SourceFile) -> str | None:
    """What is noted of the file so that it is known again."""
    return json.dumps(file.state) if file.state else None
