"""A small made-up shop whose customers buy within one section each."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from jobs.ranking.snapshot import ARTICLE_CATEGORIES, CUSTOMER_CATEGORIES, Columns, Snapshot
from jobs.retrieval.purchases import Purchases, day_number

AS_OF = date(2020, 9, 16)
CUSTOMERS, ARTICLES, SECTIONS = 60, 40, 4


def make_purchases(seed: int = 0, lines: int = 1500) -> Purchases:
    """Purchases of the 12 weeks up to a week after AS_OF; article a is of section a % SECTIONS, as are customers."""
    rng = np.random.default_rng(seed)
    day = np.sort(rng.integers(day_number(AS_OF) - 77, day_number(AS_OF) + 7, lines)).astype(np.int32)
    customer = rng.integers(0, CUSTOMERS - 5, lines).astype(np.int32)  # the last five never buy
    own = rng.integers(0, ARTICLES // SECTIONS, lines) * SECTIONS + customer % SECTIONS
    article = np.where(rng.random(lines) < 0.8, own, rng.integers(0, ARTICLES - 2, lines)).astype(np.int32)
    article = np.where(article >= ARTICLES - 2, 0, article).astype(np.int32)  # the last two never sell
    customer_ids = pa.array([f"c{i:03}" for i in range(CUSTOMERS)])
    article_ids = pa.array([f"{i:010}" for i in range(ARTICLES)])
    return Purchases(day, customer, article, customer_ids, article_ids)


def make_snapshot(purchases: Purchases, as_of: date = AS_OF, image_dim: int = 4) -> Snapshot:
    """What is known of the made-up shop as of a date."""
    history = purchases.before(as_of)
    bought = np.bincount(history.customer, minlength=CUSTOMERS).astype(np.float32)
    sold = np.bincount(history.article, minlength=ARTICLES).astype(np.float32)
    bought[bought == 0] = np.nan
    sections = pa.array([f"section {i % SECTIONS}" for i in range(ARTICLES)])
    images = np.random.default_rng(1).normal(size=(ARTICLES, image_dim)).astype(np.float32)
    return Snapshot(
        as_of_date=as_of,
        history=history,
        customers=Columns(
            {"transaction_count": np.log1p(bought), "price_mean": np.full(CUSTOMERS, 0.02, np.float32)},
            {name: pa.array(["ACTIVE"] * CUSTOMERS) for name in CUSTOMER_CATEGORIES},
        ),
        articles=Columns(
            {"sales_count": np.log1p(sold), "price_mean": np.full(ARTICLES, 0.02, np.float32)},
            {name: sections for name in ARTICLE_CATEGORIES},
        ),
        product=np.arange(ARTICLES, dtype=np.int32) // 2,
        images=images,
    )


@pytest.fixture
def purchases() -> Purchases:
    return make_purchases()


@pytest.fixture
def snapshot_at(purchases: Purchases) -> Callable[[date], Snapshot]:
    return lambda as_of: make_snapshot(purchases, as_of)
