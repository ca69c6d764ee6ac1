"""What each choice in the training of the two towers does to retrieval: one change at a time, on a held-out week.

Times little: like fashion_mnist.py it writes the quality of systems to docs/results/two_stage_choices.md.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from rich.progress import track

from benchmarks.contest import RESULTS, ROOT, machine
from benchmarks.fashion_mnist import write_section
from jobs.embeddings.versions import current_encoder
from jobs.evaluation.protocol import ALL_BUYERS, NEW_ARTICLES, slices
from jobs.metrics.bootstrap import bootstrap_means, interval
from jobs.metrics.ranking_metrics import Floats, Truth, hit_ranks, recall
from jobs.platform.codes import NO_ARTICLE, Ints
from jobs.platform.job import Job
from jobs.platform.lightning import batch_size_for, fit
from jobs.platform.settings import WEEK, Settings
from jobs.ranking.fit import fit_entities
from jobs.ranking.pairs import Tastes
from jobs.ranking.snapshot import SNAPSHOT_TABLES, Snapshot, SnapshotLoader
from jobs.ranking.training_set import (
    CANDIDATE_NEGATIVES_PER_BUYER,
    WeekPairs,
    buyers_of,
    pair_tensors,
    purchase_pairs,
)
from jobs.retrieval.candidates import HeuristicSources, merge
from jobs.retrieval.popularity import popular_articles
from jobs.retrieval.purchases import Purchases, load_purchases
from lightning_modules.pairs import PairDataModule
from lightning_modules.two_tower import TwoTower

PAGE, SECTION, RESULT = ROOT / "docs" / "results" / "two_stage_choices.md", "two-tower", RESULTS / "two_tower.json"
#: Articles retrieved per buyer.
PLACES = 100
#: With recency weighting a purchase weighs half as much after so many weeks.
HALF_LIFE_WEEKS = 2
#: Slices of the protocol that are reported, in words.
SLICES = {ALL_BUYERS: "all", NEW_ARTICLES: "articles first sold in the last 7 days"}
POPULAR = "best sellers of the last 7 days"
#: Where a pair comes from.
BOUGHT, CANDIDATE, UNIFORM = 0, 1, 2


@dataclass(frozen=True)
class Variant:
    """One way to train the towers: what differs from the default.

    Attributes:
        kinds: of the pairs that are in the batches.
        is_recent: purchases are weighted by recency.
        has_ids: the item tower learns articles by id too.
        options: of TwoTower.
    """

    name: str
    kinds: tuple[int, ...] = (BOUGHT, UNIFORM)
    is_recent: bool = False
    has_ids: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


DEFAULT = Variant("default: softmax, logQ, uniform negatives beside the batch's, features only")
VARIANTS = (
    DEFAULT,
    Variant("logQ off", options={"log_q": 0.0}),
    Variant("logQ with the wrong sign", options={"log_q": -1.0}),
    Variant("contrastive loss", options={"loss": "contrastive"}),
    Variant("article ids beside features", has_ids=True),
    Variant("no negatives beside the batch's purchases", kinds=(BOUGHT,)),
    Variant("hard negatives too (candidates not bought)", kinds=(BOUGHT, UNIFORM, CANDIDATE)),
    Variant("hard negatives instead of uniform ones", kinds=(BOUGHT, CANDIDATE)),
    Variant(f"purchases weighted by recency (half after {HALF_LIFE_WEEKS} weeks)", is_recent=True),
    Variant("temperature 0.1", options={"temperature": 0.1}),
    Variant("temperature 0.2", options={"temperature": 0.2}),
)


class Week(NamedTuple):
    """A label week's pairs, and where each comes from, (n,)."""

    pairs: WeekPairs
    kind: np.ndarray


class Quality(NamedTuple):
    """Recall of one system in one slice, its difference to the default, and seconds of one fit."""

    name: str
    slice: str
    recall: float
    low: float
    high: float
    difference: float
    difference_low: float
    difference_high: float
    seconds: float


