"""Judge this run's model on the last whole week before the as-of date, beside the champion and the baselines."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import mlflow
import numpy as np

from expectations.evaluation import EVALUATION_METRICS, MODEL_DECISIONS
from jobs.evaluation.baselines import BASELINES, popularity_7d
from jobs.evaluation.metrics import Truth
from jobs.evaluation.protocol import (
    ALL_BUYERS,
    CHALLENGER,
    CHAMPION,
    HEADLINE_K,
    MODEL_VERSION,
    Figure,
    evaluate_week,
    figures_table,
)
from jobs.evaluation.registry import incumbent, version_of_run
from jobs.platform.errors import JobError
from jobs.platform.job import Job, run
from jobs.platform.settings import WEEK
from jobs.platform.tracking import load_model_folder, start_run
from jobs.ranking.model import TwoStageModel
from jobs.ranking.rank import rank_customers
from jobs.ranking.snapshot import SNAPSHOT_TABLES, SnapshotLoader
from jobs.ranking.train import EVALUATED, FINAL
from jobs.retrieval.purchases import Ints, Purchases, load_purchases

READS, WRITES = SNAPSHOT_TABLES, (EVALUATION_METRICS,)
#: The verdicts of earlier runs name the champion to beat.
READS_EARLIER_RUNS = (MODEL_DECISIONS,)

#: Places per customer: as many as the deepest cut-off asks for.
WIDTH = 300


def model_lists(job: Job, purchases: Purchases, buyers: Ints, version: str, fit: str) -> Ints:
    """What a registered version would have published at the start of the label week, (n, width).

    It ranks the buyers with history; the others get the best sellers, as they do when recommendations are published.

    Args:
        fit: which of the version's fits: one that knows nothing of the label week.
    """
    start = job.settings.as_of_date - WEEK
    with tempfile.TemporaryDirectory() as folder:
        model = TwoStageModel.load(load_model_folder(job.settings.model_name, version, Path(folder)) / fit)
    snapshot = SnapshotLoader(job, purchases, model.inputs.encoder).at(start)
    has_history = np.isin(buyers, snapshot.history.customer)
    ranked = rank_customers(model, snapshot, buyers[has_history], WIDTH).articles
    lists = popularity_7d(purchases, buyers, start, ranked.shape[1])
    lists[has_history] = ranked
    return lists


def log_figures(figures: Sequence[Figure]) -> None:
    """The figures of all buyers to the active MLflow run: test/map_at_12, baseline/popularity_7d/map_at_12, ..."""
    prefixes = {CHALLENGER: "test", CHAMPION: CHAMPION} | {name: f"baseline/{name}" for name in BASELINES}
    mlflow.log_metrics(
        {
            f"{prefixes[figure.system]}/{figure.metric}" + (f"_at_{figure.k}" if figure.k else ""): figure.value
            for figure in figures
            if figure.slice == ALL_BUYERS
        }
    )


def main(job: Job) -> str:
    settings = job.settings
    start = settings.as_of_date - WEEK
    with start_run(settings, job.name):
        versions = {CHALLENGER: version_of_run(settings)}
        if (champion := incumbent(job)) is not None:
            versions[CHAMPION] = champion
        purchases = load_purchases(job, before=settings.as_of_date)
        history, labels = purchases.before(start), purchases.between(start, settings.as_of_date)
        if not len(labels):
            raise JobError(
                f"silver/transactions: nothing bought from {start} to {settings.as_of_date}; nothing to judge"
            )
        buyers = Truth.of(labels).customers
        # The challenger's evaluated fit stops before the label week; so does the champion's final fit, a week older.
        fits = {CHALLENGER: EVALUATED, CHAMPION: FINAL}
        systems = {name: model_lists(job, purchases, buyers, versions[name], fits[name]) for name in versions}
        systems |= {name: baseline(history, buyers, start, WIDTH) for name, baseline in BASELINES.items()}
        figures = evaluate_week(systems, history, labels, start, settings.seed)
        figures += [Figure(name, ALL_BUYERS, MODEL_VERSION, 0, float(version)) for name, version in versions.items()]
        log_figures(figures)
        table = figures_table(
            figures, EVALUATION_METRICS, as_of_date=settings.as_of_date, fold_start=start, run_id=settings.run_id
        )
        job.publish(EVALUATION_METRICS, table, replace={"as_of_date": [settings.as_of_date]})
    headline = {
        figure.system: f"{figure.value:.4f} ({figure.ci_low:.4f} to {figure.ci_high:.4f})"
        for figure in figures
        if (figure.slice, figure.metric, figure.k) == (ALL_BUYERS, "map", HEADLINE_K)
    }
    return f"MAP@12 of {len(buyers):,} buyers from {start}: " + ", ".join(f"{k} {v}" for k, v in headline.items())


if __name__ == "__main__":
    run(main, reads=READS + READS_EARLIER_RUNS, writes=WRITES)
