"""Small purchase histories, written as (day, customer, article) with days counted from a first day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from jobs.platform.codes import NO_ARTICLE, Ints
from jobs.retrieval.purchases import Purchases, day_number
from jobs.retrieval.source import Source

FIRST_DAY = date(2020, 8, 1)


def on(day: int) -> date:
    """Day 0 is FIRST_DAY."""
    return FIRST_DAY + timedelta(days=day)


def purchases(
    rows: Sequence[tuple[int, int, int]], customers: int, articles: int, product: Sequence[int] | None = None
) -> Purchases:
    """Histories from (day, customer code, article code), in any order; and the product of each article."""
    day, customer, article = np.array(sorted(rows), dtype=np.int32).reshape(-1, 3).T
    return Purchases(
        (day + day_number(FIRST_DAY)).astype(np.int32),
        customer,
        article,
        pa.array([f"c{i}" for i in range(customers)]),
        pa.array([f"a{i:02d}" for i in range(articles)]),
        product=None if product is None else codes(*product),
    )


def codes(*values: int) -> Ints:
    """A vector of codes."""
    return np.array(values, dtype=np.int32)


def everyone(history: Purchases) -> Ints:
    """The codes of all customers."""
    return np.arange(len(history.customer_ids), dtype=np.int32)


def found_by(source: Source, *customers: int) -> list[dict[int, float]]:
    """What a source finds for each customer: article -> score, the best first."""
    found = source.of(codes(*customers))
    rows = zip(found.articles.tolist(), found.scores.tolist(), strict=True)
    return [{article: score for article, score in zip(*row, strict=True) if article != NO_ARTICLE} for row in rows]
