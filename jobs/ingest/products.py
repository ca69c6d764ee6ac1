"""Price lists and attributes of the shop's products as silver/product_prices and silver/article_attributes."""

from __future__ import annotations

from collections import Counter
from functools import partial

from expectations.events import ARTICLE_ATTRIBUTES, PRODUCT_PRICES
from expectations.operations import DELIVERIES
from expectations.transactions import QUARANTINE
from jobs.ingest.deliveries import plan, record, recorded, state_text, states
from jobs.ingest.events.mapping import load_log_mapping
from jobs.ingest.events.product_kernel import DONE, read_blocks
from jobs.ingest.files import indexed, require_unchanged, source_files
from jobs.ingest.quarantine import audit, findings_of_files
from jobs.ingest.reading import blocks
from jobs.platform.job import Job, run
from jobs.platform.tasks import collected

READS = ()
WRITES = (PRODUCT_PRICES, ARTICLE_ATTRIBUTES, QUARANTINE, DELIVERIES)
#: What it reads of the retailer's delivery.
FILES = ("products",)
SETTINGS = ("accept_drift", "data", "event_mapping", "max_quarantine_share")


def main(job: Job) -> str:
    return job.transact(lambda: ingest_delivered(job))


def ingest_delivered(job: Job) -> str:
    """Bring the tables up to date with the delivered files; returns the job's summary."""
    log = load_log_mapping(job.settings.event_mapping)
    if log.products is None:
        return "the mapping names no files of products; nothing to do"
    known = recorded(job, PRODUCT_PRICES)
    delivered = source_files(job.settings.data, log.products, states(known))
    taken = {name: row["source_checksum"] for name, row in known.items() if row["copy_of"] is None}
    steps = plan(delivered, taken, {name for name in taken if known[name]["mapping_digest"] != log.digest})
    if not steps.take:
        return f"{len(delivered):,} files, all ingested before; nothing to do"
    with (
        job.staging(PRODUCT_PRICES) as prices,
        job.staging(ARTICLE_ATTRIBUTES) as attributes,
        job.staging(QUARANTINE) as quarantine,
    ):
        work = [block for file in steps.take for block in blocks(indexed(file))]
        kernel = partial(read_blocks, work, log.products, prices, attributes, quarantine)
        try:
            done = collected(job.spark, kernel, len(work), DONE)
        finally:  # before anything else is said of a file that was replaced meanwhile
            require_unchanged(steps.take)
        refused = [row.refused for row in done if row.refused]
        rows_read: Counter[str] = Counter()
        for row in done:
            rows_read[row.source_file] += row.row_count
        found = findings_of_files(rows_read, quarantine.read_spark(job.spark, refused) if refused else None)
        bad = audit(found, job.settings.max_quarantine_share)
        by_file = {"source_file": steps.replace}
        job.publish_staged(quarantine, refused, {"table_name": [PRODUCT_PRICES.name]} | by_file)
        values = job.publish_staged(attributes, [row.attributes for row in done if row.attributes], by_file)
        count = job.publish_staged(prices, [row.prices for row in done if row.prices], by_file)
    version = job.warehouse.versions_written[PRODUCT_PRICES.name]
    rows = [
        {"source_file": file.name, "source_checksum": file.checksum, "file_state": state_text(file)}
        | {"mapping_digest": log.digest, "table_version": version}
        for file in steps.take
    ]
    record(job, PRODUCT_PRICES, rows, set(steps.replace) - {file.name for file in steps.take})
    names = ", ".join(file.name for file in steps.take)
    return f"{count:,} prices and {values:,} values of attributes from {names}; {bad:,} rows in quarantine"


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES, settings=SETTINGS, any_day=True)
