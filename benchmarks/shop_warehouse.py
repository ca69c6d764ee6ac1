"""A warehouse of what the shop window reads, of any size, laid out as the jobs publish it; the values are made up."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from deltalake import DeltaTable

from expectations.articles import ARTICLES
from expectations.baskets import BOUGHT_TOGETHER, LEVELS
from expectations.contract import Contract
from expectations.embeddings import ARTICLE_TEXT_EMBEDDINGS
from expectations.features import ARTICLE_FEATURES
from expectations.recommendations import RECOMMENDATIONS
from expectations.similarity import SIMILAR_ARTICLES
from jobs.platform.schemas import arrow_schema, delta_schema
from jobs.platform.staging import staging

AS_OF = date(2020, 9, 23)
PICKS = 12
METHODS = ("cosine_efficientnet_lite0_colour", "fused", "joint", "minilm")
#: Rows that are made and written together, as by publish.recommendations.
BLOCK_ROWS = 1_000_000
TYPES = ("Trousers", "Dress", "Sweater", "T-shirt", "Top", "Blouse", "Jacket", "Shorts", "Skirt", "Bra", "Socks", "Hat")
COLOURS = ("Black", "White", "Dark Blue", "Light Pink", "Grey", "Red", "Beige", "Green", "Yellow", "Light Blue")
DEPARTMENTS = tuple(f"Department {number}" for number in range(1, 251))


def write(root: Path, articles: int, customers: int) -> None:
    """All tables below `root`, for so many articles and customers."""
    ids = article_ids(articles)
    rng = np.random.default_rng(20200923)
    _table(root, ARTICLES, iter([_articles(ids, rng)]))
    _table(root, ARTICLE_FEATURES, iter([_features(ids, rng)]))
    _table(root, BOUGHT_TOGETHER, _bought_together(ids, rng))
    for method in METHODS:
        _table(root, SIMILAR_ARTICLES, _similar(ids, method, rng))
    _table(root, RECOMMENDATIONS, _recommendations(ids, customer_ids(customers), rng))


def article_ids(count: int) -> list[str]:
    """Ids in H&M's form."""
    return [f"{108775000 + 7 * number:010d}" for number in range(count)]


def write_text_vectors(root: Path, articles: int) -> None:
    """Register the text encoder as its job does, with vectors of noise, which are searched as others are."""
    import mlflow

    from jobs.embeddings import text_fitting
    from jobs.embeddings.text_versions import slice_of
    from jobs.platform.settings import Settings
    from jobs.platform.tracking import use_tracking

    settings = Settings(as_of_date=AS_OF, warehouse=str(root), text_encoder="minilm")
    use_tracking(settings)
    with mlflow.start_run():
        version, encoder = text_fitting.register(settings, [])
    values = np.random.default_rng(0).standard_normal((articles, encoder.dimensions), np.float32)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), encoder.dimensions)
    columns = {
        "encoder": slice_of(version),
        "article_id": article_ids(articles),
        "text_status": "ok",
        "text_embedding": vectors.cast(pa.list_(pa.float32())),
    }
    _table(root, ARTICLE_TEXT_EMBEDDINGS, iter([columns]))


def customer_ids(count: int) -> list[str]:
    """Ids as H&M has them, in the order in which its list has them."""
    return sorted(hashlib.sha256(str(number).encode()).hexdigest() for number in range(count))


def _table(root: Path, contract: Contract, blocks: Iterator[dict[str, Any]]) -> None:
    """Add rows to a table as a job does; columns that are not given are null, or 1 where they may not be."""
    uri = str(root / contract.path)
    table = DeltaTable.create(
        uri, delta_schema(contract), mode="ignore", partition_by=list(contract.partition_by) or None
    )
    schema = arrow_schema(contract)

    def batches() -> Iterator[pa.RecordBatch]:
        for columns in blocks:
            rows = len(next(value for value in columns.values() if not isinstance(value, str | date)))
            arrays = [_array(columns.get(field.name), field, rows) for field in schema]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    with staging(contract, uri) as staged:
        staged.write_blocks(pa.RecordBatchReader.from_batches(schema, batches()))
        actions = staged._actions(staged.written())
        table.create_write_transaction(actions, "append", table.schema(), list(contract.partition_by))