def label_week(snapshot: Snapshot, labels: Purchases, seed: int) -> Week:
    """The week that starts on the snapshot's date: purchases, and what their customers did not buy in it.

    Those are articles drawn uniformly from what the customer never bought, and about CANDIDATE_NEGATIVES_PER_BUYER of
    the candidates of the sources that need no model.
    """
    random = np.random.default_rng([seed, snapshot.as_of_date.toordinal()])
    pairs, size = purchase_pairs(snapshot, labels, random), len(snapshot.product)
    buyers, bought = buyers_of(snapshot, labels)
    shown = merge(HeuristicSources(snapshot).of(buyers)).articles
    found = (np.arange(len(buyers), dtype=np.int64)[:, None] * size + shown)[shown != NO_ARTICLE]
    candidate = np.setdiff1d(found, bought)
    chances = np.bincount(candidate // size, minlength=len(buyers))[candidate // size]
    candidate = candidate[random.random(len(candidate)) * chances < CANDIDATE_NEGATIVES_PER_BUYER]
    together = replace(
        pairs,
        row=np.concatenate([pairs.row, candidate // size]),
        article=np.concatenate([pairs.article, (candidate % size).astype(np.int32)]),
        label=np.concatenate([pairs.label, np.zeros(len(candidate), np.float32)]),
        log_sampling_rate=np.zeros(len(pairs.row) + len(candidate), np.float32),
    )
    kind = np.where(pairs.label > 0, BOUGHT, UNIFORM)
    return Week(together, np.concatenate([kind, np.full(len(candidate), CANDIDATE)]))


class Study:
    """All variants fitted on the same weeks and judged on the same one.

    Args:
        weeks: to learn from, the newest first; the first of them says when a fit has learned enough.
        snapshot: what was known before the held-out week.
        labels: purchases of the held-out week.
    """

    def __init__(self, weeks: list[Week], snapshot: Snapshot, labels: Purchases, encoder: str | None) -> None:
        older = [week.pairs for week in weeks[1:]]
        self._inputs = fit_entities(older, encoder)
        self._training, self._kind = pair_tensors(older, self._inputs), np.concatenate([w.kind for w in weeks[1:]])
        self._age = torch.from_numpy(np.repeat(np.arange(len(older)), [len(week.row) for week in older]))
        self._validation, self._validation_kind = pair_tensors([weeks[0].pairs], self._inputs), weeks[0].kind
        self._snapshot, self.truth = snapshot, Truth.of(labels)
        found = slices(self.truth, snapshot.history, snapshot.as_of_date)
        self.slices = {name: found[name] for name in SLICES if found[name].any()}
        self._on_sale = torch.from_numpy(snapshot.on_sale)
        tastes = Tastes.of(snapshot, self.truth.customers)
        self._queries = tuple(map(torch.from_numpy, self._inputs.customer_inputs(snapshot, tastes)))
        articles = self._inputs.article_inputs(snapshot)
        numeric, categories = articles.tensors(torch.device("cpu"))
        self._items = numeric, categories, torch.arange(len(numeric))

    def fitted(self, variant: Variant, epochs: int, seed: int) -> TwoTower:
        """Towers trained as the variant says, to the epoch of the lowest loss on the validation week."""
        training = self._training.select(torch.from_numpy(np.flatnonzero(np.isin(self._kind, variant.kinds))))
        rows = np.flatnonzero(np.isin(self._validation_kind, variant.kinds))
        validation = self._validation.select(torch.from_numpy(rows))
        if variant.is_recent:
            age = self._age[torch.from_numpy(np.isin(self._kind, variant.kinds))]
            training = replace(training, weight=torch.exp2(-age / HALF_LIFE_WEEKS))
        pl.seed_everything(seed, verbose=False)
        sizes = self._inputs.sizes(self._snapshot.images.shape[1])
        ids = {"article_ids": len(self._items[2])} if variant.has_ids else {}
        network = TwoTower(**sizes, **ids, **variant.options)
        data = PairDataModule(training, validation, batch_size_for(len(training)), seed)
        with tempfile.TemporaryDirectory() as folder:
            return fit(network, data, epochs, Path(folder), "val/retrieval_loss")[0]

    def retrieved(self, towers: TwoTower) -> Ints:
        """The PLACES best articles on sale of each buyer of the held-out week."""
        with torch.inference_mode():
            queries, items = towers.query_tower(*self._queries), towers.item_tower(*self._items)
            scores = (queries @ items.T).masked_fill(~self._on_sale, -torch.inf)
            best, articles = scores.topk(min(PLACES, scores.shape[1]), dim=1)
            return articles.masked_fill(best.isinf(), NO_ARTICLE).numpy().astype(np.int32)

    def popular(self) -> Ints:
        """Last week's best sellers, for every buyer."""
        popular = popular_articles(self._snapshot.history, self._snapshot.as_of_date, PLACES)
        return np.broadcast_to(popular, (len(self.truth.customers), len(popular)))

    def recalls(self, ranked: Ints) -> dict[str, Floats]:
        """Recall of the lists in each slice, of the buyers with purchases in it."""
        found = hit_ranks(ranked, self.truth)
        return {name: recall(found[p], self.truth.only(p), PLACES) for name, p in self.slices.items()}


def compare(study: Study, epochs: int, seeds: int, seed: int) -> list[Quality]:
    """Every variant, and the best sellers; recalls are means over fits with different seeds."""
    recalls, seconds = {POPULAR: study.recalls(study.popular())}, {POPULAR: 0.0}
    for variant in track(VARIANTS, "variants"):
        started = time.process_time()
        fits = [study.recalls(study.retrieved(study.fitted(variant, epochs, seed + n))) for n in range(seeds)]
        seconds[variant.name] = (time.process_time() - started) / seeds
        recalls[variant.name] = {name: np.mean([of[name] for of in fits], axis=0) for name in study.slices}
    return [quality for name in study.slices for quality in _qualities(name, recalls, seconds, seed)]


def _qualities(
    slice_: str, recalls: Mapping[str, Mapping[str, Floats]], seconds: Mapping[str, float], seed: int
) -> list[Quality]:
    """The figures of one slice, with intervals from the same draws of customers for all."""
    columns = np.column_stack([of[slice_] for of in recalls.values()])
    both = np.hstack([columns, columns - recalls[DEFAULT.name][slice_][:, None]])
    means, (low, high) = both.mean(axis=0), interval(bootstrap_means(np.arange(len(both)), both, seed))
    n = len(recalls)
    return [
        Quality(name, slice_, *(float(of[i]) for of in (means, low, high)),
                *(float(of[i + n]) for of in (means, low, high)), seconds[name])
        for i, name in enumerate(recalls)
    ]  # fmt: skip


def section(found: list[Quality], study: Study, facts: str, command: str) -> str:
    """The generated part of the page."""
    by_slice = {name: [q for q in found if q.slice == name] for name in study.slices}
    buyers = {n: len(np.unique(study.truth.buyer[pairs])) for n, pairs in study.slices.items()}
    rows = []
    for qualities in zip(*by_slice.values(), strict=True):
        cells = [f"{q.recall:.4f} ({q.low:.4f}-{q.high:.4f}) | {_difference(q)}" for q in qualities]
        rows.append(f"| {qualities[0].name} | {' | '.join(cells)} | {qualities[0].seconds:.0f} |")
    heads = [f"recall@{PLACES}, {SLICES[name]} | difference" for name in study.slices]
    return "\n".join(
        [
            f"{facts} Recall is over {', '.join(f'{n:,} buyers ({SLICES[name]})' for name, n in buyers.items())}; 95 %"
            " customer bootstrap intervals, differences to the default paired by customer. Seconds are a processor's,"
            f" of one fit. Machine: {machine()}. Command: `{command}`.",
            "",
            f"| variant | {' | '.join(heads)} | seconds |",
            f"|---|{'---|---|' * len(heads)}---|",
            *rows,
        ]
    )


def _difference(quality: Quality) -> str:
    if quality.name == DEFAULT.name:
        return ""
    return f"{quality.difference:+.4f} ({quality.difference_low:+.4f} to {quality.difference_high:+.4f})"


def study_of(job: Job, encoder: str | None) -> Study:
    """The last whole week before the as-of date held out, the one before for validation, `training_weeks` to learn."""
    settings = job.settings
    purchases = load_purchases(job, before=settings.as_of_date)
    loader = SnapshotLoader(job, purchases, encoder)
    held_out, *starts = settings.snapshot_dates[1 : settings.training_weeks + 2]
    weeks = [label_week(loader.at(s), purchases.between(s, s + WEEK), settings.seed) for s in starts]
    return Study(weeks, loader.at(held_out), purchases.between(held_out, held_out + WEEK), encoder)


def run(data: Path, warehouse: Path, as_of: date, weeks: int, epochs: int, seeds: int) -> None:
    """Compare the variants and write their table.

    Args:
        data: folder with the retailer's images, if any.
        warehouse: with silver tables, and features of the as-of date and the weeks before it.
        weeks: label weeks, one of which is for validation.
        epochs: at most.
        seeds: fits of each variant.
    """
    settings = Settings(as_of_date=as_of, data=data, warehouse=str(warehouse), training_weeks=weeks)
    encoder = current_encoder(settings)
    study = study_of(Job("benchmarks.two_tower", settings, SNAPSHOT_TABLES, ()), encoder)
    found = compare(study, epochs, seeds, settings.seed)
    facts = (
        f"Held-out label week from {as_of - WEEK}; fitted on the {weeks - 1} weeks two weeks before it and earlier, the"
        f" week between says when to stop ({epochs} epochs at most); means of {seeds} fits; images"
        f" {'by ' + encoder if encoder else 'none'}."
    )
    command = f"make bench-two-tower WAREHOUSE=... AS_OF={as_of} SEEDS={seeds}"
    text = section(found, study, facts, command)
    RESULT.write_text(json.dumps({"variants": [q._asdict() for q in found], "note": facts}, indent=1) + "\n")
    write_section(PAGE, SECTION, text)
    print(text)
