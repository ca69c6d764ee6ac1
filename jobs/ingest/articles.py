"""The retailer's catalogue as silver/articles: typed, checked, one row per article."""

from __future__ import annotations

from expectations.articles import ARTICLES
from expectations.operations import DELIVERIES
from expectations.transactions import QUARANTINE
from jobs.ingest.deliveries import version_at_start
from jobs.ingest.entities import digest, is_ingested, publish_entities, refuse_overtaken, single_file
from jobs.ingest.mapping import load_mapping
from jobs.ingest.reading import read_records
from jobs.ingest.typed import typed
from jobs.platform.job import Job, run

READS, WRITES = (), (ARTICLES, QUARANTINE, DELIVERIES)
#: What it reads of the retailer's delivery.
FILES = ("articles",)
SETTINGS = ("accept_drift", "data", "mapping", "max_quarantine_share")


def main(job: Job) -> str:
    since = version_at_start(job, ARTICLES)
    return job.transact(lambda: ingest(job, since))


def ingest(job: Job, since: int) -> str:
    """Publish the catalogue's file unless it is taken in already; returns the job's summary."""
    mapping = load_mapping(job.settings.mapping)
    file = single_file(job.settings.data, mapping.articles)
    source = digest(mapping, [file])
    if is_ingested(job, ARTICLES, source):
        return f"{file.name} is as it was taken in; nothing to do"
    refuse_overtaken(job, ARTICLES, file, since)
    rows = typed(read_records(file), mapping.articles, mapping.articles.id_pattern, mapping.articles.id_width)
    return publish_entities(job, ARTICLES, rows, [file], source, renamed=mapping.articles.renamed)


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES, settings=SETTINGS)
