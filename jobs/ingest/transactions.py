"""Delivered purchases as silver/transactions: one row per unit bought, each file taken in once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from expectations.articles import ARTICLES
from expectations.contract import Contract
from expectations.customers import CUSTOMERS
from expectations.transactions import QUARANTINE, TRANSACTIONS
from jobs.ingest.deliveries import Plan, plan
from jobs.ingest.files import SourceFile, require_unchanged, source_files
from jobs.ingest.keys import key_of
from jobs.ingest.mapping import Mapping, TransactionsMapping, load_mapping
from jobs.ingest.quarantine import audit, judged, publish_quarantine
from jobs.ingest.reading import by_layout, read_rows
from jobs.ingest.typed import malformed, matches, number, raw_text, typed_rows
from jobs.platform.errors import JobError
from jobs.platform.job import Job, run

READS, WRITES = (ARTICLES, CUSTOMERS), (TRANSACTIONS, QUARANTINE)

#: Key column -> the table it must be found in.
PARENTS = {"article_id": ARTICLES, "customer_id": CUSTOMERS}


def _unknown(column: str) -> str:
    return f"{column} is not in {PARENTS[column].path}"


def transform(rows: DataFrame, mapping: Mapping, parents: dict[str, DataFrame]) -> DataFrame:
    """Judged purchases (jobs.ingest.quarantine) from raw rows of one layout, with their number of `units`.

    `parents` holds for each column of PARENTS the table that knows its ids and their surrogate keys.
    """
    patterns = {"article_id": mapping.articles.id_pattern, "customer_id": mapping.customers.id_pattern}
    typed = typed_rows(rows, mapping.transactions)
    counted = _counted(typed, mapping.transactions)
    refusals = [F.col("refusal"), F.when(F.col("price") <= 0, "price is not above 0")]
    for column, table in parents.items():
        counted = _looked_up(counted, table, column)
        unknown = F.lit(_unknown(column))
        if pattern := patterns[column]:  # a known id was found well-formed when its table was taken in
            unknown = F.when(~matches(F.col(column), pattern), malformed(column)).otherwise(unknown)
        refusals.append(F.when(F.col(key_of(column)).isNull(), unknown))
    return judged(counted.withColumn("refusal", F.coalesce(*refusals)))


def _counted(typed: DataFrame, mapping: TransactionsMapping) -> DataFrame:
    """Adds `units`, and makes `price` that of one unit."""
    if mapping.units is None:
        return typed.withColumn("units", F.lit(1))
    text = raw_text(typed, mapping.units)
    count = number(text)
    units: Column = F.when((count == F.floor(count)) & count.between(1, mapping.max_units), count.cast("int"))
    price = F.col("price") / F.col("units") if mapping.price_is_line_total else F.col("price")
    refusal = F.when(F.col("units").isNull(), f"{mapping.units} is not a number of units, 1 to {mapping.max_units}")
    return (
        typed.withColumn("units", units)
        .withColumn("price", price)
        .withColumn("refusal", F.coalesce("refusal", refusal))
    )


def _looked_up(rows: DataFrame, table: DataFrame, column: str) -> DataFrame:
    """Adds the surrogate key of the id in `column`, null where the table does not know it.

    The table is broadcast, and looked into by the id's 64-bit hash, which is several times as fast as by 64 characters;
    the id that is found there is then compared, so that a hash shared by two ids makes no unknown id a known one.
    """
    key = key_of(column)
    known = table.select(F.xxhash64(column).alias("id_hash"), F.col(column).alias("known_id"), key)
    found = rows.join(F.broadcast(known), F.xxhash64(rows[column]) == known["id_hash"], "left")
    return found.withColumn(key, F.when(F.col("known_id") == F.col(column), F.col(key))).drop("id_hash", "known_id")


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
    """Files with a purchase whose article or customer is not in its table any more, or under another key."""
    rows = job.read_spark(TRANSACTIONS)
    for column in columns:
        noted = rows.withColumnRenamed(key_of(column), f"noted_{key_of(column)}")
        rows = _looked_up(noted, job.read_spark(PARENTS[column]), column)
    lost = reduce(Column.__or__, [~F.col(key_of(c)).eqNullSafe(F.col(f"noted_{key_of(c)}")) for c in columns])
    return {row.source_file for row in rows.where(lost).select("source_file").distinct().collect()}


def main(job: Job) -> str:
    mapping = load_mapping(job.settings.mapping)
    delivered = source_files(job.settings.data, mapping.transactions)
    parents: tuple[Contract, ...] = tuple(PARENTS.values())
    facts = {"mapping": mapping.digest} | {table.name: str(job.version(table)) for table in parents}
    taken = {p["source_file"]: p["source_checksum"] for p in job.partitions(TRANSACTIONS)}
    again = to_take_again(job, delivered, taken, facts) if taken else set()
    steps = plan(delivered, taken, again)
    copies = "".join(f"; {name} is a copy of {first}, not taken in" for name, first in steps.copies.items())
    if not steps.take:
        return f"{len(delivered):,} files, all taken in before; nothing to do{copies}"
    return take_in(job, mapping, steps, facts) + copies


def take_in(job: Job, mapping: Mapping, steps: Plan, facts: dict[str, str]) -> str:
    """Read the plan's files and commit their rows, refused ones first: a kill in between leaves the rest to a rerun."""
    parents = {column: job.read_spark(table) for column, table in PARENTS.items()}
    judgements = [transform(read_rows(job.spark, group), mapping, parents) for group in by_layout(steps.take)]
    rows = reduce(DataFrame.unionByName, judgements).withColumn("unit", F.lit(1))
    if mapping.transactions.units is not None:
        units = F.when(F.col("is_refused"), 1).otherwise(F.col("units"))
        rows = rows.withColumn("unit", F.explode(F.sequence(F.lit(1), units)))
    with job.stage(TRANSACTIONS, rows.drop("units"), split_by=["is_refused"]) as files:
        lines = files.rows.where(F.col("unit") == 1)
        bad = audit(lines, job.settings.max_quarantine_share)
        require_unchanged(steps.take)
        publish_quarantine(job, TRANSACTIONS, lines, bad, steps.replace)
        count = job.publish_staged(files, {"source_file": steps.replace}, facts=facts, only={"is_refused": "false"})
    return f"{count:,} units from {', '.join(file.name for file in steps.take)}; {bad:,} rows in quarantine"


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES)
