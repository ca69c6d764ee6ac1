"""Attributes that the catalogue does not state, filled in with what articles' pictures say (gold/article_tags).

As of a date: tags that runs of later dates gave are not seen. A predicted attribute is one that gold/article_tags
marks as `is_filled_in`; it replaces none that the catalogue states.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from expectations.tagging import ARTICLE_TAGS
from jobs.platform.job import Job


def tags_as_of(job: Job, as_of_date: date, columns: Sequence[str]) -> pl.DataFrame:
    """The newest tag of each article and label until that date, with these columns; empty where there is none."""
    names = list(dict.fromkeys(["as_of_date", "article_id", "label", *columns]))
    days = [date.fromisoformat(part["as_of_date"]) for part in job.partitions(ARTICLE_TAGS)]
    days = [day for day in days if day <= as_of_date]
    if not days:
        return pl.DataFrame(schema=dict.fromkeys(names, pl.String) | {"as_of_date": pl.Date})
    rows = pl.DataFrame(job.read_arrow(ARTICLE_TAGS, names, where={"as_of_date": days}))
    return rows.sort("as_of_date").unique(["article_id", "label"], keep="last", maintain_order=True)


def filled(job: Job, articles: pa.Table, names: Sequence[str], until: date | None) -> tuple[pa.Table, dict[str, int]]:
    """The articles with their missing attributes filled in, and how many of each are.

    Args:
        articles: article_id and these columns of silver/articles, in any order.
        names: the columns that may be filled.
        until: date of the newest tags that are looked at; None: the run's.
    """
    names = [name for name in names if articles[name].null_count]
    if not names or not job.exists(ARTICLE_TAGS):
        return articles, {}
    tags = tags_as_of(job, until or job.settings.as_of_date, ["value", "is_filled_in"])
    counts = {}
    for name in names:
        its = tags.filter((pl.col("label") == name) & pl.col("is_filled_in")).to_arrow()
        place = pc.index_in(articles["article_id"], value_set=its["article_id"].cast(pa.string()).combine_chunks())
        column = articles[name]
        whole = pc.coalesce(column, its["value"].cast(column.type).take(place))
        if count := column.null_count - whole.null_count:
            articles = articles.set_column(articles.column_names.index(name), name, whole)
            counts[name] = count
    return articles, counts
