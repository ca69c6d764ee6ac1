"""The results of the walk-forward backtest: all weeks pooled, and how a model ages; as a table and a picture.

    python -m jobs.evaluation.backtest_report --as-of-date 2020-09-23 --backtest-weeks 12 --write-docs true

Both go to MLflow, and with `write_docs` into docs/results/two_stage.md, between the markers of the section.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

import mlflow
import pyarrow as pa
import pyarrow.compute as pc

from expectations.evaluation import BACKTEST_BUYERS
from jobs.embeddings.versions import current_encoder
from jobs.evaluation.backtest import RECALL_K
from jobs.evaluation.docs_section import IMAGES, write_section
from jobs.evaluation.protocol import CHALLENGER, HEADLINE_K
from jobs.evaluation.walk_forward import Backtest, backtest_of, ratio
from jobs.platform.errors import JobError
from jobs.platform.job import Job, run
from jobs.platform.settings import WEEK, Settings
from jobs.platform.tracking import start_run
from jobs.retrieval.baselines import BASELINES

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

READS, WRITES = (BACKTEST_BUYERS,), ()
SETTINGS = (
    "data",
    "mapping",
    "encoder",
    "embedding_dim",
    "training_weeks",
    "backtest_weeks",
    "max_epochs",
    "seed",
    "write_docs",
    "mlflow_tracking_uri",
)

PAGE, SECTION, PICTURE = "two_stage.md", "backtest", "backtest.png"


def report_text(found: Backtest, settings: Settings, has_images: bool) -> str:
    """The generated section: what was run, the pooled figures, and the staleness table, as Markdown."""
    systems = [
        f"| {name} | {found.ap[name]:.4f} | {found.recall[name].value:.4f} | "
        + (f"{found.minus[name]:+.4f} |" if name in found.minus else "|")
        for name in found.ap
    ]
    images = f"images by `{settings.encoder}`" if has_images else "no images"
    ages = [
        f"| {age} | {of.weeks} | {of.buyers:,} | {of.aged:.4f} | {of.fresh:.4f} | {of.to_fresh:.3f} | "
        f"{of.baseline:.4f} | {of.to_baseline:.2f} |"
        for age, of in found.ages.items()
    ]
    return "\n".join(
        [
            f"{len(found.folds)} label weeks from {found.folds[0]} to the as-of date {settings.as_of_date}, "
            f"{found.buyers:,} buyer-weeks, {settings.training_weeks or '`auto`'} training weeks each, "
            f"at most {settings.max_epochs} epochs, {images}. The merged candidates' recall@{RECALL_K}, "
            f"before ranking, is {found.recall_to_popularity:.2f} times that of popularity_7d.",
            "",
            f"| system | MAP@{HEADLINE_K} | recall@{RECALL_K} | {CHALLENGER} less it, MAP@{HEADLINE_K} |",
            "|---|---|---|---|",
            *systems,
            "",
            f"As the model ages, on the label weeks that a model of that age exists for (best baseline: {found.best}):",
            "",
            f"| age in weeks | label weeks | buyer-weeks | MAP@{HEADLINE_K} | fresh model's | aged / fresh | "
            "best baseline's | aged / best baseline |",
            "|" + "---|" * 8,
            *ages,
            "",
            f"![MAP@{HEADLINE_K} by label week, and as the model ages]({IMAGES}/{PICTURE})",
        ]
    )


def picture(found: Backtest) -> Picture:
    """Left: MAP@12 by label week. Right: of the fresh model's MAP@12, what an aged one and the best baseline keep."""
    from matplotlib.figure import Figure as Picture

    drawn = Picture(figsize=(12, 4.6), layout="constrained")
    left, right = drawn.subplots(1, 2, width_ratios=[3, 2])
    colours = dict(zip(found.by_fold, ("#24527a", "#c46a1b", "#7a7a7a", "#b5b5b5", "#9db8d2", "#4f8a5b"), strict=True))
    starts = [date.fromisoformat(fold) for fold in found.folds]
    for name, values in found.by_fold.items():
        left.plot(starts, values, marker="o", color=colours[name], label=name)
    left.set(ylabel=f"MAP@{HEADLINE_K}", title="the model fitted as of each week, on that week", ylim=(0, None))
    step = 1 + len(starts) // 18  # as many names of weeks as can be read
    left.set_xticks(starts[::step], found.folds[::step], rotation=45, ha="right")
    drawn.legend(loc="outside lower left", ncols=len(colours), fontsize="small")
    ages, of = list(found.ages), list(found.ages.values())
    low, high = ([getattr(a.to_fresh, end) for a in of] for end in ("low", "high"))
    right.fill_between(ages, low, high, color=colours[CHALLENGER], alpha=0.25, linewidth=0)
    right.plot(ages, [a.to_fresh.value for a in of], marker="o", color=colours[CHALLENGER])
    right.plot(ages, [ratio(a.baseline, a.fresh) for a in of], marker="o", color=colours[found.best])
    right.set(xlabel="age of the model, weeks (band: 95 % interval)", xticks=ages, ylim=(0, None))
    right.set(ylabel=f"MAP@{HEADLINE_K} / fresh model's", title="staleness: same label weeks, same buyers")
    return drawn


