"""Tags of every article with a readable picture, by the champion of the taggers: new articles as they arrive."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa

from expectations.operations import FEATURE_SLICES
from expectations.tagging import ARTICLE_TAGS
from jobs.platform.errors import JobError
from jobs.platform.job import Job, run
from jobs.platform.schemas import arrow_schema
from jobs.platform.slices import record, recorded
from jobs.platform.tracking import champion, load_model_folder, use_tracking
from jobs.tagging import tagger as taggers
from jobs.tagging.calibration import Floats
from jobs.tagging.examples import EXAMPLE_TABLES, columns, vectors_of, why_no_pictures
from jobs.tagging.tagger import Tagger
from jobs.tagging.train import NAME

READS, WRITES = EXAMPLE_TABLES, (ARTICLE_TAGS, FEATURE_SLICES)
SETTINGS = ("accept_drift", "data", "mapping", "mlflow_tracking_uri")

#: To be raised when the same tagger and vectors are to give other tags.
VERSION = 1
_SLICE = "all"


def tags(
    tagger: Tagger, version: str, article_ids: pa.StringArray, vectors: Floats, stated: dict[str, pa.ChunkedArray]
) -> pa.Table:
    """Rows of article_tags. `stated`: what the catalogue says, by label."""
    parts, count = [arrow_schema(ARTICLE_TAGS).empty_table()], len(article_ids)
    for name, (code, probability) in tagger.likeliest(vectors).items():
        found = {
            "article_id": article_ids,
            "label": pa.repeat(name, count),
            "value": pa.array(np.array(tagger.classes[name], dtype=object)[code], pa.string()),
            "probability": probability,
            "is_unknown": probability < tagger.thresholds[name],
            "stated_value": stated.get(name, pa.nulls(count, pa.string())),
            "encoder": pa.repeat(tagger.encoder, count),
            "tagger_version": pa.repeat(version, count),
        }
        parts.append(pa.table(found).cast(parts[0].schema))
    return pa.concat_tables(parts)


def main(job: Job) -> str:
    if why := why_no_pictures(job):
        return why
    use_tracking(job.settings)
    best = champion(NAME)
    if best is None:
        raise JobError(f"no {NAME} is registered; run tagging.train first")
    with tempfile.TemporaryDirectory() as scratch:
        tagger = taggers.load(load_model_folder(NAME, best.version, Path(scratch)))
    article_ids, vectors = vectors_of(job, tagger.encoder)
    stated = columns(job, article_ids, list(tagger.classes))
    made_from = hashlib.sha256(f"{best.version} {best.digest} {tagger.encoder}".encode())
    made_from.update(vectors.tobytes())
    made_from.update(repr([article_ids.to_pylist(), *(stated[name].to_pylist() for name in tagger.classes)]).encode())
    sources = {made_from.hexdigest(): 0}
    words = f"{len(article_ids):,} articles by version {best.version} of {NAME}"
    if recorded(job, ARTICLE_TAGS, VERSION).get(_SLICE) == sources:
        return f"{words}: up to date"
    table = tags(tagger, best.version, article_ids, vectors, stated)
    job.publish(ARTICLE_TAGS, table, {})
    record(job, ARTICLE_TAGS, VERSION, {_SLICE: sources})
    known = table.num_rows - int(np.count_nonzero(table["is_unknown"].to_numpy()))
    return f"{words}: {table.num_rows:,} tags, {table.num_rows - known:,} of them unknown"


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES, settings=SETTINGS)
