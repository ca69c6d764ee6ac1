"""By how much the shop's log makes personal picks better: each system with events and with purchases alone.

    python -m jobs.evaluation.events_ablation --as-of-date 2020-09-23 --write-docs true

Under the weekly protocol: lists as of each label week's start, all its buyers, differences paired by customer.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from expectations.embeddings import ARTICLE_TEXT_EMBEDDINGS
from expectations.events import EVENTS
from jobs.evaluation.docs_section import write_section
from jobs.evaluation.figures import Columns, difference, figures_of, map_difference
from jobs.evaluation.filled_lists import Picks
from jobs.evaluation.protocol import ALL_BUYERS, BUYER_SLICES, HEADLINE_K, Figure, LabelWeek, RankedHits, label_weeks
from jobs.metrics.ranking_metrics import Truth, average_precision, recall
from jobs.platform.codes import Ints
from jobs.platform.errors import JobError
from jobs.platform.job import Job, run
from jobs.ranking import two_stage
from jobs.ranking.candidate_retrieval import Retrieval
from jobs.ranking.snapshot import SNAPSHOT_TABLES
from jobs.recommenders.article_vectors import SPACES, article_vectors
from jobs.recommenders.embedding_filtering import EmbeddingFiltering
from jobs.recommenders.interactions import events_before
from jobs.recommenders.recommender import Model, TrainingContext
from jobs.recommenders.side_features import no_features
from jobs.recommenders.user_based import UserBased
from jobs.retrieval.purchases import PURCHASE_TABLES, Purchases, load_purchases
from jobs.retrieval.source import TopK

READS, WRITES = (*PURCHASE_TABLES, EVENTS), ()
READS_EARLIER_RUNS = (
    *(table for table in SNAPSHOT_TABLES if table not in PURCHASE_TABLES),
    ARTICLE_TEXT_EMBEDDINGS,
)
SETTINGS = (
    "data",
    "mapping",
    "encoder",
    "embedding_dim",
    "text_encoder",
    "training_weeks",
    "max_epochs",
    "extra_sources",
    "system_epochs",
    "seed",
    "write_docs",
    "mlflow_tracking_uri",
)

PAGE, SECTION = "events.md", "events ablation"
#: Of a system without events.
ALONE = " on purchases alone"
#: Places that are judged.
WIDTH = 100


@dataclass(frozen=True)
class Nearest:
    """What the towers of a two-stage model find by themselves, `count` of a customer."""

    retrieval: Retrieval
    count: int

    def of(self, customers: Ints) -> TopK:
        return self.retrieval.nearest(customers, self.count)


@dataclass(frozen=True)
class TwoTower:
    """The first stage of a fitted two-stage model as a system of its own."""

    fitted: two_stage.TwoStage

    def at(self, history: Purchases, as_of_date: date, count: int) -> Nearest:
        model = self.fitted.model
        return Nearest(Retrieval(model.inputs, model.towers, {}, self.fitted.snapshot(history, as_of_date)), count)


def two_stage_systems(job: Job, history: Purchases, as_of_date: date) -> dict[str, Model]:
    """The two-stage model and its towers alone, fitted as of a date with events and without.

    Raises JobError where features of a date are missing, or where there is too little to learn from.
    """
    settings, features, found = job.settings, no_features(history).values, dict[str, Model]()
    for suffix, with_events in (("", True), (ALONE, False)):
        with tempfile.TemporaryDirectory() as folder:
            known = TrainingContext(history, as_of_date, features, settings.system_epochs, settings.seed, Path(folder))
            model = two_stage.fit(known, job, with_events)
        found |= {f"two_tower{suffix}": TwoTower(model), f"two_stage{suffix}": model}
    return found


def systems(job: Job, purchases: Purchases) -> dict[str, Model]:
    """The systems without a fit that can be had, each with events and without."""
    with_events: dict[str, UserBased | EmbeddingFiltering] = {"user_based": UserBased(job)}
    for space in SPACES:
        try:
            vectors = article_vectors(job, purchases.article_ids, space).values
        except JobError as error:
            print(f"embedding_{space} left out: {error}")
        else:
            with_events[f"embedding_{space}"] = EmbeddingFiltering(job, purchases.article_ids, vectors)
    found: dict[str, Model] = {}
    for name, model in with_events.items():
        found |= {name: model, name + ALONE: replace(model, job=None)}
    return found


def measure(lists: Mapping[str, RankedHits], truth: Truth) -> Columns:
    """MAP@12 and recall of every system, and what the events add to the MAP@12 of each."""
    columns: Columns = {}
    for system, (found, width) in lists.items():
        columns[system, "map", HEADLINE_K] = average_precision(found, truth, HEADLINE_K)
        columns[system, "recall", WIDTH] = recall(found, truth, min(WIDTH, width))
    for system in (system for system in lists if system + ALONE in lists):
        columns[difference(system, system + ALONE)] = map_difference(columns, system, system + ALONE)
    return columns


def table(figures: Sequence[Figure], weeks: Sequence[LabelWeek], events: Sequence[int]) -> str:
    """The figures of all weeks together, as Markdown."""
    value = {(f.system, f.slice, f.metric, f.k): f for f in figures}

    def cell(system: str, part: str, metric: str, k: int, sign: str = "") -> str:
        figure = value.get((system, part, metric, k))
        if figure is None:
            return ""
        interval = "" if figure.ci_low is None else f" ({figure.ci_low:{sign}.4f} to {figure.ci_high:{sign}.4f})"
        return f"{figure.value:{sign}.4f}{interval}"

    names = [name for name in dict.fromkeys(f.system for f in figures) if name + ALONE in {f.system for f in figures}]
    lines = [
        f"{len(weeks)} label weeks from {weeks[0].start}, {sum(len(week.truth.customers) for week in weeks):,} "
        f"buyer-weeks; events that count at the start of each: {', '.join(f'{count:,}' for count in events)}.",
        "",
        "| system | MAP@12 with events | on purchases alone | difference | without any purchase before | recall@100 |",
        "|---|---|---|---|---|---|",
    ]
    for name in names:
        new = [cell(system, BUYER_SLICES[-1], "map", HEADLINE_K).split(" ")[0] for system in (name, name + ALONE)]
        recalls = [cell(system, ALL_BUYERS, "recall", WIDTH).split(" ")[0] for system in (name, name + ALONE)]
        cells = [
            cell(name, ALL_BUYERS, "map", HEADLINE_K),
            cell(name + ALONE, ALL_BUYERS, "map", HEADLINE_K),
            cell(name, ALL_BUYERS, difference(name, name + ALONE)[1], HEADLINE_K, sign="+"),
            " / ".join(new),
            " / ".join(recalls),
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(job: Job) -> str:
    settings = job.settings
    purchases = load_purchases(job, before=settings.as_of_date)
    weeks = label_weeks(purchases, settings.as_of_date)
    events = [events_before(job, week.start).num_rows for week in weeks]
    models, start = systems(job, purchases), weeks[0].start
    try:
        models |= two_stage_systems(job, purchases.before(start), start)
    except JobError as error:
        print(f"two_tower and two_stage left out: {error}")
    for name, model in models.items():
        for week in weeks:
            picks = Picks(model, week.history, week.start, WIDTH)
            week.add(name, picks.of(week.truth.customers)[1].articles)
    text = table(figures_of(weeks, settings.seed, measure)[None], weeks, events)
    print(text)
    return f"written to {write_section(PAGE, SECTION, text)}" if settings.write_docs else "not written: --write-docs"


if __name__ == "__main__":
    run(main, reads=READS + READS_EARLIER_RUNS, writes=WRITES, settings=SETTINGS)
