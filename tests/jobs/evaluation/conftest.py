"""A small shop for the jobs of the systems, with the system of popular.py in place of two of the registry's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from jobs.evaluation import next_purchase, recommender_report
from jobs.evaluation import weekly_protocol as weekly
from jobs.platform.settings import Settings
from jobs.recommenders import registry
from jobs.recommenders.registry import Entry
from jobs.retrieval.context import SourceContext
from jobs.retrieval.purchases import Purchases
from tests.jobs.evaluation import popular
from tests.jobs.evaluation.silver import put_purchases

#: Folds of AS_OF start on days 32, 39, 46 and 53. Customers 0 and 1 have history; 2 buys first in the last fold.
AS_OF = 60
ROWS = [
    (0, 0, 0), (0, 1, 1), (1, 1, 2), (2, 0, 3), (2, 1, 4),
    (33, 0, 1), (40, 0, 2), (41, 1, 0), (47, 1, 3), (54, 0, 4), (54, 2, 1), (55, 2, 5),
]  # fmt: skip
CUSTOMERS, ARTICLES = 4, 7


def facts_of(purchases: Purchases, start: Any) -> SourceContext:
    """What the candidate sources know: nothing but the history."""
    articles, customers = len(purchases.article_ids), len(purchases.customer_ids)
    product, one = np.arange(articles, dtype=np.int32), np.zeros(articles, dtype=np.int32)
    images = np.zeros((articles, 0), dtype=np.float32)
    return SourceContext(purchases.before(start), start, product, one, one, np.zeros(customers, dtype=np.int32), images)


@pytest.fixture
def warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Silver tables; what MLflow was given is in `logged` of each job's module."""
    put_purchases(tmp_path, ROWS, CUSTOMERS, ARTICLES)

    @contextmanager
    def no_run(settings: Settings, name: str) -> Iterator[None]:
        yield

    logged: dict[str, Any] = {}
    for job in (weekly, next_purchase, recommender_report):
        monkeypatch.setattr(job, "start_run", no_run)
        monkeypatch.setattr(job, "logged", logged, raising=False)
    for log in ("log_params", "log_metrics"):
        monkeypatch.setattr(weekly.mlflow, log, logged.update)
    for log in ("log_text", "log_figure"):
        monkeypatch.setattr(recommender_report.mlflow, log, lambda what, name: logged.update({name: what}))
    monkeypatch.setattr(
        weekly,
        "SnapshotLoader",
        lambda _, purchases, __: SimpleNamespace(source_context=lambda start: facts_of(purchases, start)),
    )
    monkeypatch.setitem(registry.SYSTEMS, "als", Entry(popular.__name__))
    monkeypatch.setitem(registry.SYSTEMS, "bpr", Entry(popular.__name__, {"most": 1}, features="side"))
    monkeypatch.setattr(popular, "SHOWN", [])
    return tmp_path