def rows_of(job: Job, starts: Sequence[date]) -> pa.Table:
    """The backtest of these as-of dates, as far as the run's as-of date lets it see; JobError where one is missing."""
    rows = job.read_arrow(BACKTEST_BUYERS, where={"as_of_date": starts})
    if missing := sorted(set(starts) - set(rows["as_of_date"].unique().to_pylist())):
        days = ", ".join(map(str, missing))
        raise JobError(f"{BACKTEST_BUYERS.path} knows nothing as of {days}; run evaluation.backtest for those weeks")
    return rows.filter(pc.less_equal(rows["fold"], (job.settings.as_of_date - WEEK).isoformat()))


def log(found: Backtest) -> None:
    """The figures to the active MLflow run; those of an aged model by age, as the step."""
    for name in found.ap:
        mlflow.log_metric(f"{name}/map_at_{HEADLINE_K}", found.ap[name].value)
        mlflow.log_metric(f"{name}/recall_at_{RECALL_K}", found.recall[name].value)
    for age, of in found.ages.items():
        shares = {"share_of_fresh": of.to_fresh.value, "times_best_baseline": of.to_baseline.value}
        mlflow.log_metrics({f"staleness/{name}": value for name, value in shares.items()}, step=age)


def in_words(found: Backtest) -> str:
    """The backtest in one line."""
    clear = all(found.minus[name].low > 0 for name in BASELINES)
    oldest = max(found.ages)
    return (
        f"MAP@{HEADLINE_K} of {found.buyers:,} buyer-weeks in {len(found.folds)} weeks: {found.ap[CHALLENGER]:.4f}, "
        f"{found.minus[found.best]:+.4f} beyond {found.best}, {'clear' if clear else 'NOT clear'} of every baseline; "
        f"recall@{RECALL_K} of the candidates {found.recall_to_popularity:.2f} times that of popularity; "
        f"{oldest} weeks old the model has {found.ages[oldest].to_fresh.value:.3f} of the fresh one's MAP@{HEADLINE_K}"
    )


def main(job: Job) -> str:
    settings = job.settings
    starts = [settings.as_of_date - j * WEEK for j in range(settings.backtest_weeks, 0, -1)]
    if not starts:
        raise JobError("backtest-weeks: how many past weeks? give at least 1")
    found = backtest_of(rows_of(job, starts), settings.seed)
    text, drawn = report_text(found, settings, has_images=current_encoder(settings) is not None), picture(found)
    with start_run(settings, job.name):
        log(found)
        mlflow.log_text(text, "backtest.md")
        mlflow.log_figure(drawn, "backtest.png")
    if settings.write_docs:
        write_section(PAGE, SECTION, text, {PICTURE: drawn})
    return in_words(found)


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES, settings=SETTINGS)
