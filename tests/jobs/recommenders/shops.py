"""The systems by name, and shops small enough to reckon with."""

from __future__ import annotations

import tempfile
from datetime import date
from pathlib import Path

import numpy as np

from jobs.recommenders import als, als_spark, bpr, item_knn, logistic_mf, user_knn
from jobs.recommenders.recommender import TrainingContext
from jobs.retrieval.purchases import Purchases
from tests.jobs.retrieval.small import on, purchases

SYSTEMS = {
    "als": als.fit,
    "als_spark": als_spark.fit,
    "bpr": bpr.fit,
    "logistic_mf": logistic_mf.fit,
    "item_knn": item_knn.fit,
    "user_knn": user_knn.fit,
}
AS_OF_DAY = 30


def known(history: Purchases, as_of_date: date | None = None, seed: int = 3) -> TrainingContext:
    """What a system learns from: here nothing but the purchases before the date."""
    as_of_date = as_of_date or on(AS_OF_DAY)
    features = np.zeros((len(history.article_ids), 0), dtype=np.float32)
    return TrainingContext(history.before(as_of_date), as_of_date, features, 1, seed, Path(tempfile.gettempdir()))


def two_tastes_lines() -> list[tuple[int, int, int]]:
    """24 customers and 24 articles: who has an even code buys eight of the twelve even articles, others odd ones."""
    pairs = [(c, a) for c in range(24) for a in range(24) if (c - a) % 2 == 0 and (a // 2 + c // 2) % 3]
    return [(n % AS_OF_DAY, *pair) for n, pair in enumerate(pairs)]


def two_tastes() -> Purchases:
    """A shop of these."""
    return purchases(two_tastes_lines(), 24, 24)
