"""The published picks: top-k distinct articles for every customer, each with a reason in a phrase.

Lists are shorter only where fewer articles can be picked at all, which is said; nobody's is empty.

`ranking.score` has ranked more candidates for everyone than are shown; here they are arranged (jobs.ranking.arrange),
and those that are shown get their reasons, are counted and published.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa

from expectations.articles import ARTICLES
from expectations.customers import CUSTOMERS
from expectations.embeddings import ARTICLE_EMBEDDINGS
from expectations.features import ARTICLE_FEATURES
from expectations.recommendations import BUCKETS, CANDIDATES, MAX_RECOMMENDATIONS, RECOMMENDATIONS
from jobs.platform.codes import NO_ARTICLE
from jobs.platform.errors import ContractError, JobError
from jobs.platform.job import Job, run
from jobs.platform.settings import Settings
from jobs.publish.reasons import LABELS, said, with_reasons
from jobs.ranking.arrange import (
    ARRANGEMENT,
    NEW_DAYS,
    Arrangement,
    Demand,
    Goods,
    Limits,
    arranged,
    arrangement_of,
    eligible,
    image_directions,
)
from jobs.retrieval.images import image_embeddings, slice_of
from jobs.retrieval.purchases import still_there

READS, WRITES = (CANDIDATES, CUSTOMERS, ARTICLES, ARTICLE_FEATURES, ARTICLE_EMBEDDINGS), (RECOMMENDATIONS,)
SETTINGS = ("accept_drift", "top_k", "exclude_bought", "encoder", *ARRANGEMENT)

#: Candidates that are arranged together, about, and customers of these whose pictures are compared at once.
BLOCK_ROWS, CUSTOMERS_TOGETHER = 1_000_000, 8192
#: What is read of the candidates.
_COLUMNS = [
    "as_of_date", "customer_id", "rank", "article_id", "score", "source", "is_fallback", "model_version",
    "because_article_id", "is_bought_by_age_band", "has_history",
]  # fmt: skip


#: Names here of an article's figures in its features.
_SALES = {"units_7d": "sales_count_7d", "units_30d": "sales_count_30d", "customers_30d": "distinct_customer_count_30d"}
_CUSTOMER = pa.schema({"customer_id": pa.string(), "bucket": pa.int32(), "draw": pa.float32()})


def transform(candidates: pl.DataFrame, articles: pl.DataFrame, top_k: int, run_id: str) -> pl.DataFrame:
    """The candidates that are shown as recommendations.

    Args:
        candidates: rows of `candidates` that are shown, of whole customers, with the bucket of each.
        articles: of `with_labels`.
    """
    own = articles.select("article_id", "product", *LABELS)
    own = own.rename({name: f"own_{name}" for name in own.columns if name != "article_id"})
    return (
        candidates.join(articles, on="article_id", how="left", maintain_order="left")
        .join(own, left_on="because_article_id", right_on="article_id", how="left", maintain_order="left")
        .with_columns(
            pl.col("as_of_date").alias("week_start_date"),
            pl.lit(run_id).alias("run_id"),
            (pl.col("own_product") == pl.col("product")).fill_null(False).alias("is_same_product"),
        )
        .pipe(with_reasons, top_k)
    )


class Shelf(NamedTuple):
    """The articles: their rows by id, and what is known of them by code, which is the column `code`."""

    rows: pl.DataFrame
    goods: Goods


def picked(rows: pl.DataFrame, goods: Goods, asked: Arrangement, top_k: int, limits: Limits | None) -> pl.DataFrame:
    """The rows that are shown, in the order shown, with their rank in it.

    Args:
        rows: candidates of whole customers, those of one side by side, with `code` and `draw`.
        limits: of Demand; None: an article may be in all lists.
    """
    owner = rows["customer_id"].rle_id().to_numpy().astype(np.int64)
    customers = int(owner[-1]) + 1 if len(owner) else 0
    articles = np.full((customers, MAX_RECOMMENDATIONS), NO_ARTICLE, dtype=np.int32)
    row_of = np.zeros(articles.shape, dtype=np.int64)
    place = owner, rows["rank"].to_numpy() - 1
    articles[place], row_of[place] = rows["code"].to_numpy(), np.arange(len(owner))
    draws = np.zeros(customers, dtype=np.float32)
    draws[owner] = rows["draw"].to_numpy()
    columns = np.full((customers, top_k), -1)
    for first in range(0, customers, CUSTOMERS_TOGETHER):
        some = slice(first, first + CUSTOMERS_TOGETHER)
        fits = None if limits is None else eligible(articles[some], draws[some], limits)
        columns[some] = arranged(articles[some], goods, asked, top_k, fits)
    customer, shown = np.nonzero(columns >= 0)
    taken = row_of[customer, columns[customer, shown]]
    return rows[taken].with_columns(pl.Series("rank", shown + 1, pl.Int32))


def bucket(customer_id: str) -> int:
    """The first 8 hexadecimal digits of the customer id's MD5, modulo 100: anyone can compute it anywhere.

    DuckDB: `('0x' || md5(customer_id)[:8])::BIGINT % 100`.
    """
    return int(hashlib.md5(customer_id.encode(), usedforsecurity=False).hexdigest()[:8], 16) % BUCKETS


def with_buckets(customer_ids: pa.ChunkedArray) -> pl.DataFrame:
    """Each customer's id, bucket and draw, a number from [0, 1), neither of which ever changes."""
    parts = []
    for chunk in customer_ids.chunks:
        ids = chunk.to_pylist()
        digits = [hashlib.md5(one.encode(), usedforsecurity=False).hexdigest()[8:16] for one in ids]
        draw = pa.array(np.array([int(some, 16) for some in digits], dtype=np.float64) / 2**32, pa.float32())
        parts.append(pa.table([chunk, pa.array([bucket(one) for one in ids], pa.int32()), draw], _CUSTOMER))
    return _polars(pa.concat_tables(parts) if parts else pa.table([[], [], []], schema=_CUSTOMER))


