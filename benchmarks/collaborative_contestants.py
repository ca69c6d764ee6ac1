"""A contestant of `make bench-collaborative`: python -m ... WAREHOUSE SYSTEM FILE; FILE gets what is to tell."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

import numpy as np

from benchmarks.features import AS_OF
from jobs.metrics.ranking_metrics import Truth, hit_ranks, recall
from jobs.platform.job import Job
from jobs.platform.settings import WEEK, Settings
from jobs.recommenders.recommender import TrainingContext
from jobs.retrieval.purchases import PURCHASE_TABLES, load_purchases

#: Picks of a buyer, and buyers asked for at once.
COUNT, BLOCK = 100, 4096


def main(warehouse: str, system: str, file: str) -> None:
    """Fit as of the start of the last week, and pick for its buyers."""
    settings = Settings(as_of_date=AS_OF, warehouse=warehouse)
    purchases = load_purchases(Job("bench", settings, PURCHASE_TABLES, ()), AS_OF)
    start = AS_OF - WEEK
    history, truth = purchases.before(start), Truth.of(purchases.between(start, AS_OF))
    no_features = np.zeros((len(history.article_ids), 0), dtype=np.float32)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        model = import_module(f"jobs.recommenders.{system}").fit(
            TrainingContext(history, start, no_features, epochs=100, seed=settings.seed, folder=Path(folder))
        )
        fitted = time.perf_counter()
    source = model.at(history, start, COUNT)
    buyers = np.split(truth.customers, range(BLOCK, len(truth.customers), BLOCK))
    found = np.concatenate([source.of(block).articles for block in buyers])
    measured = {
        "fit": fitted - began,
        "picks": time.perf_counter() - fitted,
        "recall": float(recall(hit_ranks(found, truth), truth, COUNT).mean()),
        "units": len(history),
        "customers": len(np.unique(history.customer)),
        "articles": int(history.articles_on_sale().sum()),
        "buyers": len(truth.customers),
    }
    Path(file).write_text(json.dumps(measured))


if __name__ == "__main__":
    main(*sys.argv[1:])
