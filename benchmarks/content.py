"""What the two-stage model makes of pictures, texts and the joint space, one at a time, on the weekly protocol.

Each kind of vectors takes the place of the pictures everywhere: in the candidate source similar_images, among the pair
features and in both networks. Pictures are tried of a part of the articles, too. Times nothing; writes a section of
docs/results/similarity.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.contest import RESULTS, ROOT, machine
from benchmarks.fashion_mnist import write_section
from jobs.evaluation.figures import Columns, figures_of
from jobs.evaluation.incremental_recall import take_turns
from jobs.evaluation.protocol import (
    ALL_BUYERS,
    HEADLINE_K,
    NEW_ARTICLES,
    WIDTH,
    Figure,
    LabelWeek,
    RankedHits,
    label_weeks,
)
from jobs.evaluation.weekly_protocol import add_lists
from jobs.metrics.ranking_metrics import Truth, average_precision, recall
from jobs.platform.job import Job
from jobs.platform.settings import EVALUATION_FOLDS, WEEK, Settings
from jobs.ranking import snapshot
from jobs.ranking.snapshot import SNAPSHOT_TABLES, SnapshotLoader
from jobs.recommenders.timed_fit import fitted
from jobs.retrieval import similar_images
from jobs.retrieval.candidates import HeuristicSources
from jobs.retrieval.purchases import Purchases, load_purchases
from jobs.retrieval.source import Floats
from jobs.similarity.methods import METHODS, method_of
from jobs.similarity.vectors import VECTOR_TABLES, load_vectors

PAGE, SECTION, RESULT = ROOT / "docs" / "results" / "similarity.md", "content", RESULTS / "content.json"
#: Dimensions that are kept, as of the pictures; candidates that are compared; and the part that has pictures.
DIMENSIONS, CANDIDATES = 256, 100
PART = 0.19


def newest(count: int, seed: int) -> npt.NDArray[np.bool_]:
    """Which of so many articles, in the order of their numbers, are a part by the highest numbers."""
    return np.arange(count) >= count - round(PART * count)


def chance(count: int, seed: int) -> npt.NDArray[np.bool_]:
    """Likewise a part by chance."""
    return np.random.default_rng(seed).permutation(count) < round(PART * count)


class Known(NamedTuple):
    """What is known of articles: by the vectors of a method of similar articles, of which of them; None: of all."""

    method: str | None
    of: Callable[[int, int], npt.NDArray[np.bool_]] | None = None


BASE = "nothing"
PICTURES = "cosine_efficientnet_lite0"
VARIANTS = {
    BASE: Known(None),
    "pictures": Known(PICTURES),
    "pictures of the newest fifth": Known(PICTURES, newest),
    "pictures of a fifth by chance": Known(PICTURES, chance),
    "pictures with colours": Known("cosine_efficientnet_lite0_colour"),
    "texts": Known("minilm"),
    "joint space": Known("joint"),
}


@dataclass(frozen=True)
class Content:
    """Vectors of articles, (n, d), in order of their principal components; in place of `image_embeddings`."""

    article_ids: pa.StringArray
    values: Floats

    def __call__(self, job: Job, article_ids: pa.StringArray, encoder: str | None) -> Floats:
        found = pc.index_in(article_ids, value_set=self.article_ids)
        rows = np.flatnonzero(found.is_valid().to_numpy(zero_copy_only=False))
        aligned = np.zeros((len(article_ids), self.values.shape[1]), dtype=np.float32)
        aligned[rows] = self.values[found.drop_null().to_numpy()]
        return aligned


def content(job: Job, known: Known) -> Content:
    """The vectors that are known, or none."""
    if known.method is None:
        return Content(pa.array([], pa.string()), np.zeros((0, 0), dtype=np.float32))
    settings = job.settings.model_copy(update={"method": known.method})
    vectors = load_vectors(job.read_arrow, METHODS[known.method], method_of(settings)[1])
    order = pc.sort_indices(vectors.article_ids).to_numpy()
    if known.of:
        order = order[known.of(len(order), settings.seed)]
    values = vectors.values[order]
    centred = values - values.mean(axis=0)
    _, axes = np.linalg.eigh(np.cov(centred.T))
    rotated = (centred @ axes[:, ::-1][:, :DIMENSIONS]).astype(np.float32)
    return Content(vectors.article_ids.take(pa.array(order)), rotated)


def judge(job: Job, purchases: Purchases, weeks: Sequence[LabelWeek], variant: str, vectors: Content) -> None:
    """Hand the weeks the variant's lists: the model's, its source's own, and the candidates in turn."""
    oldest = job.settings.as_of_date - EVALUATION_FOLDS * WEEK
    with patch.object(snapshot, "image_embeddings", vectors):
        fit = fitted(job, purchases.before(oldest), oldest)
        snapshots = SnapshotLoader(job, purchases, variant)
        for week in weeks:
            add_lists(week, variant, fit.model)
            found = HeuristicSources(snapshots.source_context(week.start)).of(week.truth.customers)
            week.add(f"{variant}/source", found[similar_images.SOURCE].articles)
            week.add(f"{variant}/candidates", take_turns([some.articles for some in found.values()])[:, :WIDTH])
    fit.forget()


