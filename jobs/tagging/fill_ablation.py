"""How much attributes predicted from pictures help to recommend articles of which the catalogue says nothing.

    python -m jobs.tagging.fill_ablation --as-of-date 2020-09-23 --warehouse warehouse --write-docs true

Every attribute of half of the product lines is taken away. A tagger fitted on none of these lines predicts what their
pictures show; what it is sure enough of is filled in, as gold/article_tags fills in for the recommender. Three models
are fitted and judged on the weeks of the evaluation: on blank attributes, on predicted ones, and on those that the
catalogue states of the same labels. Not a task of a DAG; it writes no table.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import mlflow
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from expectations.tagging import ARTICLE_TAGS
from jobs.evaluation.docs_section import write_section
from jobs.evaluation.evaluate import add_model
from jobs.evaluation.figures import Columns, means, system_columns
from jobs.evaluation.protocol import ALL_BUYERS, NEW_ARTICLES, WIDTH, Figure, LabelWeek, label_weeks
from jobs.features.label_weeks import with_training_weeks
from jobs.platform.codes import Ints as Codes
from jobs.platform.errors import JobError
from jobs.platform.job import Job, run
from jobs.platform.tracking import start_run
from jobs.ranking.fit import Weeks
from jobs.ranking.inputs import ARTICLE_CATEGORIES
from jobs.ranking.model import TwoStageModel
from jobs.ranking.rank import Recommender
from jobs.ranking.snapshot import SNAPSHOT_TABLES, SnapshotLoader
from jobs.ranking.train import check_enough, evaluated_plan, fit_evaluated
from jobs.retrieval.purchases import Purchases, day_number, load_purchases
from jobs.tagging.examples import EXAMPLE_TABLES, Catalogue, load, why_no_pictures
from jobs.tagging.fit import fit
from jobs.tagging.labels import parts_of

READS, WRITES = tuple(dict.fromkeys((*SNAPSHOT_TABLES, *EXAMPLE_TABLES))), ()
SETTINGS = (
    *("data", "mapping", "encoder", "embedding_dim", "class_weighting", "seed", "mlflow_tracking_uri", "write_docs"),
    *("training_weeks", "max_epochs", "extra_sources", "system_epochs"),
)
#: The weekly run's tags are of earlier runs.
READS_EARLIER_RUNS = (ARTICLE_TAGS,)

PAGE, SECTION = "tagging.md", "filled in"
#: An article is cold for so many days after its first sale.
COLD_DAYS = 28
#: The first is compared with the others.
PREDICTED, BLANK, STATED = "predicted", "blank", "stated"
COLD, BLANK_ARTICLES = f"attributes taken away, on sale {COLD_DAYS} days or less", "attributes taken away"
_SLICES = (ALL_BUYERS, NEW_ARTICLES, BLANK_ARTICLES, COLD)
_METRICS = (("map", 12), ("recall", 10), ("recall", 100))


def predicted(catalogue: Catalogue, rows: npt.NDArray[np.int64], folder: Path, job: Job) -> dict[str, pa.Array]:
    """Tags of these rows by a tagger fitted on no product line of theirs, null where it is not sure, by label."""
    others = np.setdiff1d(np.arange(len(catalogue.examples)), rows)
    is_validation = parts_of([catalogue.lines[row] for row in others.tolist()], 7) == 0
    balances = job.settings.class_weighting
    fitted = fit(
        catalogue.examples, others[~is_validation], others[is_validation], catalogue.encoder, folder, job.settings.seed,
        balances=balances,
    )  # fmt: skip
    found = {}
    for name, (code, probability) in fitted.likeliest(fitted.inputs(catalogue.examples, rows)).items():
        values = np.array(fitted.classes[name], dtype=object)[code]
        found[name] = pa.array(values, pa.string(), mask=probability < fitted.thresholds[name])
    return found


def variants(
    stated: pa.Table, tagged: pa.StringArray, tags: Mapping[str, pa.Array]
) -> tuple[dict[str, pa.Table], npt.NDArray[np.bool_]]:
    """The articles' attributes as each model gets them, and which articles, [n], are blank in BLANK.

    Args:
        stated: columns of silver/articles, one row a code.
        tagged: ids of the articles whose attributes are taken away.
        tags: what is predicted of them, by label.
    """
    place = pc.index_in(stated["article_id"], value_set=tagged)
    is_blank = pc.is_valid(place)
    found = dict.fromkeys((PREDICTED, BLANK, STATED), stated)
    for name in (name for name in ARTICLE_CATEGORIES if name in stated.column_names):
        column = stated[name].cast(pa.string())
        without = pc.if_else(is_blank, pa.scalar(None, pa.string()), column)
        label = tags.get(name)
        given = {
            BLANK: without,
            PREDICTED: without if label is None else pc.coalesce(without, label.take(place)),
            STATED: without if label is None else column,
        }
        for variant, values in given.items():
            at = found[variant].column_names.index(name)
            found[variant] = found[variant].set_column(at, name, values)
    return found, is_blank.to_numpy(zero_copy_only=False).astype(bool)


def add_slices(week: LabelWeek, purchases: Purchases, is_blank: npt.NDArray[np.bool_]) -> None:
    """Purchases of articles whose attributes were taken away, and of those that are new besides."""
    first = np.full(len(purchases.article_ids), np.iinfo(np.int32).max)
    first[purchases.article[::-1]] = purchases.day[::-1]
    article = week.truth.article
    week.slices[BLANK_ARTICLES] = is_blank[article]
    is_cold = day_number(week.start) - first[article] <= COLD_DAYS
    week.slices[COLD] = is_blank[article] & is_cold & (first[article] < day_number(week.start))


def figures(weeks: Sequence[LabelWeek], seed: int) -> list[Figure]:
    """Figures of all weeks together, by slice."""
    found = []
    for name in _SLICES:
        parts = list[tuple[Codes, Columns]]()
        for week in (week for week in weeks if week.slices[name].any()):
            truth = week.truth.only(week.slices[name])
            parts.append((truth.customers, system_columns(week.listed(week.slices[name]), truth)))
        found += means(name, parts, seed) if parts else []
    return found


def report(found: Sequence[Figure], words: str) -> str:
    """The Markdown table."""
    value = {(f.slice, f.system, f.metric, f.k): f for f in found}
    heads = [f"{metric.upper() if metric == 'map' else metric}@{k}" for metric, k in _METRICS]
    lines = [words, "", f"| purchases | buyers | attributes | {' | '.join(heads)} | MAP@12 of predicted less this |"]
    lines.append("|---" * (len(heads) + 4) + "|")
    for name in dict.fromkeys(f.slice for f in found):
        for system in (BLANK, PREDICTED, STATED):
            cells = [f"{value[name, system, metric, k].value:.4f}" for metric, k in _METRICS]
            gap = value.get((name, PREDICTED, f"map_minus_{system}", 12))
            less = f"{gap.value:+.4f} ({gap.ci_low:+.4f} to {gap.ci_high:+.4f})" if gap else ""
            buyers = value[name, system, "buyers", 0].value
            lines.append(f"| {name.replace('_', ' ')} | {buyers:,.0f} | {system} | {' | '.join(cells)} | {less} |")
    return "\n".join(lines)


def judge(job: Job, loaders: Mapping[str, SnapshotLoader], purchases: Purchases, encoder: str,
          is_blank: npt.NDArray[np.bool_], folder: Path) -> list[Figure]:  # fmt: skip
    """Fit a model on each variant and judge them all on the same weeks."""
    settings = with_training_weeks(job, job.settings)
    plan = evaluated_plan(settings)
    weeks = label_weeks(purchases, settings.as_of_date)
    for week in weeks:
        add_slices(week, purchases, is_blank)

    for variant, loader in loaders.items():
        known = Weeks(loader, purchases, settings.seed)
        check_enough(known, plan)
        model, _, _ = fit_evaluated(plan, known, encoder, settings, folder / variant)

        def add(week: LabelWeek, _: TwoStageModel, recommender: Recommender, rows: slice, name: str = variant) -> None:
            candidates = recommender.candidates(week.truth.customers[rows])
            week.add(name, recommender.rank(candidates, WIDTH).articles, rows)

        for week in weeks:
            add_model(week, variant, model, loader.at(week.start), add)
    return figures(weeks, settings.seed)


def main(job: Job) -> str:
    if why := why_no_pictures(job):
        return why
    settings = job.settings
    with start_run(settings, job.name), tempfile.TemporaryDirectory() as scratch:
        catalogue = load(job)
        if not (names := [name for name in catalogue.examples.labels.classes if name in ARTICLE_CATEGORIES]):
            raise JobError(f"none of mapping {settings.mapping}'s labels is an attribute that the model looks at")
        rows = np.flatnonzero(parts_of([f"fill {line}" for line in catalogue.lines], 2) == 0)
        tags = predicted(catalogue, rows, Path(scratch, "tagger"), job)
        purchases = load_purchases(job, before=settings.as_of_date)
        loader = SnapshotLoader(job, purchases, catalogue.encoder)
        shops, is_blank = variants(loader.attributes, catalogue.article_ids.take(pa.array(rows)), tags)
        loaders = {variant: loader.with_attributes(shop) for variant, shop in shops.items()}
        found = judge(job, loaders, purchases, catalogue.encoder, is_blank, Path(scratch))
        mlflow.log_metrics({f"{f.slice}/{f.system}/{f.metric}_{f.k}".replace(",", ""): f.value for f in found})
    known = np.mean([1 - tags[name].null_count / max(len(rows), 1) for name in names])
    words = (
        f"{int(is_blank.sum()):,} of {len(is_blank):,} articles have no attributes but by tags; {known:.0%} of the tags"
        f" for {', '.join(names)} are sure enough to be filled in. {len(purchases.customers()):,} customers."
    )
    text = report(found, words)
    print(text)
    return f"{words}{f' Into {write_section(PAGE, SECTION, text)}' if settings.write_docs else ''}"


if __name__ == "__main__":
    run(main, reads=READS + READS_EARLIER_RUNS, writes=WRITES, settings=SETTINGS)
