"""The retailer's catalogue as silver/articles: typed, checked, one row per article.

What it says beyond those columns goes to silver/article_attributes, one row per article and attribute.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from expectations.articles import ARTICLES
from expectations.events import ARTICLE_ATTRIBUTES
from expectations.operations import DELIVERIES
from expectations.transactions import QUARANTINE
from jobs.ingest.deliveries import version_at_start
from jobs.ingest.entities import digest, is_ingested, publish_entities, refuse_overtaken, single_file
from jobs.ingest.files import SourceFile
from jobs.ingest.mapping import load_mapping
from jobs.ingest.reading import read_records
from jobs.ingest.typed import TypedRows, typed
from jobs.platform.job import Job, run
from jobs.platform.schemas import arrow_schema

READS, WRITES = (), (ARTICLES, ARTICLE_ATTRIBUTES, QUARANTINE, DELIVERIES)
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
    attributes = attributes_of(rows, mapping.articles.attributes, file) if mapping.articles.attributes else None
    renamed = mapping.articles.renamed
    return publish_entities(job, ARTICLES, rows, [file], source, renamed=renamed, attributes=attributes)


def attributes_of(rows: TypedRows, names: Mapping[str, str], file: SourceFile) -> pa.Table:
    """Rows of article_attributes for the rows that can be used; what is blank has none. `names`: name -> column."""
    good = rows.good()
    ids = rows.columns["article_id"].take(good)
    ids = ids.dictionary_decode() if pa.types.is_dictionary(ids.type) else ids
    parts = [arrow_schema(ARTICLE_ATTRIBUTES).empty_table()]
    for name, column in names.items():
        values = pc.utf8_trim_whitespace(rows.raw.text(column).take(good).dictionary_decode())
        columns = {
            "article_id": ids,
            "name": pa.repeat(name, len(good)),
            "value": values,
            "source_file": pa.repeat(file.name, len(good)),
            "source_line": rows.raw.line[good],
            "source_checksum": pa.repeat(file.checksum, len(good)),
        }
        found = pa.table(columns).filter(pc.fill_null(pc.not_equal(values, ""), False))
        parts.append(found.cast(parts[0].schema))
    return pa.concat_tables(parts)


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES, settings=SETTINGS)
