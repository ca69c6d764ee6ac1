"""The retailer's customers as silver/customers: typed, checked, one row per customer."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from expectations.customers import CUSTOMERS
from expectations.operations import DELIVERIES
from expectations.transactions import QUARANTINE
from jobs.ingest.deliveries import version_at_start
from jobs.ingest.entities import digest, is_ingested, publish_entities, refuse_overtaken, single_file
from jobs.ingest.files import SourceFile, source_files
from jobs.ingest.mapping import ShopMapping, require_purchases
from jobs.ingest.plausibility import empty_ages
from jobs.ingest.raw_rows import RawRows
from jobs.ingest.reading import blocks, read_rows
from jobs.ingest.typed import TypedRows, is_matching, typed
from jobs.ingest.values import emptied, is_rounded, plain_ids
from jobs.platform.job import Job, run

READS, WRITES = (), (CUSTOMERS, QUARANTINE, DELIVERIES)
#: What it reads of the retailer's delivery.
FILES = ("customers", "transactions")
SETTINGS = ("accept_drift", "data", "mapping", "max_quarantine_share")


def transform(raw: RawRows, mapping: ShopMapping) -> TypedRows:
    """Typed customers from the customers file's raw rows."""
    customers = mapping.customers
    rows = empty_ages(typed(raw, customers, customers.id_pattern, customers.id_width), customers)
    frequency = rows.columns["fashion_news_frequency"].cast(pa.string())
    return rows.with_column("fashion_news_frequency", pc.utf8_upper(frequency))


def buyers(files: Sequence[SourceFile], mapping: ShopMapping) -> pa.Array:
    """Distinct well-formed customer ids in the transactions files."""
    source = mapping.transactions.columns["customer_id"].column
    assert source is not None, "a customer id is never a constant"
    found = pa.array([], pa.string())
    for rows in (rows for file in files for block in blocks(file) for rows in block.read()):
        ids = plain_ids(emptied(rows.text(source), mapping.transactions), mapping.customers.id_width)
        ids = ids.filter(pa.array(~is_rounded(ids)))
        if pattern := mapping.customers.id_pattern:
            ids = ids.filter(pa.array(is_matching(ids, pattern)))
        found = pc.unique(pa.concat_arrays([found, ids.unique().dictionary_decode()])).drop_null()
    return found


def main(job: Job) -> str:
    since = version_at_start(job, CUSTOMERS)
    return job.transact(lambda: ingest(job, since))


def ingest(job: Job, since: int) -> str:
    """Publish the customers file unless it is taken in already; returns the job's summary."""
    mapping = require_purchases(job.settings.mapping)
    file = single_file(job.settings.data, mapping.customers)
    further = source_files(job.settings.data, mapping.transactions) if mapping.customers.also_from_transactions else []
    source = digest(mapping, [file, *further])
    if is_ingested(job, CUSTOMERS, source):
        return f"{file.name} is as it was taken in; nothing to do"
    refuse_overtaken(job, CUSTOMERS, file, since)
    rows = transform(read_rows(file), mapping)
    unlisted = buyers(further, mapping) if further else None
    return publish_entities(job, CUSTOMERS, rows, [file, *further], source, unlisted)


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES, settings=SETTINGS)
