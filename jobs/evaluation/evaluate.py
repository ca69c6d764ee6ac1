"""Judge this run's model on the last whole weeks before the as-of date, beside the champion and the baselines.

Both models are judged by their *evaluated* fits, which learnt from weeks before all of the folds; candidates and
features of each fold are as of its own start. The funnel of the run's candidates is judged along with them.
Where the run has no model, or a damaged one, the baselines are judged alone.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import mlflow
import pyarrow as pa

from expectations.evaluation import EVALUATION_METRICS, MODEL_DECISIONS
from expectations.tagging import ARTICLE_TAGS
from jobs.evaluation import funnel
from jobs.evaluation.figures import figures_of, figures_table
from jobs.evaluation.protocol import (
    ALL_BUYERS,
    CHALLENGER,
    CHAMPION,
    HEADLINE_K,
    WIDTH,
    Figure,
    LabelWeek,
    label_weeks,
)
from jobs.evaluation.weekly_chart import log_weeks, weekly_figures
from jobs.platform.codes import Ints
from jobs.platform.job import Job, run
from jobs.platform.progress import track
from jobs.platform.schemas import arrow_schema
from jobs.platform.settings import EVALUATION_FOLDS, WEEK
from jobs.platform.tracking import end_without_result, load_model_folder, start_run, without_result
from jobs.ranking.candidate_retrieval import BLOCK_SIZE, Candidates
from jobs.ranking.model import EVALUATED, TwoStageModel, fit_folder
from jobs.ranking.model_registry import damage, incumbent, version_of_run
from jobs.ranking.rank import Recommender
from jobs.ranking.snapshot import SNAPSHOT_TABLES, Snapshot, SnapshotLoader
from jobs.retrieval.baselines import BASELINES
from jobs.retrieval.candidates import SOURCES
from jobs.retrieval.purchases import Purchases, load_purchases

READS, WRITES = SNAPSHOT_TABLES, (EVALUATION_METRICS,)
SETTINGS = ("accept_drift", "seed", "mlflow_tracking_uri", "model_name")
#: The verdicts of earlier runs name the champion to beat; tags fill in missing attributes.
READS_EARLIER_RUNS = (MODEL_DECISIONS, ARTICLE_TAGS)

#: Hands the lists of a block of buyers (rows) to a week.
Add = Callable[[LabelWeek, TwoStageModel, Recommender, slice], None]


@dataclass(frozen=True)
class Entrant:
    """A registered version to be judged: its evaluated fit, and where its snapshots come from."""

    version: str
    model: TwoStageModel
    snapshots: SnapshotLoader


def entrants(job: Job, purchases: Purchases, own: str) -> dict[str, Entrant]:
    """The run's own version, and the champion to beat if there is one, by the names of their systems."""
    versions = {CHALLENGER: own}
    if (champion := incumbent(job).version) is not None:
        versions[CHAMPION] = champion
    loaders: dict[str | None, SnapshotLoader] = {}
    found = {}
    for system, version in versions.items():
        with tempfile.TemporaryDirectory() as folder:
            files = load_model_folder(job.settings.model_name, version, Path(folder))
            model = TwoStageModel.load(fit_folder(files, EVALUATED))
        encoder = model.inputs.encoder
        if encoder not in loaders:
            loaders[encoder] = SnapshotLoader(job, purchases, encoder)
        found[system] = Entrant(version, model, loaders[encoder])
    return found


def judged_weeks(job: Job, purchases: Purchases, judged: Mapping[str, Entrant]) -> list[LabelWeek]:
    """The folds with every system's lists; JobError where nothing was bought in any."""
    weeks = label_weeks(purchases, job.settings.as_of_date)
    for week in weeks:
        for system, entrant in judged.items():
            add = add_challenger if system == CHALLENGER else add_champion
            add_model(week, system, entrant.model, entrant.snapshots.at(week.start), add)
        add_baselines(week)
    return weeks


def add_model(week: LabelWeek, system: str, model: TwoStageModel, snapshot: Snapshot, add: Add) -> None:
    """All buyers' lists of a model, block by block.

    Args:
        snapshot: what was known at the start of the week.
        add: hands a block's lists to the week.
    """
    recommender = Recommender(model, snapshot)
    for first in track(range(0, len(week.truth.customers), BLOCK_SIZE), f"{system} from {week.start}"):
        add(week, model, recommender, slice(first, first + BLOCK_SIZE))


def add_baselines(week: LabelWeek) -> None:
    """All buyers' lists of every baseline."""
    for name, baseline in BASELINES.items():
        week.add(name, baseline(week.history, week.truth.customers, week.start, WIDTH))


def add_challenger(week: LabelWeek, model: TwoStageModel, recommender: Recommender, rows: slice) -> None:
    """A block's lists of the chosen ranker and of each one, and the funnel: all on the same candidates."""
    candidates, names = recommender.candidates(week.truth.customers[rows]), list(model.rankers)
    best = recommender.rank_by(candidates, WIDTH, names)
    ranked = {name: lists.articles for name, lists in zip(names, best, strict=True)}
    systems = {CHALLENGER: ranked[model.chosen]} | {f"{CHALLENGER}/{name}": lists for name, lists in ranked.items()}
    for system, lists in systems.items():
        week.add(system, lists, rows)
    for source in (source for source in SOURCES if source in candidates.found):
        week.add(funnel.PREFIX + source, candidates.found[source].articles, rows)
    week.add(funnel.MERGED, unlearned(candidates), rows)
    week.add(funnel.RANKED, ranked[model.chosen], rows)