def with_labels(articles: pa.Table, features: pa.Table | None, as_of_date: date) -> pl.DataFrame:
    """Each article as reasons need it: labels as they are said, sales, newness; by code, which is the order of ids.

    Args:
        articles: article_id, product_code, delisted_date and LABELS.
        features: of the date: article_id, first_sale_date, units and customers; None: nothing is known.
    """
    is_listed = pl.col("delisted_date").is_null() | (pl.col("delisted_date") > as_of_date)
    product = pl.coalesce("product_code", "article_id").rank("dense").cast(pl.Int32) - 1
    rows = _polars(articles).sort("article_id").with_row_index("code")
    rows = rows.select(
        "article_id", pl.col("code").cast(pl.Int32), product.alias("product"), is_listed.alias("is_listed"),
        *(said(label) for label in LABELS),
    )  # fmt: skip
    if features is None:
        schema: dict[str, Any] = {"article_id": pl.String, "first_sale_date": pl.Date}
        known = pl.DataFrame(schema=schema | dict.fromkeys(_SALES, pl.Int64))
    else:
        known = _polars(features)
    rows = rows.join(known, on="article_id", how="left", maintain_order="left")
    place = pl.col("units_7d").rank("min", descending=True).over("department_name")
    return rows.with_columns(
        (pl.col("first_sale_date") >= as_of_date - timedelta(days=NEW_DAYS)).fill_null(False).alias("is_new"),
        pl.when(pl.col("units_7d") > 0).then(place).alias("place_in_department"),
    )


def shelf(job: Job, asked: Arrangement) -> Shelf:
    """All articles, and how they look where that is asked for."""
    day = job.settings.as_of_date
    rows = job.read_arrow(ARTICLES, ["article_id", "product_code", "delisted_date", *LABELS])
    features = None
    if job.exists(ARTICLE_FEATURES):
        columns = ["article_id", "first_sale_date", *_SALES.values()]
        features = job.read_arrow(ARTICLE_FEATURES, columns, where={"as_of_date": [day]})
        features = features.rename_columns(["article_id", "first_sale_date", *_SALES])
    known = with_labels(rows, features, day)
    encoder = slice_of(job, job.settings.encoder) if asked.diversity else None
    images = image_directions(image_embeddings(job, known["article_id"].to_arrow().cast(pa.string()), encoder))
    return Shelf(known, Goods(known["product"].to_numpy(), known["is_new"].to_numpy(), images))