def measure(lists: Mapping[str, RankedHits], truth: Truth) -> Columns:
    """MAP@12 and its difference to BASE, recall of the candidates, and of the source alone."""
    columns: Columns = {}
    judged = [variant for variant in VARIANTS if variant in lists]
    for variant in judged:
        columns[variant, "map", HEADLINE_K] = average_precision(lists[variant].ranks, truth, HEADLINE_K)
        columns[variant, "candidates", CANDIDATES] = recall(lists[f"{variant}/candidates"].ranks, truth, CANDIDATES)
        columns[variant, "source", 0] = recall(lists[f"{variant}/source"].ranks, truth, similar_images.COUNT)
    for variant in judged:
        for metric, k in (("map", HEADLINE_K), ("candidates", CANDIDATES)):
            columns[variant, f"{metric}_gain", k] = columns[variant, metric, k] - columns[BASE, metric, k]
    return columns


def page(figures: Sequence[Figure], facts: str) -> str:
    """The section: a table for all purchases, and one for those of new articles."""
    found = {(f.slice, f.system, f.metric): f for f in figures}
    lines = [facts]
    for slice_, what in ((ALL_BUYERS, "all purchases"), (NEW_ARTICLES, "articles first sold in the last 7 days")):
        if (slice_, BASE, "map") not in found:
            continue
        buyers = found[slice_, BASE, "buyers"].value
        lines += [
            "",
            f"| {what}, {buyers:,.0f} buyer-weeks | MAP@{HEADLINE_K} | difference to nothing | recall@{CANDIDATES} of"
            " the candidates | difference to nothing | recall of the source |",
            "|---|---|---|---|---|---|",
        ]
        for variant in (variant for variant in VARIANTS if (slice_, variant, "map") in found):
            cells = []
            for metric, gain in (("map", "map_gain"), ("candidates", "candidates_gain")):
                of = found[slice_, variant, gain]
                cells.append(f"{found[slice_, variant, metric].value:.4f}")
                cells.append("" if variant == BASE else f"{of.value:+.4f} ({of.ci_low:+.4f} to {of.ci_high:+.4f})")
            lines.append(f"| {variant} | {' | '.join(cells)} | {found[slice_, variant, 'source'].value:.4f} |")
    return "\n".join(lines)


def run(data: Path, warehouse: Path, as_of: date, weeks: int) -> None:
    """Fit and judge every variant, and write the tables.

    Args:
        data: folder with the retailer's images.
        warehouse: of a weekly run as of that date, with the vectors of the catalogue DAG.
        weeks: training weeks of that run.
    """
    settings = Settings(as_of_date=as_of, data=data, warehouse=str(warehouse), training_weeks=weeks, system="two_stage")
    job = Job("benchmarks.content", settings, tuple(dict.fromkeys((*SNAPSHOT_TABLES, *VECTOR_TABLES))), ())
    purchases = load_purchases(job, before=as_of)
    judged = label_weeks(purchases, as_of)
    facts = (
        f"As of {as_of}, {EVALUATION_FOLDS} label weeks, {len(purchases.customer_ids):,} customers,"
        f" {len(purchases.article_ids):,} articles, {weeks} training weeks. Machine: {machine()}. Command:"
        " `make bench-content WAREHOUSE=...`."
    )
    for variant, known in VARIANTS.items():  # each takes a minute: what is there is written at once
        judge(job, purchases, judged, variant, content(job, known))
        figures = figures_of(judged, settings.seed, measure)[None]
        rows = [vars(figure) for figure in figures if figure.slice in (ALL_BUYERS, NEW_ARTICLES)]
        RESULT.write_text(json.dumps({"figures": rows, "note": facts}, indent=1) + "\n")
        write_section(PAGE, SECTION, page(figures, facts))
        print(f"{variant}: judged", flush=True)
    print(page(figures, facts))
