"""Tags of every article with a readable picture, by the champion of the taggers.

Articles are tagged as they arrive: what has a tag as of this date by the same tagger, of the same picture and with the
same statement of the catalogue, keeps it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from expectations.tagging import ARTICLE_TAGS
from jobs.features.predicted_attributes import tags_as_of
from jobs.platform.errors import JobError
from jobs.platform.job import Job, run
from jobs.platform.schemas import arrow_schema
from jobs.platform.tracking import champion, load_model_folder, use_tracking
from jobs.tagging import tagger as taggers
from jobs.tagging.activations import forget, inputs_of
from jobs.tagging.calibration import Floats
from jobs.tagging.examples import EXAMPLE_TABLES, columns, vectors_of, why_no_pictures
from jobs.tagging.tagger import Tagger
from jobs.tagging.train import NAME

READS, WRITES = EXAMPLE_TABLES, (ARTICLE_TAGS,)
SETTINGS = ("accept_drift", "data", "mapping", "mlflow_tracking_uri")

#: What a tag was made from.
_MADE_FROM = ("tagger_version", "encoder", "image_checksum", "stated_value")


def tags(tagger: Tagger, inputs: Floats, articles: pa.Table, stamp: dict[str, object]) -> pa.Table:
    """Rows of article_tags.

    Args:
        tagger: the champion.
        inputs: what it takes of the articles.
        articles: article_id, image_checksum, and of each label what the catalogue says.
        stamp: columns that are the same in every row.
    """
    parts, count = [arrow_schema(ARTICLE_TAGS).empty_table()], articles.num_rows
    for name, (code, probability) in tagger.likeliest(inputs).items():
        is_unknown = pa.array(probability < tagger.thresholds[name])
        found = {
            "label": pa.repeat(name, count),
            "value": pa.array(np.array(tagger.classes[name], dtype=object)[code], pa.string()),
            "probability": pa.array(probability),
            "is_unknown": is_unknown,
            "stated_value": articles[name],
            "is_filled_in": pc.and_(pc.is_null(articles[name]), pc.invert(is_unknown)),
            **{each: articles[each] for each in ("article_id", "image_checksum")},
            **{each: pa.repeat(value, count) for each, value in stamp.items()},
        }
        parts.append(pa.table(found).select(ARTICLE_TAGS.column_names).cast(parts[0].schema))
    return pa.concat_tables(parts)


def stated(job: Job, article_ids: pa.StringArray, names: list[str]) -> dict[str, pa.ChunkedArray]:
    """What the catalogue says of each label; blank is nothing, as in training."""
    found = columns(job, article_ids, names)
    trimmed = {name: pc.utf8_trim_whitespace(column.cast(pa.string())) for name, column in found.items()}
    return {name: pc.if_else(pc.equal(text, ""), None, text) for name, text in trimmed.items()}


def without_tags(known: pl.DataFrame, articles: pa.Table, labels: list[str], stamp: dict[str, object]) -> np.ndarray:
    """Which of the articles, [n], lack a tag that was made from what this run would make it from.

    Args:
        known: the tags they have, columns _MADE_FROM.
        articles: as for `tags`.
        labels: of the tagger.
        stamp: as for `tags`.
    """
    wanted = pl.DataFrame(articles).with_row_index("row").unpivot(
        labels, index=["row", "article_id", "image_checksum"], variable_name="label", value_name="stated_value"
    )  # fmt: skip
    wanted = wanted.with_columns(**{name: pl.lit(stamp[name]) for name in ("tagger_version", "encoder")})
    missing = wanted.join(known, on=["article_id", "label", *_MADE_FROM], how="anti", nulls_equal=True)
    return missing["row"].unique().sort().to_numpy()


def main(job: Job) -> str:
    if why := why_no_pictures(job):
        return why
    use_tracking(job.settings)
    best = champion(NAME)
    if best is None:
        raise JobError(f"no {NAME} is registered; run tagging.train first")
    with tempfile.TemporaryDirectory() as scratch:
        tagger = taggers.load(load_model_folder(NAME, best.version, Path(scratch)))
    labels, as_of_date = list(tagger.classes), job.settings.as_of_date
    article_ids, vectors, checksums = vectors_of(job, tagger.encoder)
    said = stated(job, article_ids, labels)
    articles = pa.table({"article_id": article_ids, "image_checksum": pa.array(checksums, pa.string()), **said})
    stamp: dict[str, object] = {
        "as_of_date": as_of_date, "encoder": tagger.encoder, "tagger_version": best.version
    }  # fmt: skip
    rows = without_tags(tags_as_of(job, as_of_date, _MADE_FROM), articles, labels, stamp)
    words = f"{len(article_ids):,} articles by version {best.version} of {NAME}"
    if not len(rows):
        return f"{words}: up to date"
    new = articles.take(rows)
    ids, sums = new["article_id"].to_pylist(), new["image_checksum"].to_pylist()
    table = tags(tagger, inputs_of(job.settings, tagger, ids, vectors[rows], sums), new, stamp)
    job.publish(ARTICLE_TAGS, pa.concat_tables([table, kept(job, ids)]), {"as_of_date": [as_of_date]}, [ARTICLE_TAGS])
    if tagger.tail:
        forget(job.settings, tagger.tuned_blocks)
    unknown, filled = (int(pc.sum(table[name]).as_py() or 0) for name in ("is_unknown", "is_filled_in"))
    return (
        f"{words}: {table.num_rows:,} tags of {len(rows):,} new or changed ones, {unknown:,} of them unknown,"
        f" {filled:,} of what the catalogue does not say"
    )


def kept(job: Job, but: list[str]) -> pa.Table:
    """This date's rows of all articles but these, as an earlier run left them."""
    empty = arrow_schema(ARTICLE_TAGS).empty_table()
    if not job.exists(ARTICLE_TAGS):
        return empty
    where = {"as_of_date": [job.settings.as_of_date]}
    rows = job.read_arrow(ARTICLE_TAGS, ARTICLE_TAGS.column_names, where=where).cast(empty.schema)
    return rows.filter(pc.invert(pc.is_in(rows["article_id"], value_set=pa.array(but, pa.string()))))


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES, settings=SETTINGS)
