"""One week of a walk-forward backtest: fit the model as of that week, and follow it as it ages.

The past is walked through week by week. As of each start both fits are made exactly as the published model's are
(jobs.ranking.train), from nothing dated on or after it; the final one is judged on the label week that begins there,
where it is fresh, and on those after it, up to MAX_AGE weeks, as far as the run's as-of date lets it see. A label
week's candidates and features are always as of its own start: only the model grows old.

Networks are fitted on one device, the first GPU where there is one; trees on the processor.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from datetime import date

import mlflow
import pyarrow as pa

from expectations.evaluation import BACKTEST_BUYERS, BACKTEST_METRICS
from expectations.tagging import ARTICLE_TAGS
from jobs.embeddings.versions import current_encoder
from jobs.evaluation import funnel
from jobs.evaluation.evaluate import add_baselines, add_model, unlearned
from jobs.evaluation.figures import figures_of, figures_table
from jobs.evaluation.protocol import ALL_BUYERS, CHALLENGER, HEADLINE_K, WIDTH, LabelWeek
from jobs.features.label_weeks import with_training_weeks
from jobs.metrics.ranking_metrics import average_precision, recall
from jobs.platform.errors import JobError
from jobs.platform.job import Job, run
from jobs.platform.schemas import arrow_schema
from jobs.platform.settings import WEEK, Settings
from jobs.platform.tracking import start_run
from jobs.ranking.fit import Weeks
from jobs.ranking.model import TwoStageModel
from jobs.ranking.rank import Recommender
from jobs.ranking.snapshot import SNAPSHOT_TABLES, SnapshotLoader, require_features
from jobs.ranking.train import check_enough, evaluated_plan, fingerprint, fit_both
from jobs.retrieval.purchases import Purchases, load_purchases

READS, WRITES = SNAPSHOT_TABLES, (BACKTEST_METRICS, BACKTEST_BUYERS)
SETTINGS = (
    "accept_drift",
    "data",
    "mapping",
    "encoder",
    "embedding_dim",
    "training_weeks",
    "backtest_week",
    "max_epochs",
    "extra_sources",
    "system_epochs",
    "seed",
    "mlflow_tracking_uri",
)
#: Tags fill in attributes that the catalogue does not state, where there are any.
READS_EARLIER_RUNS = (ARTICLE_TAGS,)

#: Weeks that a model is followed for.
MAX_AGE = 8
RECALL_K = 100


def fit_as_of(job: Job, purchases: Purchases, encoder: str | None, settings: Settings) -> TwoStageModel:
    """The model that a run of `settings.as_of_date` would have published, whatever else `purchases` hold."""
    known = purchases.before(settings.as_of_date)
    weeks = Weeks(SnapshotLoader(job, known, encoder, settings.as_of_date), known, settings.seed)
    plan = evaluated_plan(settings)
    check_enough(weeks, plan)
    digest = fingerprint(weeks, settings.snapshot_dates[1:], encoder, settings)
    place = settings.work_dir / "checkpoints" / f"backtest-{settings.as_of_date}-{digest}"
    fits = fit_both(plan, weeks, encoder, settings, place)
    shutil.rmtree(place)
    return fits.final


def judged(
    model: TwoStageModel, purchases: Purchases, snapshots: SnapshotLoader, start: date, ages: Sequence[int]
) -> Iterator[tuple[int, LabelWeek]]:
    """The label week at each of these ages, in weeks, in which anything was bought; `start` is the model's date."""
    for age in ages:
        first = start + age * WEEK
        labels = purchases.between(first, first + WEEK)
        if not len(labels):
            continue
        week = LabelWeek(purchases.before(first), labels, first)
        add_model(week, CHALLENGER, model, snapshots.at(first), add_lists)
        add_baselines(week)
        yield age, week


def add_lists(week: LabelWeek, _: TwoStageModel, recommender: Recommender, rows: slice) -> None:
    """A block's lists of the model, and its candidates in round-robin order."""
    candidates = recommender.candidates(week.truth.customers[rows])
    ranked = recommender.rank(candidates, WIDTH)
    week.add(CHALLENGER, ranked.articles, rows)
    week.add(funnel.MERGED, unlearned(candidates), rows)


def buyers_table(week: LabelWeek, age: int, purchases: Purchases, as_of_date: date, run_id: str) -> pa.Table:
    """What each buyer of the week got, by system, as rows of backtest_buyers."""
    truth, tables = week.truth, []
    customers = purchases.customer_ids.take(pa.array(truth.customers))
    for system, (ranks, _) in week.listed(week.slices[ALL_BUYERS]).items():
        if age and system != CHALLENGER:
            continue
        stamp = {"system": system, "as_of_date": as_of_date, "fold": week.start.isoformat(), "age_weeks": age}
        stamp["week_start_date"] = week.start
        columns = {name: pa.repeat(value, len(customers)) for name, value in (stamp | {"run_id": run_id}).items()}
        columns |= {
            "customer_id": customers,
            "average_precision_at_12": average_precision(ranks, truth, HEADLINE_K),
            "recall_at_100": recall(ranks, truth, RECALL_K),
        }
        tables.append(pa.table(columns).select(BACKTEST_BUYERS.column_names))
    return pa.concat_tables(tables).cast(arrow_schema(BACKTEST_BUYERS))


def main(job: Job) -> str:
    settings = job.settings
    start = settings.as_of_date - settings.backtest_week * WEEK
    then = with_training_weeks(job, settings.model_copy(update={"as_of_date": start}))
    ages = range(min(MAX_AGE + 1, settings.backtest_week))
    advice = f"run the features with --backtest-weeks {settings.backtest_week} or more, and the same training weeks"
    require_features(job, [*then.snapshot_dates, *(start + age * WEEK for age in ages)], advice)
    metrics: list[pa.Table] = []
    buyers: list[pa.Table] = []
    course: list[str] = []
    with start_run(settings, job.name):
        mlflow.log_params({"backtest_week": settings.backtest_week, "fitted_as_of": start})
        encoder = current_encoder(settings)
        purchases = load_purchases(job, before=settings.as_of_date)
        model = fit_as_of(job, purchases, encoder, then)
        snapshots = SnapshotLoader(job, purchases, encoder, start)
        for age, week in judged(model, purchases, snapshots, start, ages):
            figures = figures_of([week], settings.seed)[week.start]
            metrics.append(
                figures_table(
                    figures,
                    BACKTEST_METRICS,
                    as_of_date=start,
                    fold_start=week.start,
                    run_id=settings.run_id,
                    age_weeks=age,
                )
            )
            buyers.append(buyers_table(week, age, purchases, start, settings.run_id))
            score = {f.system: f.value for f in figures if (f.slice, f.metric) == (ALL_BUYERS, "map")}
            mlflow.log_metrics({f"{name}/map_at_{HEADLINE_K}": value for name, value in score.items()}, step=age)
            course.append(f"{score[CHALLENGER]:.4f}")
    if not buyers:
        raise JobError(
            f"silver/transactions: nothing bought from {start} until {settings.as_of_date}; nothing to judge"
        )
    job.publish(BACKTEST_METRICS, pa.concat_tables(metrics), replace={"as_of_date": [start]})
    job.publish(BACKTEST_BUYERS, pa.concat_tables(buyers), replace={"as_of_date": [start]})
    return (
        f"model as of {start}, {model.chosen} ranks; MAP@{HEADLINE_K} in {len(course)} weeks as it ages: "
        f"{', '.join(course)}"
    )


if __name__ == "__main__":
    run(main, reads=READS + READS_EARLIER_RUNS, writes=WRITES, settings=SETTINGS)
