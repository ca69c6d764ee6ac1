"""What the catalogue and the customer list share: one file, one row per id, replaced whole when the file changes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from pyspark import StorageLevel
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from expectations.contract import Contract
from jobs.ingest.files import SourceFile, require_unchanged, source_files
from jobs.ingest.keys import key_of, with_keys
from jobs.ingest.mapping import Mapping, TableMapping
from jobs.ingest.quarantine import audit, publish_quarantine
from jobs.platform.errors import JobError
from jobs.platform.job import Job

#: Fact recorded with a commit: what the table was made from.
SOURCE = "source"


def single_file(data: Path, table: TableMapping) -> SourceFile:
    """The table's one file; raises JobError when there is none or several."""
    files = source_files(data, table)
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise JobError(f"{data / table.file}: one file expected, found {names}; leave one, or name it in the mapping")
    return files[0]


def digest(mapping: Mapping, files: Sequence[SourceFile]) -> str:
    """Changes when the mapping or a file's content does."""
    parts = [mapping.digest, *sorted(file.checksum for file in files)]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()


def unique_rows(typed: DataFrame, contract: Contract) -> DataFrame:
    """One usable row per id: identical repetitions are dropped; of differing ones the first stands, others are refused.

    Args:
        typed: typed rows (jobs.ingest.typed) of one file.
        contract: a table with a key of one column.
    """
    (key,) = contract.key
    values = F.struct(*[name for name in contract.column_names if name != key_of(key)])
    usable = F.col("refusal").isNull()
    # Refused rows compete with nobody: each is alone with its line.
    same_id = Window.partitionBy(F.when(usable, F.col(key)), F.when(~usable, F.col("source_line"))).orderBy(
        "source_line"
    )
    clash = F.when(~F.col("is_first") & usable, F.lit(f"{key} already on an earlier line, with other values"))
    return (
        typed.withColumn("is_first", F.row_number().over(same_id) == 1)
        .withColumn("is_repeated", ~F.col("is_first") & values.eqNullSafe(F.first(values).over(same_id)))
        .where(~F.col("is_repeated"))
        .withColumn("refusal", F.coalesce("refusal", clash))
        .drop("is_first", "is_repeated")
    )


def publish_entities(job: Job, contract: Contract, rows: DataFrame, files: Sequence[SourceFile], source: str) -> str:
    """Quarantine and publish judged rows as the whole table; returns the job's summary.

    Args:
        job: the running job.
        contract: the table.
        rows: judged rows.
        files: every file they were read from.
        source: the files' digest, recorded with the commit.
    """
    rows = rows.persist(StorageLevel.DISK_ONLY)
    try:
        bad = audit(rows, job.settings.max_quarantine_share)
        require_unchanged(files)
        publish_quarantine(job, contract, rows, bad)
        known = job.read_spark(contract) if job.exists(contract) else None
        good = with_keys(rows.where(~F.col("is_refused")), contract, known)
        count = job.publish(contract, good, {}, facts={SOURCE: source})
    finally:
        rows.unpersist()
    return f"{count:,} rows from {', '.join(file.name for file in files)}; {bad:,} rows in quarantine"
