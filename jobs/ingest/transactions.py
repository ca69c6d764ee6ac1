"""Delivered purchases as silver/transactions: one row per unit bought, each file taken in once."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from collections.abc import Mapping as Dictionary
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.articles import ARTICLES
from expectations.contract import Contract, key_of
from expectations.customers import CUSTOMERS
from expectations.transactions import QUARANTINE, TRANSACTIONS
from jobs.ingest.deliveries import Plan, plan
from jobs.ingest.files import (
    SourceFile,
    fingerprint,
    is_known,
    noted,
    require_unchanged,
    source_files,
    source_paths,
)
from jobs.ingest.mapping import Mapping, TransactionsMapping, load_mapping
from jobs.ingest.quarantine import Findings, audit, bad_rows, findings
from jobs.ingest.reading import Block, RawRows, blocks
from jobs.ingest.typed import TypedRows, by_text, is_matching, malformed, mask, number, typed
from jobs.platform.errors import JobError
from jobs.platform.job import Job, run
from jobs.platform.lookup import Lookup
from jobs.platform.spark import in_parallel
from jobs.platform.staging import Staged

READS, WRITES = (ARTICLES, CUSTOMERS), (TRANSACTIONS, QUARANTINE)

#: Ids -> surrogate keys, null where unknown.
Keys = Callable[[pa.Array], pa.Array]

UNITS = "units"

#: Fact recorded with a commit: the files as they were then (jobs.ingest.files.noted).
DELIVERED = "delivered"

#: Key column -> the table it must be found in.
PARENTS = {"article_id": ARTICLES, "customer_id": CUSTOMERS}


def _unknown(column: str) -> str:
    return f"{column} is not in {PARENTS[column].path}"


def transform(raw: RawRows, mapping: Mapping, keys: Dictionary[str, Keys]) -> TypedRows:
    """Typed purchases from raw rows, with surrogate keys, and the number of `units` of each.

    Args:
        raw: rows of one file.
        mapping: the retailer's.
        keys: for each column of PARENTS, the surrogate keys of ids, null where unknown.
    """
    rows = _counted(typed(raw, mapping.transactions), mapping.transactions)
    price = rows.columns["price"].fill_null(1.0).to_numpy()
    rows.verdicts.refuse(price <= 0, "price is not above 0")
    patterns = {"article_id": mapping.articles.id_pattern, "customer_id": mapping.customers.id_pattern}
    for column in PARENTS:
        ids = rows.columns[column]
        found = keys[column](ids.dictionary).take(ids.indices)
        is_unknown = mask(found.is_null())
        # A known id was found well-formed when its table was taken in.
        if is_unknown.any() and (pattern := patterns[column]):
            rows.verdicts.refuse(is_unknown & ~is_matching(ids, pattern), malformed(column))
        rows.verdicts.refuse(is_unknown, _unknown(column))
        rows = rows.with_column(key_of(column), found)
    return rows


def _counted(rows: TypedRows, mapping: TransactionsMapping) -> TypedRows:
    """Adds `units`, and makes `price` that of one unit."""
    if mapping.units is None:
        return rows

    def units(text: str) -> int | None:
        count = number(text)
        return int(count) if count is not None and count == int(count) and 1 <= count <= mapping.max_units else None

    count = by_text(rows.raw.text(mapping.units), units, pa.int32())
    rows.verdicts.refuse(mask(count.is_null()), f"{mapping.units} is not a number of units, 1 to {mapping.max_units}")
    if mapping.price_is_line_total:
        rows = rows.with_column("price", pc.divide(rows.columns["price"], count.cast(pa.float64())))
    return rows.with_column(UNITS, count)


def purchases(rows: TypedRows) -> pa.Table:
    """The usable rows, one per unit, in the columns of the table that its files hold."""
    good = rows.good()
    if UNITS in rows.columns:
        good = np.repeat(good, rows.columns[UNITS].take(good).to_numpy())
    names = [name for name in TRANSACTIONS.column_names if name not in TRANSACTIONS.partition_by]
    table = pa.table({name: rows.columns[name] for name in names})
    return table if len(good) == len(rows.raw) and UNITS not in rows.columns else table.take(good)


def to_take_again(job: Job, delivered: Sequence[SourceFile], taken: dict[str, str], facts: dict[str, str]) -> set[str]:
    """Names of files already taken in whose rows might be judged otherwise today.

    These are all of them when the mapping changed; else, when the catalogue or the customers changed, those with rows
    refused because an id was unknown, and those with rows whose id is no longer known.

    Raises:
        JobError: rows lost their article or customer and their file is not there to be taken in again.
    """
    last = job.facts(TRANSACTIONS)
    if last.get("mapping") != facts["mapping"]:
        return set(taken)
    changed = [column for column, table in PARENTS.items() if last.get(table.name) != facts[table.name]]
    if not changed:
        return set()
    reasons = {"table_name": [TRANSACTIONS.name], "reason": [_unknown(column) for column in changed]}
    waiting = set(
        job.read_arrow(QUARANTINE, columns=["source_file"], where=reasons)["source_file"].unique().to_pylist()
    )
    orphaned = _orphaned(job, changed)
    present = {file.name for file in delivered} | {n for n in taken if taken[n] in {f.checksum for f in delivered}}
    if lost := sorted(orphaned - present):
        raise JobError(
            f"{TRANSACTIONS.path} holds rows of {', '.join(lost)} whose {' or '.join(changed)} is no longer known, and "
            f"{job.settings.data} does not have that file; deliver it again, or use another warehouse"
        )
    return (waiting | orphaned) & taken.keys()


def _orphaned(job: Job, columns: Sequence[str]) -> set[str]:
    """Files with a purchase whose article or customer is not in its table any more; a key has one owner for good."""
    rows = job.read_spark(TRANSACTIONS)
    files: set[str] = set()
    for column in columns:
        known = job.read_spark(PARENTS[column]).select(key_of(column))
        lost = rows.join(known, key_of(column), "left_anti").select("source_file").distinct()
        files |= {row.source_file for row in lost.collect()}
    return files


def main(job: Job) -> str:
    mapping = load_mapping(job.settings.mapping)
    known = json.loads(job.facts(TRANSACTIONS).get(DELIVERED, "{}"))
    if not all(is_known(path, known) for path in source_paths(job.settings.data, mapping.transactions)):
        job.start_spark()  # beside the reading of new files for their checksums
    delivered = source_files(job.settings.data, mapping.transactions, known)
    parents: tuple[Contract, ...] = tuple(PARENTS.values())
    facts = {"mapping": mapping.digest} | {table.name: str(job.version(table)) for table in parents}
    taken = {p["source_file"]: p["source_checksum"] for p in job.partitions(TRANSACTIONS)}
    again = to_take_again(job, delivered, taken, facts) if taken else set()
    steps = plan(delivered, taken, again)
    copies = "".join(f"; {name} is a copy of {first}, not taken in" for name, first in steps.copies.items())
    if not steps.take:
        return f"{len(delivered):,} files, all taken in before; nothing to do{copies}"
    facts[DELIVERED] = json.dumps(noted(delivered))
    return take_in(job, mapping, steps, facts) + copies


def take_in(job: Job, mapping: Mapping, steps: Plan, facts: dict[str, str]) -> str:
    """Read the plan's files and commit their rows, refused ones first: a kill in between leaves the rest to a rerun."""
    with job.staging(TRANSACTIONS) as files, job.staging(QUARANTINE) as aside:
        lookups = {column: job.lookup(table) for column, table in PARENTS.items()}
        work = partial(take_in_block, mapping=mapping, lookups=lookups, files=files, aside=aside)
        files_read = [file if file.lines_before else fingerprint(file.path, file.columns) for file in steps.take]
        done = in_parallel(job.context, work, [block for file in files_read for block in blocks(file)])
        bad = audit([block.findings for block in done], job.settings.max_quarantine_share)
        require_unchanged(steps.take)
        replace = {"source_file": steps.replace}
        refused = [block.refused for block in done if block.refused]
        job.publish_staged(aside, refused, {"table_name": [TRANSACTIONS.name]} | replace)
        count = job.publish_staged(files, [block.good for block in done if block.good], replace, facts=facts)
    return f"{count:,} units from {', '.join(file.name for file in steps.take)}; {bad:,} rows in quarantine"


class BlockDone(NamedTuple):
    """What became of a block: the files written, if any, of its good and its bad rows."""

    findings: Findings
    good: str | None
    refused: str | None


def take_in_block(
    block: Block, mapping: Mapping, lookups: dict[str, Lookup], files: Staged, aside: Staged
) -> BlockDone:
    """Read one block of a file and write its rows where they wait for their commit."""
    rows = transform(block.read(), mapping, {column: lookup.keys for column, lookup in lookups.items()})
    bad = bad_rows(rows, TRANSACTIONS, block.file)
    good = purchases(rows)
    came = {"source_file": block.file.name, "source_checksum": block.file.checksum}
    return BlockDone(
        findings(block.file, len(rows.raw), bad),
        files.write(good, **came) if good.num_rows else None,
        aside.write(bad, table_name=TRANSACTIONS.name, source_file=block.file.name) if bad.num_rows else None,
    )


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES)