def _array(values: Any, field: pa.Field, rows: int) -> pa.Array:
    if values is None and field.nullable:
        return pa.nulls(rows, field.type)
    if values is None:
        values = "benchmark" if field.type == pa.string() else AS_OF if field.type == pa.date32() else 1
    if isinstance(values, str | date | int):
        return pa.repeat(pa.scalar(values, field.type), rows)
    return values if isinstance(values, pa.Array) and values.type == field.type else pa.array(values).cast(field.type)


def _some(values: tuple[str, ...], rows: int, rng: np.random.Generator) -> pa.Array:
    return pa.array(values).take(pa.array(rng.integers(0, len(values), rows)))


def _articles(ids: list[str], rng: np.random.Generator) -> dict[str, Any]:
    count = len(ids)
    types, colours = _some(TYPES, count, rng), _some(COLOURS, count, rng)
    return {
        "article_id": ids,
        "article_key": range(count),
        "product_code": [one[:7] for one in ids],
        "prod_name": [f"Style {number} {kind}" for number, kind in enumerate(types.to_pylist())],
        "product_type_name": types,
        "product_group_name": _some(("Garment Upper body", "Garment Lower body", "Underwear"), count, rng),
        "colour_group_name": colours,
        "graphical_appearance_name": _some(("Solid", "Stripe", "Check"), count, rng),
        "department_name": _some(DEPARTMENTS, count, rng),
        "index_group_name": _some(("Ladieswear", "Menswear", "Baby/Children", "Sport", "Divided"), count, rng),
        "section_name": _some(("Womens Everyday", "Men Underwear", "Kids Girl"), count, rng),
        "detail_desc": [
            f"A piece in soft cotton jersey, number {number}, with a round neckline and long, dropped sleeves."
            for number in range(count)
        ],
        "is_delisted": np.zeros(count, bool),
    }


def _features(ids: list[str], rng: np.random.Generator) -> dict[str, Any]:
    count = len(ids)
    prices = rng.lognormal(-3.7, 0.6, count)
    sales = rng.poisson(12, count)
    return {"article_id": ids, "price_mean": prices, "price_median": prices, "sales_count_7d": sales} | {
        "price_stddev": prices / 10
    }


def _lists(owners: list[str], ids: list[str], rng: np.random.Generator) -> Iterator[tuple[pa.Array, Any, pa.Array]]:
    """Owners PICKS times each, ranks, and articles, in blocks; the articles of one owner are distinct."""
    articles = pa.array(ids)
    step = BLOCK_ROWS // PICKS
    for start in range(0, len(owners), step):
        some = owners[start : start + step]
        first = rng.integers(0, len(ids), (len(some), 1))
        places = (first + np.arange(PICKS) * rng.integers(1, max(2, len(ids) // PICKS), (len(some), 1))) % len(ids)
        owner = pa.array(some).take(pa.array(np.repeat(np.arange(len(some)), PICKS)))
        yield owner, np.tile(np.arange(1, PICKS + 1), len(some)), articles.take(pa.array(places.ravel()))


def _bought_together(ids: list[str], rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    for owner, rank, other in _lists(ids, ids, rng):
        rows = len(rank)
        yield {"article_id": owner, "rank": rank, "other_article_id": other, "level": _some(LEVELS, rows, rng)} | {
            name: rng.integers(5, 400, rows) for name in ("basket_count", "customer_count")
        }


def _similar(ids: list[str], method: str, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    for owner, rank, other in _lists(ids, ids, rng):
        yield {"method": method, "article_id": owner, "rank": rank, "similar_article_id": other, "score": 1 / rank}


def _recommendations(ids: list[str], customers: list[str], rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    sources = ("two_tower", "co_occurrence", "repurchase", "popularity_7d", "same_product")
    for owner, rank, article in _lists(customers, ids, rng):
        rows = len(rank)
        yield {
            "customer_id": owner,
            "rank": rank,
            "article_id": article,
            "score": rng.random(rows),
            "source": _some(sources, rows, rng),
            "is_fallback": np.zeros(rows, bool),
            "reason": _some(("Chosen by people who bought what you did", "Popular this week"), rows, rng),
            "bucket": rng.integers(0, 100, rows),
        }
