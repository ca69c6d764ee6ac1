"""The champion ranks for every customer, with or without history: its best articles become `candidates`.

Runs without a champion get no candidates here: publishing falls back, and says so in every row.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
from rich.progress import track

from expectations.evaluation import MODEL_DECISIONS
from expectations.recommendations import CANDIDATES, MAX_RECOMMENDATIONS
from jobs.platform.codes import Ints
from jobs.platform.job import Job, run
from jobs.platform.schemas import arrow_schema
from jobs.platform.tracking import load_model_folder, use_tracking
from jobs.ranking.candidate_retrieval import blocks, written_together
from jobs.ranking.model import FINAL, TwoStageModel, fit_folder
from jobs.ranking.model_registry import champion_as_of
from jobs.ranking.rank import Ranked, Recommender, rank_blocks
from jobs.ranking.snapshot import SNAPSHOT_TABLES, SnapshotLoader
from jobs.retrieval.purchases import Purchases, load_purchases

READS, WRITES = (*SNAPSHOT_TABLES, MODEL_DECISIONS), (CANDIDATES,)


def rows(purchases: Purchases, customers: Ints, ranked: Ranked, stamp: dict[str, object]) -> pa.Table:
    """Ranked articles as rows of `candidates`; `stamp` holds as_of_date, model_version and run_id."""
    found, schema = ranked.table(purchases, customers), arrow_schema(CANDIDATES)
    for name, value in stamp.items():
        found = found.append_column(name, pa.repeat(pa.scalar(value, schema.field(name).type), len(found)))
    return found.select(schema.names)


def score(job: Job, version: str) -> str:
    """Publish what a registered version's final fit picks for every customer with history; how much, in words."""
    settings = job.settings
    with tempfile.TemporaryDirectory() as folder:
        files = load_model_folder(settings.model_name, version, Path(folder))
        model = TwoStageModel.load(fit_folder(files, FINAL))
    purchases = load_purchases(job, before=settings.as_of_date)
    snapshot = SnapshotLoader(job, purchases, model.inputs.encoder).at(settings.as_of_date)
    recommender = Recommender(model, snapshot)
    customers = np.arange(len(purchases.customer_ids), dtype=np.int32)
    stamp = {"as_of_date": settings.as_of_date, "model_version": version, "run_id": settings.run_id}

    ranked = rank_blocks(recommender, customers, MAX_RECOMMENDATIONS, settings.exclude_bought)
    told = track(ranked, "scoring customers", total=len(blocks(customers)))
    tables = (rows(purchases, block, best, stamp) for block, best in told)
    count = job.publish(CANDIDATES, written_together(tables), {"as_of_date": [settings.as_of_date]})
    return f"{count:,} candidates for {len(customers):,} customers by version {version}"


def main(job: Job) -> str:
    use_tracking(job.settings)
    version = champion_as_of(job)
    if version is not None:
        return score(job, version)
    job.publish(CANDIDATES, arrow_schema(CANDIDATES).empty_table(), {"as_of_date": [job.settings.as_of_date]})
    return "no model that this code can use has been promoted: recommendations fall back to the baselines"


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES)