def unlearned(candidates: Candidates) -> Ints:
    """All candidates of a block in round-robin order of the sources: nothing in it is learned."""
    merged = candidates.merged
    ranks = [merged.ranks[source] for source in SOURCES if source in candidates.found]
    return funnel.round_robin(merged.articles, ranks)


def add_champion(week: LabelWeek, model: TwoStageModel, recommender: Recommender, rows: slice) -> None:
    """A block's lists of the champion's chosen ranker."""
    ranked = recommender.rank(recommender.candidates(week.truth.customers[rows]), WIDTH)
    week.add(CHAMPION, ranked.articles, rows)


def model_versions(figures: Sequence[Figure], judged: Mapping[str, Entrant]) -> dict[str, str]:
    """Version of each system that is a model's: the champion, and this run's with its rankers and candidates."""
    versions = {}
    for system in {figure.system for figure in figures} - set(BASELINES):
        versions[system] = judged[CHAMPION if system == CHAMPION else CHALLENGER].version
    return versions


def log_figures(figures: Sequence[Figure], model_id: str | None) -> None:
    """Pooled figures of all buyers to the active MLflow run: test/map_at_12, baseline/popularity_7d/map_at_12, ...

    They are on the page of the model `model_id`, too.
    """
    prefixes = {CHALLENGER: "test"} | {name: f"baseline/{name}" for name in BASELINES}

    def name(figure: Figure) -> str:
        system = prefixes.get(figure.system, figure.system.replace(f"{CHALLENGER}/", "test/"))
        return f"{system}/{figure.metric}" + (f"_at_{figure.k}" if figure.k else "")

    values = {name(figure): figure.value for figure in figures if figure.slice == ALL_BUYERS}
    mlflow.log_metrics(values, model_id=model_id)


def publish(job: Job, figures: Mapping[date | None, Sequence[Figure]], versions: Mapping[str, str]) -> None:
    """The figures of all folds as the date's slice of `evaluation_metrics`, an empty one where there are none."""
    settings = job.settings
    tables = [
        figures_table(
            some,
            EVALUATION_METRICS,
            as_of_date=settings.as_of_date,
            fold_start=fold,
            run_id=settings.run_id,
            model_versions=versions,
        )
        for fold, some in figures.items()
    ]
    rows = pa.concat_tables([arrow_schema(EVALUATION_METRICS).empty_table(), *tables])
    job.publish(EVALUATION_METRICS, rows, replace={"as_of_date": [settings.as_of_date]})


def headline(figures: Sequence[Figure], weeks: Sequence[LabelWeek]) -> str:
    """Every system's MAP@12, in words."""
    systems = [
        f"{figure.system} {figure.value:.4f} ({figure.ci_low:.4f} to {figure.ci_high:.4f})"
        for figure in figures
        if (figure.slice, figure.metric, figure.k) == (ALL_BUYERS, "map", HEADLINE_K)
        and not figure.system.startswith(funnel.PREFIX)
    ]
    buyers = sum(len(week.truth.customers) for week in weeks)
    return f"MAP@{HEADLINE_K} of {buyers:,} buyers in {len(weeks)} weeks from {weeks[0].start}: {', '.join(systems)}"


def silence(purchases: Purchases, as_of_date: date) -> str | None:
    """Words where nothing was bought in any fold, so that there is nothing to judge by; else None."""
    if len(purchases.between(as_of_date - EVALUATION_FOLDS * WEEK, as_of_date)):
        return None
    return f"nothing was bought in the {EVALUATION_FOLDS} weeks before {as_of_date}"


def judge_baselines(job: Job, purchases: Purchases, why: str) -> str:
    """Judge the baselines alone, as far as anything was bought; `why` says what became of the model."""
    end_without_result(why)
    weeks = [] if silence(purchases, job.settings.as_of_date) else judged_weeks(job, purchases, {})
    figures = figures_of(weeks, job.settings.seed) if weeks else {}
    publish(job, figures, {})
    return "; ".join([why, *([headline(figures[None], weeks)] if weeks else [])])


def main(job: Job) -> str:
    settings = job.settings
    asked = {"model_name": settings.model_name}
    with start_run(settings, job.name, **asked):
        purchases = load_purchases(job, before=settings.as_of_date)
        if why := without_result(settings, "ranking.train", **asked) or silence(purchases, settings.as_of_date):
            return judge_baselines(job, purchases, why)
        version = version_of_run(settings)
        if why := damage(settings.model_name, version.version):
            return judge_baselines(job, purchases, why)
        judged = entrants(job, purchases, version.version)
        weeks = judged_weeks(job, purchases, judged)
        figures = figures_of(weeks, settings.seed, funnel.measure)
        for found in figures.values():
            found += funnel.hit_shares(found)
        pooled = figures[None]
        log_figures(pooled, version.model_id)
        title = f"{settings.model_name} version {version.version}, {len(weeks)} weeks from {weeks[0].start}"
        mlflow.log_figure(funnel.picture(pooled, title), "funnel.png")
        log_weeks(weekly_figures(job, figures), f"{settings.model_name} as of {settings.as_of_date}")
        publish(job, figures, model_versions(pooled, judged))
    return f"{headline(pooled, weeks)}; {funnel.in_words(pooled)}"


if __name__ == "__main__":
    run(main, reads=READS + READS_EARLIER_RUNS, writes=WRITES, settings=SETTINGS)
