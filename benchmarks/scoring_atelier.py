"""One contestant of bench-scoring, in a process of its own: `score` or `search`."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import faiss
import numpy as np
import torch

from jobs.platform.job import Job
from jobs.platform.settings import Settings
from jobs.platform.tracking import load_model_folder, use_tracking
from jobs.ranking.candidate_retrieval import as_tensor, blocks
from jobs.ranking.model import FINAL, TwoStageModel, fit_folder
from jobs.ranking.model_registry import Champion, version_of_run
from jobs.ranking.pairs import Tastes
from jobs.ranking.rank import CORES, use_one_thread
from jobs.ranking.score import READS, READS_EARLIER_RUNS, WRITES, score
from jobs.ranking.snapshot import SnapshotLoader
from jobs.retrieval.purchases import load_purchases
from jobs.retrieval.two_tower import COUNT, NearestArticles

SEARCHED, TURNS = 65_536, 3


def final_fit(settings: Settings) -> TwoStageModel:
    """The final fit of the as-of date's version."""
    with tempfile.TemporaryDirectory() as folder:
        files = load_model_folder(settings.model_name, version_of_run(settings).version, Path(folder))
        return TwoStageModel.load(fit_folder(files, FINAL))


def scored(job: Job) -> dict[str, object]:
    """Score everyone."""
    model = final_fit(job.settings)
    return {"outcome": score(job, Champion(version_of_run(job.settings).version)), "ranker": model.chosen}


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def searched(job: Job) -> dict[str, object]:
    """Search for the nearest articles as the job does, and by faiss alone, turn by turn."""
    model, purchases = final_fit(job.settings), load_purchases(job, before=job.settings.as_of_date)
    snapshot = SnapshotLoader(job, purchases, model.inputs.encoder).at(job.settings.as_of_date)
    customers = np.unique(purchases.customer)[:SEARCHED]
    with torch.inference_mode():
        items = model.towers.item_tower(*model.inputs.article_inputs(snapshot).tensors(torch.device("cpu"))).numpy()
        queries = [
            model.towers.query_tower(
                *map(as_tensor, model.inputs.customer_inputs(snapshot, Tastes.of(snapshot, block)))
            )
            for block in blocks(customers)
        ]
    parts = [part.numpy() for part in queries]
    nearest, index = NearestArticles(items, snapshot.on_sale), faiss.IndexFlatIP(items.shape[1])
    index.add(np.ascontiguousarray(items[snapshot.on_sale]))
    whole = np.concatenate(parts)
    turns = []
    for _ in range(TURNS):
        faiss.omp_set_num_threads(CORES)
        alone = seconds(lambda: index.search(whole, COUNT))
        with ThreadPoolExecutor(CORES, initializer=use_one_thread) as pool:
            turns.append((seconds(lambda: list(pool.map(nearest.of, parts))), alone))
    mine, alone = (statistics.median(turn[i] for turn in turns) for i in (0, 1))
    facts = {"articles": int(snapshot.on_sale.sum()), "customers": len(whole), "turns": TURNS}
    return facts | {"search": mine, "faiss": alone}


if __name__ == "__main__":
    warehouse, as_of, out, what = sys.argv[1:]
    settings = Settings(as_of_date=as_of, warehouse=warehouse)  # type: ignore[arg-type]
    use_tracking(settings)
    job = Job("ranking.score", settings, READS + READS_EARLIER_RUNS, WRITES)
    found = {"score": scored, "search": searched}[what](job)
    Path(out).write_text(json.dumps(found))
