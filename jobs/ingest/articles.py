"""The retailer's catalogue as silver/articles: typed, checked, one row per article."""

from __future__ import annotations

from pyspark.sql import DataFrame

from expectations.articles import ARTICLES
from expectations.transactions import QUARANTINE
from jobs.ingest.entities import SOURCE, digest, publish_entities, single_file, unique_rows
from jobs.ingest.mapping import Mapping, load_mapping
from jobs.ingest.quarantine import judged
from jobs.ingest.reading import read_records
from jobs.ingest.typed import typed_rows
from jobs.platform.job import Job, run

READS, WRITES = (), (ARTICLES, QUARANTINE)


def transform(rows: DataFrame, mapping: Mapping) -> DataFrame:
    """Judged articles (jobs.ingest.quarantine) from the catalogue's raw rows."""
    typed = typed_rows(rows, mapping.articles, {"article_id": mapping.articles.id_pattern})
    return judged(unique_rows(typed, ARTICLES))


def main(job: Job) -> str:
    mapping = load_mapping(job.settings.mapping)
    file = single_file(job.settings.data, mapping.articles)
    source = digest(mapping, [file])
    if job.facts(ARTICLES).get(SOURCE) == source:
        return f"{file.name} is as it was taken in; nothing to do"
    rows = transform(read_records(job.spark, file), mapping)
    return publish_entities(job, ARTICLES, rows, [file], source)


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES)
