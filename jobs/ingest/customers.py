"""The retailer's customers as silver/customers: typed, checked, one row per customer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from expectations.customers import CUSTOMERS
from expectations.transactions import QUARANTINE
from jobs.ingest.entities import SOURCE, digest, publish_entities, single_file, unique_rows
from jobs.ingest.files import SourceFile, source_files
from jobs.ingest.mapping import Mapping, load_mapping
from jobs.ingest.quarantine import judged
from jobs.ingest.reading import by_layout, read_rows
from jobs.ingest.typed import matches, raw_text, typed_rows
from jobs.platform.job import Job, run

READS, WRITES = (), (CUSTOMERS, QUARANTINE)


def transform(rows: DataFrame, mapping: Mapping) -> DataFrame:
    """Judged customers (jobs.ingest.quarantine) from the customers file's raw rows."""
    typed = typed_rows(rows, mapping.customers, {"customer_id": mapping.customers.id_pattern})
    upper = typed.withColumn("fashion_news_frequency", F.upper("fashion_news_frequency"))
    return judged(unique_rows(upper, CUSTOMERS))


def with_buyers(customers: DataFrame, buyers: DataFrame) -> DataFrame:
    """Judged customers and, with nothing known about them, the buyers (customer_id) that are not among them."""
    unlisted = buyers.join(customers, "customer_id", "left_anti").select(
        "customer_id", F.lit(False).alias("is_fn"), F.lit(False).alias("is_active"), F.lit(False).alias("is_refused")
    )
    unlisted = unlisted.withColumn("source_file", F.lit("transactions"))
    return customers.unionByName(unlisted, allowMissingColumns=True)


def buyers(spark: SparkSession, files: Sequence[SourceFile], mapping: Mapping) -> DataFrame:
    """Distinct well-formed customer ids (customer_id) in the transactions files."""
    source = mapping.transactions.columns["customer_id"].column
    assert source is not None, "a customer id is never a constant"
    groups = [read_rows(spark, group) for group in by_layout(files)]
    ids = reduce(DataFrame.union, [rows.select(raw_text(rows, source).alias("customer_id")) for rows in groups])
    pattern = mapping.customers.id_pattern
    valid = matches(F.col("customer_id"), pattern) if pattern else F.col("customer_id").isNotNull()
    return ids.where(valid).distinct()


def main(job: Job) -> str:
    mapping = load_mapping(job.settings.mapping)
    file = single_file(job.settings.data, mapping.customers)
    further = source_files(job.settings.data, mapping.transactions) if mapping.customers.also_from_transactions else []
    source = digest(mapping, [file, *further])
    if job.facts(CUSTOMERS).get(SOURCE) == source:
        return f"{file.name} is as it was taken in; nothing to do"
    rows = transform(read_rows(job.spark, [file]), mapping)
    if further:
        rows = with_buyers(rows, buyers(job.spark, further, mapping))
    return publish_entities(job, CUSTOMERS, rows, [file, *further], source)


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES)
