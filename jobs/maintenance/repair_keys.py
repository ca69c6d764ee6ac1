"""Find purchases whose surrogate keys belong to another customer or article, and mend them.

Not a task of a DAG: `python -m jobs.maintenance.repair_keys --as-of-date 2020-09-16 --warehouse warehouse` says how
many rows are wrong in each file of silver/transactions and changes nothing; with `--dry-run false` it mends them. The
id is what the retailer delivered, so it stands, and the key becomes its customer's or article's. All files are mended
in one commit and noted in ops/deliveries as of that version, so the next run computes all feature slices anew that were
made from them. A file with an id that is in neither table cannot be mended: ingest.transactions takes it again, once
delivered.
"""

from __future__ import annotations

from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from expectations.articles import ARTICLES
from expectations.customers import CUSTOMERS
from expectations.operations import DELIVERIES
from expectations.transactions import TRANSACTIONS
from jobs.ingest.deliveries import record, recorded
from jobs.platform.job import Job, run
from jobs.platform.measures import unknown_rows

READS, WRITES = (CUSTOMERS, ARTICLES), (TRANSACTIONS, DELIVERIES)
SETTINGS = ("accept_drift", "dry_run")


def transform(rows: DataFrame, parents: dict[str, DataFrame]) -> DataFrame:
    """The purchases, each with the keys that the parents have for its ids; null where they do not have the id.

    Args:
        rows: of silver/transactions.
        parents: key column -> that table's keys and ids.
    """
    for reference in TRANSACTIONS.references:
        rows = rows.drop(reference.column).join(parents[reference.column], reference.id_column or "", "left")
    return rows.select(*TRANSACTIONS.column_names)


def main(job: Job) -> str:
    return job.transact(lambda: repair(job))


def repair(job: Job) -> str:
    """Compare every purchase with its parents, and mend those that disagree unless that is only tried."""
    known = recorded(job, TRANSACTIONS)
    rows = job.read_spark(TRANSACTIONS)
    parents = {r.column: job.read_spark(r.parent).select(*r.parent_columns) for r in TRANSACTIONS.references}
    wrong = disagreeing(rows, parents)
    if not wrong:
        return f"{rows.count():,} purchases: every key is its customer's or article's"
    broken = rows.where(F.col("source_file").isin(*wrong))
    unlisted = unlisted_ids(broken, parents)
    words = (
        f"{sum(wrong.values()):,} of {rows.count():,} purchases have a key that is not their customer's or article's"
    )
    words += ": " + ", ".join(f"{count:,} of {file}" for file, count in wrong.items())
    if unlisted:
        said = ", ".join(f"{count:,} rows of {file}" for file, count in unlisted.items())
        words += f"; {said} name an id that is not known: deliver the file, run ingest.transactions"
    mendable = sorted(wrong.keys() - unlisted.keys())
    if not mendable:
        return f"{words}; nothing mended"
    if job.settings.dry_run:
        return f"{words}; nothing changed, --dry-run false mends {', '.join(mendable)}"
    mended = transform(rows.where(F.col("source_file").isin(*mendable)), parents)
    job.publish(TRANSACTIONS, mended, {"source_file": mendable}, derived_from=[TRANSACTIONS, *READS])
    version = job.warehouse.versions_written[TRANSACTIONS.name]
    facts = {f"{table.name}_version": job.version(table) for table in READS} | {"table_version": version}
    noted = [known[file] | facts | {"run_id": job.settings.run_id} for file in mendable if file in known]
    if len(noted) == len(mendable):  # else nothing is known of the table, and the next ingest takes all files again
        record(job, TRANSACTIONS, noted)
    return f"{words}; mended {', '.join(mendable)}, run the features again"


def disagreeing(rows: DataFrame, parents: dict[str, DataFrame]) -> dict[str, int]:
    """Source file -> purchases with a wrong key, of files that have some."""
    numbered = rows.withColumn("_row", F.monotonically_increasing_id())
    wrong = [
        unknown_rows(numbered, r, parents[r.column]).select("source_file", "_row") for r in TRANSACTIONS.references
    ]
    counts = reduce(DataFrame.union, wrong).distinct().groupBy("source_file").count().collect()
    return {row["source_file"]: row["count"] for row in sorted(counts, key=lambda row: row["source_file"])}


def unlisted_ids(rows: DataFrame, parents: dict[str, DataFrame]) -> dict[str, int]:
    """Source file -> purchases with an id that its parent does not have."""
    lacks_key = reduce(lambda a, b: a | b, (F.col(column).isNull() for column in parents))
    counts = transform(rows, parents).where(lacks_key).groupBy("source_file").count().collect()
    return {row["source_file"]: row["count"] for row in sorted(counts, key=lambda row: row["source_file"])}


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES, settings=SETTINGS)