def share_limits(job: Job, articles: pl.DataFrame, lists: int, asked: Arrangement) -> Limits | None:
    """How far down the lists each article may be shown; None where no share is too large."""
    if asked.max_article_share >= 1:
        return None
    demand, codes = (
        Demand(articles.height, MAX_RECOMMENDATIONS),
        articles.filter("is_listed").select("article_id", "code"),
    )
    where = {"as_of_date": [job.settings.as_of_date]}
    for rows in together(job.read_batches(CANDIDATES, ["article_id", "rank"], where=where)):
        found = rows.join(codes, on="article_id")
        demand.add(found["code"].to_numpy(), found["rank"].to_numpy() - 1)
    return demand.limits(lists, asked.max_article_share)


def whole_customers(blocks: Iterable[pl.DataFrame], most: int) -> Iterator[pl.DataFrame]:
    """The same rows, those of a customer side by side and in one block.

    Files and their parts come in any order, and a customer's rows may lie in two of them. Whoever has `most` rows is
    whole; the others wait for the end.

    Args:
        most: rows that a customer can have.
    """
    rest = []
    for block in blocks:
        is_whole = pl.len().over("customer_id") == most
        rest.append(block.filter(~is_whole))
        yield block.filter(is_whole).sort("customer_id", maintain_order=True)
    if rest:
        yield pl.concat(rest).sort("customer_id", maintain_order=True)


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
    asked = arrangement_of(settings)
    goods = shelf(job, asked)
    is_kept = goods.rows.filter("is_listed").select("article_id", "code")
    limits = share_limits(job, goods.rows, customers.height, asked)
    as_ranked = asked.is_neutral(settings.top_k)
    slice_, first = {"as_of_date": [settings.as_of_date]}, {"rank": settings.top_k + 1}
    counts: list[pl.DataFrame] = [count(pl.DataFrame(schema={"customer_id": pl.String, "article_id": pl.String}))]
    sources: list[pl.DataFrame] = []
    short: list[int] = []
    longest = 0

    def blocks() -> Iterator[pa.Table]:
        nonlocal longest
        before, most = ({"before": first}, settings.top_k) if as_ranked else ({}, MAX_RECOMMENDATIONS)
        rows_read = together(job.read_batches(CANDIDATES, _COLUMNS, where=slice_, **before))
        for candidates in whole_customers(rows_read, most):
            rows = candidates.join(customers, on="customer_id", maintain_order="left")
            rows = rows.join(is_kept, on="article_id", maintain_order="left")
            rows = transform(
                picked(rows, goods.goods, asked, settings.top_k, limits), goods.rows, settings.top_k, settings.run_id
            )
            counts.append(count(rows))
            longest = max(longest, min(candidates.select(pl.col("rank").max()).item() or 0, settings.top_k))
            sources.append(rows.group_by("source", "reason_kind").len())
            yield rows.select(RECOMMENDATIONS.column_names).to_arrow()
        # The end of the rows is before the commit: what is raised here publishes nothing.
        short.append(check_counts(counts, customers.select("customer_id"), settings, longest))

    published = job.publish(RECOMMENDATIONS, blocks(), slice_)
    words, kinds = (_shares(pl.concat(sources), column, published) for column in ("source", "reason_kind"))
    said = f"{published:,} recommendations for {customers.height:,} customers ({words}); reasons: {kinds}"
    if short[-1]:
        said += f"; {short[-1]:,} customers have fewer than top-k {settings.top_k}: no more articles can be picked"
    return said


def _shares(counts: pl.DataFrame, column: str, total: int) -> str:
    """What there is of a column, the most first, with its share of the rows."""
    shares = counts.group_by(column).agg(pl.col("len").sum()).sort(-pl.col("len").cast(pl.Int64), column)
    return ", ".join(f"{name} {rows / total:.0%}" for name, rows in shares.iter_rows())


def _polars(table: pa.Table) -> pl.DataFrame:
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES, settings=SETTINGS)
