"""Keywords of each article's description, read by analysts and used as features.

Variants of a product share a description: it is looked at once. What was computed from the same descriptions is left
as it is.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.articles import ARTICLES
from expectations.keywords import ARTICLE_KEYWORDS
from expectations.operations import FEATURE_SLICES
from jobs.features.phrases import Scored, by_tfidf, by_yake, stop_words
from jobs.platform.job import Job, run
from jobs.platform.schemas import arrow_schema
from jobs.platform.slices import record, recorded

READS, WRITES = (ARTICLES,), (ARTICLE_KEYWORDS, FEATURE_SLICES)
SETTINGS = ("accept_drift", "keyword_method", "language")

#: Raised whenever other keywords are found in the same description.
VERSION = 1


def found_in(texts: list[str], method: str, language: str) -> list[Scored]:
    """The keywords of distinct texts; raises JobError for a language or a method that is not there."""
    stop = stop_words(language)
    return by_tfidf(texts, stop) if method == "tfidf" else by_yake(texts, stop, language)


def transform(articles: pa.Table, method: str, language: str, run_id: str) -> pa.Table:
    """The rows of article_keywords, in the order of article_id and rank.

    Args:
        articles: article_id and detail_desc; articles without one get no row.
    """
    described = articles.filter(articles["detail_desc"].is_valid()).sort_by("article_id")
    texts = described["detail_desc"].combine_chunks().dictionary_encode()
    keywords = found_in(texts.dictionary.to_pylist(), method, language)
    text = texts.indices.to_numpy()
    sizes = np.array([len(found) for found in keywords], dtype=np.int64)
    first = np.cumsum(sizes) - sizes
    count = sizes[text]
    place = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    at = np.repeat(first[text], count) + place
    words, scores = zip(*(pair for found in keywords for pair in found), strict=True) if len(at) else ((), ())
    columns = {
        "method": pa.repeat(method, len(at)),
        "article_id": described["article_id"].take(pa.array(np.repeat(np.arange(len(text)), count))),
        "rank": place + 1,
        "keyword": pa.array(words, pa.string()).take(pa.array(at)),
        "score": np.array(scores, dtype=np.float64)[at],
        "language": pa.repeat(language, len(at)),
        "run_id": pa.repeat(run_id, len(at)),
    }
    return pa.table(columns).cast(arrow_schema(ARTICLE_KEYWORDS))


def digest(articles: pa.Table, method: str, language: str) -> str:
    """SHA-256 of all that the keywords follow from."""
    found = hashlib.sha256(repr((VERSION, method, language)).encode())
    for row in zip(*(articles[name].to_pylist() for name in ("article_id", "detail_desc")), strict=True):
        found.update(repr(row).encode())
    return found.hexdigest()


def main(job: Job) -> str:
    method, language = job.settings.keyword_method, job.settings.language
    articles = job.read_arrow(ARTICLES, ["article_id", "detail_desc"]).sort_by("article_id")
    made_from = digest(articles, method, language)
    described = articles["detail_desc"].drop_null()
    words = f"{len(pc.unique(described)):,} descriptions of {len(described):,} articles"
    if recorded(job, ARTICLE_KEYWORDS, VERSION).get(method) == {made_from: 0}:
        return f"{method}: {words}: up to date"
    table = transform(articles, method, language, job.settings.run_id)
    job.publish(ARTICLE_KEYWORDS, table, replace={"method": [method]})
    record(job, ARTICLE_KEYWORDS, VERSION, {method: {made_from: 0}})
    different = len(pc.unique(table["keyword"]))
    return f"{method}: {table.num_rows:,} keywords, {different:,} different, of {words}"


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES, settings=SETTINGS)
