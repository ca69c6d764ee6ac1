"""A recommender system under the weekly protocol, and its picks for every customer.

    python -m jobs.evaluation.weekly_protocol --system als --as-of-date 2020-09-23

Each system is fitted twice. The evaluated fit knows purchases before the oldest fold alone; for each fold
(jobs.evaluation.protocol) it then picks from what was known at the fold's start. The final fit knows all before the
as-of date, and its picks become `system_recommendations`. Lists are judged as they would be shown: places that a system
leaves open hold the best sellers (`own_share` is the share that it filled itself). What it would add to the product's
candidates (jobs.evaluation.incremental_recall) is measured on its own lists alone.

Networks are fitted on one device, the first GPU where there is one; other systems run on the processor.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import date

import mlflow
import numpy as np
import pyarrow as pa

from expectations.embeddings import ARTICLE_EMBEDDINGS, ARTICLE_TEXT_EMBEDDINGS
from expectations.evaluation import SYSTEM_METRICS
from expectations.events import EVENTS
from expectations.recommendations import SYSTEM_RECOMMENDATIONS
from expectations.tagging import ARTICLE_TAGS
from jobs.embeddings.versions import current_encoder
from jobs.evaluation.evaluate import add_baselines
from jobs.evaluation.figures import figures_of, figures_table
from jobs.evaluation.filled_lists import Picks, tables
from jobs.evaluation.funnel import PREFIX
from jobs.evaluation.incremental_recall import CANDIDATES, add_candidates, measure
from jobs.evaluation.protocol import ALL_BUYERS, HEADLINE_K, WIDTH, Figure, LabelWeek, label_weeks
from jobs.platform.codes import NO_ARTICLE, Ints
from jobs.platform.job import Job, run
from jobs.platform.progress import track
from jobs.platform.settings import EVALUATION_FOLDS, WEEK
from jobs.platform.staging import Slice
from jobs.platform.tracking import start_run
from jobs.ranking.candidate_retrieval import BLOCK_SIZE
from jobs.ranking.snapshot import SNAPSHOT_TABLES, SnapshotLoader
from jobs.recommenders.recommender import Model
from jobs.recommenders.side_features import OPTIONAL_TABLES
from jobs.recommenders.timed_fit import Fitted, fitted, peak_mib
from jobs.retrieval.baselines import BASELINES
from jobs.retrieval.candidates import HeuristicSources
from jobs.retrieval.purchases import Purchases, load_purchases

READS, WRITES = SNAPSHOT_TABLES, (SYSTEM_METRICS, SYSTEM_RECOMMENDATIONS)
SETTINGS = (
    "accept_drift",
    "data",
    "mapping",
    "encoder",
    "embedding_dim",
    "text_encoder",
    "keyword_method",
    "system",
    "system_epochs",
    "training_weeks",
    "max_epochs",
    "extra_sources",
    "seed",
    "top_k",
    "mlflow_tracking_uri",
)
#: Side features are of what there is, tags fill in missing attributes, and events are what shoppers did beside buying.
READS_EARLIER_RUNS = (*OPTIONAL_TABLES, ARTICLE_TAGS, EVENTS, ARTICLE_TEXT_EMBEDDINGS)

#: By the start of a label week; of all together by None.
Figures = dict[date | None, list[Figure]]


def add_lists(week: LabelWeek, system: str, model: Model) -> Ints:
    """Hand all buyers' lists to the week, block by block; returns the first CANDIDATES that the system found itself."""
    picks, customers = Picks(model, week.history, week.start, WIDTH), week.truth.customers
    found = np.full((len(customers), CANDIDATES), NO_ARTICLE, dtype=np.int32)
    for first in track(range(0, len(customers), BLOCK_SIZE), f"{system} from {week.start}"):
        rows = slice(first, first + BLOCK_SIZE)
        own, filled = picks.of(customers[rows])
        week.add(system, filled.articles, rows)
        found[rows, : own.articles.shape[1]] = own.articles[:, :CANDIDATES]
    return found


