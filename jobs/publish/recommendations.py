"""The published picks: top-k distinct articles for every customer, each with a reason in a phrase.

Lists are shorter only where fewer articles can be picked at all, which is said; nobody's is empty.

`ranking.score` has ranked at least as many candidates for everyone; here the first of them get their reasons, are
counted and published.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import date

import polars as pl
import pyarrow as pa

from expectations.articles import ARTICLES
from expectations.customers import CUSTOMERS
from expectations.recommendations import BUCKETS, CANDIDATES, RECOMMENDATIONS
from jobs.platform.errors import ContractError, JobError
from jobs.platform.job import Job, run
from jobs.platform.settings import Settings
from jobs.publish.reasons import LABELS, reason, said
from jobs.retrieval.purchases import still_there

READS, WRITES = (CANDIDATES, CUSTOMERS, ARTICLES), (RECOMMENDATIONS,)
SETTINGS = ("accept_drift", "top_k", "exclude_bought")

#: Candidates that get their reasons together.
BLOCK_ROWS = 1_000_000
#: What is read of the candidates.
_COLUMNS = [
    "as_of_date", "customer_id", "rank", "article_id", "score", "source", "is_fallback", "model_version",
    "because_article_id", "is_bought_by_age_band", "has_history",
]  # fmt: skip


def transform(candidates: pl.DataFrame, customers: pl.DataFrame, articles: pl.DataFrame, run_id: str) -> pl.DataFrame:
    """The candidates as recommendations, save those of customers and articles that are no more.

    Args:
        candidates: rows of `candidates`, in any order.
        customers: customer_id, and the bucket of each.
        articles: article_id, is_listed, and reasons.LABELS as they are said.
    """
    own = articles.select(
        pl.col("article_id").alias("because_article_id"), pl.col("colour_group_name").alias("own_colour_group_name")
    )
    return (
        candidates.join(customers, on="customer_id")
        .join(articles.filter("is_listed"), on="article_id")
        .join(own, on="because_article_id", how="left")
        .with_columns(pl.col("as_of_date").alias("week_start_date"), pl.lit(run_id).alias("run_id"), reason())
        .select(RECOMMENDATIONS.column_names)
    )


def bucket(customer_id: str) -> int:
    """The first 8 hexadecimal digits of the customer id's MD5, modulo 100: anyone can compute it anywhere.

    DuckDB: `('0x' || md5(customer_id)[:8])::BIGINT % 100`.
    """
    return int(hashlib.md5(customer_id.encode(), usedforsecurity=False).hexdigest()[:8], 16) % BUCKETS


def with_buckets(customer_ids: pa.ChunkedArray) -> pl.DataFrame:
    """Each customer's id and bucket, which never changes."""
    buckets = pa.chunked_array(
        [pa.array([bucket(one) for one in chunk.to_pylist()], pa.int32()) for chunk in customer_ids.chunks], pa.int32()
    )
    return _polars(pa.table({"customer_id": customer_ids, "bucket": buckets}))


def with_labels(articles: pa.Table, as_of_date: date) -> pl.DataFrame:
    """Each article's id, whether it is listed as of a date, and its labels as they are said."""
    is_listed = pl.col("delisted_date").is_null() | (pl.col("delisted_date") > as_of_date)
    return _polars(articles).select("article_id", is_listed.alias("is_listed"), *(said(label) for label in LABELS))


def together(batches: Iterable[pa.RecordBatch]) -> Iterator[pl.DataFrame]:
    """The same rows in blocks of about BLOCK_ROWS."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(map(len, waiting)) >= BLOCK_ROWS:
            yield _polars(pa.Table.from_batches(waiting))
            waiting = []
    if waiting:
        yield _polars(pa.Table.from_batches(waiting))


def count(rows: pl.DataFrame) -> pl.DataFrame:
    """How many rows and distinct articles each customer has: customer_id, rows, articles."""
    return rows.group_by("customer_id").agg(
        pl.len().cast(pl.Int64).alias("rows"), pl.col("article_id").n_unique().cast(pl.Int64).alias("articles")
    )


def check_counts(counts: Iterable[pl.DataFrame], customers: pl.DataFrame, settings: Settings, longest: int) -> int:
    """Refuse recommendations that do not give every customer `top_k` distinct articles.

    Where fewer can be picked at all, everybody has those; where bought ones are left out, some have fewer than others.

    Args:
        counts: of each block, as `count` gives them.
        customers: customer_id of everyone.
        longest: as many candidates, at most top_k, were ranked for somebody; 0: there are none.

    Returns:
        How many customers have fewer than `top_k`.

    Raises:
        JobError: a customer has none, or fewer than others, for no reason.
        ContractError: a customer has more, or an article twice.
    """
    total = pl.concat(counts).group_by("customer_id").sum()
    found = customers.join(total, on="customer_id", how="left").fill_null(0)
    rows, top_k = pl.col("rows"), settings.top_k
    many = found.filter((rows > top_k) | (rows != pl.col("articles"))).height
    if many:
        raise ContractError(f"gold/recommendations: nothing published; {many:,} customers have repeated picks")
    least = longest or top_k
    if settings.exclude_bought:  # of a small catalogue somebody may have bought everything
        least = 1 if least == top_k else 0
    if few := found.filter(rows < least).height:
        raise JobError(
            f"gold/recommendations: nothing published; {few:,} customers have fewer than {least} candidates of"
            f" {settings.as_of_date}; run ranking.score, and if that does not help drop --exclude-bought"
        )
    return found.filter(rows < top_k).height


def main(job: Job) -> str:
    settings = job.settings
    there = still_there(job.read_arrow(CUSTOMERS, ["customer_id", "left_date"]), "left_date", settings.as_of_date)
    customers = with_buckets(there["customer_id"])
    articles = with_labels(job.read_arrow(ARTICLES, ["article_id", "delisted_date", *LABELS]), settings.as_of_date)
    slice_, first = {"as_of_date": [settings.as_of_date]}, {"rank": settings.top_k + 1}
    counts: list[pl.DataFrame] = [count(pl.DataFrame(schema={"customer_id": pl.String, "article_id": pl.String}))]
    sources: list[pl.DataFrame] = []
    short: list[int] = []
    longest = 0

    def blocks() -> Iterator[pa.Table]:
        nonlocal longest
        for candidates in together(job.read_batches(CANDIDATES, _COLUMNS, where=slice_, before=first)):
            rows = transform(candidates, customers, articles, settings.run_id)
            counts.append(count(rows))
            longest = max(longest, candidates.select(pl.col("rank").max()).item() or 0)
            sources.append(rows.group_by("source").len())
            yield rows.to_arrow()
        # The end of the rows is before the commit: what is raised here publishes nothing.
        short.append(check_counts(counts, customers.select("customer_id"), settings, longest))

    published = job.publish(RECOMMENDATIONS, blocks(), slice_)
    shares = pl.concat(sources).group_by("source").sum().sort(-pl.col("len").cast(pl.Int64), "source")
    words = ", ".join(f"{source} {rows / published:.0%}" for source, rows in shares.iter_rows())
    said = f"{published:,} recommendations for {customers.height:,} customers ({words})"
    if short[-1]:
        said += f"; {short[-1]:,} customers have fewer than top-k {settings.top_k}: no more articles can be picked"
    return said


def _polars(table: pa.Table) -> pl.DataFrame:
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES, settings=SETTINGS)