def judged(job: Job, purchases: Purchases, weeks: Sequence[LabelWeek], fit: Fitted) -> Figures:
    """Every figure of the evaluated fit."""
    system = job.settings.system
    started = time.perf_counter()
    own = [add_lists(week, system, fit.model) for week in weeks]
    cost = {"fit_seconds": fit.seconds, "pick_seconds": time.perf_counter() - started, "peak_mib": peak_mib()}
    encoder = current_encoder(job.settings) if job.exists(ARTICLE_EMBEDDINGS) else None
    snapshots = SnapshotLoader(job, purchases, encoder)
    for week, found in zip(weeks, own, strict=True):
        add_baselines(week)
        add_candidates(week, found, HeuristicSources(snapshots.source_context(week.start)))
    figures = figures_of(weeks, job.settings.seed, measure)
    shares = [found[:, :HEADLINE_K] != NO_ARTICLE for found in own]
    for start, share in [*zip([week.start for week in weeks], shares, strict=True), (None, np.concatenate(shares))]:
        kept = [figure for figure in figures[start] if not figure.system.startswith(PREFIX)]
        figures[start] = [*kept, Figure(system, ALL_BUYERS, "own_share", HEADLINE_K, float(share.mean()))]
    figures[None] += [Figure(system, ALL_BUYERS, metric, 0, value) for metric, value in cost.items()]
    return figures


def publish_figures(job: Job, figures: Figures) -> None:
    """Replace the rows of the system as of the date, and the baselines', which are the same beside every system."""
    settings = job.settings
    day, run_id = settings.as_of_date, settings.run_id
    rows = [
        figures_table(some, SYSTEM_METRICS, as_of_date=day, fold_start=fold, run_id=run_id)
        for fold, some in figures.items()
    ]
    replace: Slice = {"as_of_date": [day], "system": [settings.system, *BASELINES]}
    job.publish(SYSTEM_METRICS, pa.concat_tables(rows), replace)


def publish_picks(job: Job, purchases: Purchases, model: Model) -> int:
    """Publish the picks for every customer as of the run's date; returns how many."""
    settings = job.settings
    picks = Picks(model, purchases, settings.as_of_date, settings.top_k)
    stamp = {"as_of_date": settings.as_of_date, "system": settings.system, "run_id": settings.run_id}
    replace: Slice = {"as_of_date": [settings.as_of_date], "system": [settings.system]}
    return job.publish(SYSTEM_RECOMMENDATIONS, tables(purchases, picks, stamp), replace)


def in_words(pooled: Sequence[Figure], system: str) -> str:
    """The system in one line."""
    found = {(f.metric, f.k): f for f in pooled if (f.system, f.slice) == (system, ALL_BUYERS)}
    score, minus = found["map", HEADLINE_K], found["map_minus_popularity_7d", HEADLINE_K]
    gain, seconds, peak = (found[k] for k in (("merged_gain", CANDIDATES), ("fit_seconds", 0), ("peak_mib", 0)))
    return (
        f"MAP@{HEADLINE_K} {score.value:.4f} ({score.ci_low:.4f} to {score.ci_high:.4f}) of "
        f"{found['buyers', 0].value:,.0f} buyers, {minus.value:+.4f} to popularity_7d; "
        f"{found['unique_recall', CANDIDATES].value:.4f} of the purchases in its first {CANDIDATES} and in no "
        f"candidate source, recall@{CANDIDATES} of the candidates {gain.value:+.4f} with it; "
        f"fitted in {seconds.value:.0f} s, {peak.value:,.0f} MiB"
    )


def main(job: Job) -> str:
    settings = job.settings
    system, as_of_date = settings.system, settings.as_of_date
    purchases = load_purchases(job, before=as_of_date)
    with start_run(settings, f"{job.name}.{system}"):
        names = ("system", "as_of_date", "system_epochs", "seed", "top_k", "mapping")
        mlflow.log_params({name: getattr(settings, name) for name in names})
        weeks = label_weeks(purchases, as_of_date)
        oldest = as_of_date - EVALUATION_FOLDS * WEEK
        evaluated = fitted(job, purchases.before(oldest), oldest)
        figures = judged(job, purchases, weeks, evaluated)
        mlflow.log_metrics(
            {
                f"{f.system}/{f.metric}" + (f"_at_{f.k}" if f.k else ""): f.value
                for f in figures[None]
                if f.slice == ALL_BUYERS
            }
        )
        publish_figures(job, figures)
        final = fitted(job, purchases, as_of_date)
        count = publish_picks(job, purchases, final.model)
    for fit in (evaluated, final):
        fit.forget()
    return f"{system}: {in_words(figures[None], system)}; {count:,} picks; {final.features.in_words}"


if __name__ == "__main__":
    run(main, reads=READS + READS_EARLIER_RUNS, writes=WRITES, settings=SETTINGS)
