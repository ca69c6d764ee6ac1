"""Training pairs of a label week, with everything known before the week.

Retrieval learns from `purchase_pairs`: what the week's buyers bought, and articles drawn uniformly from what they never
bought. The ranker learns from `candidate_pairs`: the candidates of all sources, bought or not, as in
scoring; their retrieval was fitted on earlier weeks, so nothing that scores a week was fitted on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from jobs.platform.codes import NO_ARTICLE, Ints
from jobs.ranking.candidate_retrieval import Retrieval, as_tensor, blocks
from jobs.ranking.fitted_inputs import Inputs
from jobs.ranking.pairs import Tastes
from jobs.ranking.rule import RULES
from jobs.ranking.snapshot import Floats, Snapshot
from jobs.retrieval.purchases import Purchases
from lightning_modules.pairs import PairTensors

UNIFORM_NEGATIVES_PER_POSITIVE = 4
CANDIDATE_NEGATIVES_PER_BUYER = 40
#: Buyers of a week that the ranker learns from at most, drawn at random: a large shop has more than it needs.
MAX_BUYERS = 30_000


@dataclass(frozen=True)
class WeekPairs:
    """Labelled pairs of one week, those of a buyer side by side.

    Attributes:
        snapshot: what was known before the week.
        buyers: customer codes, ascending, (b,).
        row: position in `buyers` of each pair, ascending, (n,).
        article: article code of each pair, (n,).
        label: bought within the week, (n,).
        log_sampling_rate: log of the rate at which pairs like it were kept, (n,).
        features: pair features as counted, (n,) each, NaN where unknown; none in pairs for retrieval.
        places: of each pair in its buyer's list by each rule, (n,) each, likewise.
    """

    snapshot: Snapshot
    buyers: Ints
    row: np.ndarray
    article: Ints
    label: np.ndarray
    log_sampling_rate: np.ndarray
    features: dict[str, Floats]
    places: dict[str, Floats]


def buyers_of(snapshot: Snapshot, labels: Purchases) -> tuple[Ints, np.ndarray]:
    """Who bought what could be picked (on sale before the week): customer codes, and the sorted keys of their pairs.

    The key of a pair is the buyer's position * articles + the article's code.
    """
    pickable = snapshot.on_sale[labels.article]
    buyers, row = np.unique(labels.customer[pickable], return_inverse=True)
    return buyers.astype(np.int32), np.unique(row.astype(np.int64) * len(snapshot.product) + labels.article[pickable])


def purchase_pairs(snapshot: Snapshot, labels: Purchases, rng: np.random.Generator) -> WeekPairs:
    """Purchases of the week that starts on the snapshot's date, and uniform negatives, four for each.

    Args:
        labels: the week's purchases. Articles not on sale before the week are left out: they could not be picked.
    """
    size = len(snapshot.product)
    buyers, positive = buyers_of(snapshot, labels)
    row = np.repeat(positive // size, UNIFORM_NEGATIVES_PER_POSITIVE)
    article = rng.choice(np.flatnonzero(snapshot.on_sale), size=len(row)).astype(np.int32)
    never = snapshot.bought.units_of(buyers[row], article) == 0
    negative = np.setdiff1d(row[never] * size + article[never], positive)
    key = np.concatenate([positive, negative])
    order = np.argsort(key)
    bought = np.bincount(positive // size, minlength=len(buyers))
    rate = np.bincount(negative // size, minlength=len(buyers)) / np.maximum(int(snapshot.on_sale.sum()) - bought, 1)
    key, label = key[order], (order < len(positive)).astype(np.float32)
    log_rate = np.log(np.clip(rate, 1e-9, 1)[key // size]).astype(np.float32)
    snapshot.release()
    return WeekPairs(snapshot, buyers, key // size, (key % size).astype(np.int32), label, log_rate, {}, {})


def candidate_pairs(retrieval: Retrieval, labels: Purchases, rng: np.random.Generator) -> WeekPairs:
    """Candidates of the buyers of the week that starts on the retrieval's date: all bought ones, and some others.

    A buyer none of whose purchases is among the candidates adds nothing to learn about their order, and is left out.
    """
    snapshot = retrieval.snapshot
    size = len(snapshot.product)
    buyers, positive = buyers_of(snapshot, labels)
    if len(buyers) > MAX_BUYERS:
        some = rng.choice(buyers, MAX_BUYERS, replace=False)
        buyers, positive = buyers_of(snapshot, labels.where(np.isin(labels.customer, some)))
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, Floats], dict[str, Floats]]] = []
    first_row = 0
    for block in blocks(buyers) or [buyers]:
        candidates = retrieval.of(block)
        articles = candidates.merged.articles
        row = np.arange(first_row, first_row + len(block))[:, None]
        own = slice(*np.searchsorted(positive, [first_row * size, (first_row + len(block)) * size]))
        first_row += len(block)
        is_article = articles != NO_ARTICLE
        is_bought = np.isin(row * size + articles, positive[own]) & is_article
        others = is_article & ~is_bought & is_bought.any(axis=1, keepdims=True)
        rate = np.minimum(1, CANDIDATE_NEGATIVES_PER_BUYER / np.maximum(others.sum(axis=1, keepdims=True), 1))
        place = np.nonzero(is_bought | (others & (rng.random(articles.shape) < rate)))
        key = (row * size + articles)[place]
        rates = np.broadcast_to(rate, articles.shape)[place]
        by_rule = {name: rule(candidates.merged)[place] for name, rule in RULES.items()}
        parts.append((key, is_bought[place], rates, retrieval.columns(candidates, *place), by_rule))
    snapshot.release()
    key = np.concatenate([part[0] for part in parts])
    label, rate = (np.concatenate([part[i] for part in parts]).astype(np.float32) for i in (1, 2))
    features, places = ({name: np.concatenate([p[i][name] for p in parts]) for name in parts[0][i]} for i in (3, 4))
    article = (key % size).astype(np.int32)
    return WeekPairs(snapshot, buyers, key // size, article, label, np.log(rate), features, places)


def pair_tensors(weeks: Sequence[WeekPairs], inputs: Inputs) -> PairTensors:
    """The pairs of several weeks, the newest first, as tensors; each week has its own rows in the tables.

    Pairs without features (for retrieval) have none here.
    """
    size = len(weeks[0].snapshot.product)
    customers, categories, articles, article_categories, pairs = [], [], [], [], []
    rows, first_row = [], 0
    for week in weeks:
        article_inputs = inputs.article_inputs(week.snapshot)
        numeric, codes = inputs.customer_inputs(week.snapshot, Tastes.of(week.snapshot, week.buyers))
        known = inputs.pairs.standardised(week.features) if week.features else np.empty((len(week.row), 0), np.float32)
        pairs.append(known)
        customers.append(numeric)
        categories.append(codes)
        articles.append(article_inputs.numeric)
        article_categories.append(article_inputs.categories)
        rows.append(week.row + first_row)
        first_row += len(week.buyers)
    article = np.concatenate([week.article for week in weeks]).astype(np.int64)
    number = np.repeat(np.arange(len(weeks)), [len(week.row) for week in weeks])
    occurrences = np.bincount(article, minlength=size)
    return PairTensors(
        customer_row=as_tensor(np.concatenate(rows)),
        article_row=as_tensor(number * size + article),
        article=as_tensor(article),
        label=as_tensor(np.concatenate([week.label for week in weeks])),
        log_sampling_rate=as_tensor(np.concatenate([week.log_sampling_rate for week in weeks])),
        log_frequency=as_tensor(np.log(occurrences[article] / max(len(article), 1)).astype(np.float32)),
        pair=as_tensor(np.concatenate(pairs)),
        customer_numeric=as_tensor(np.concatenate(customers)),
        customer_categories=as_tensor(np.concatenate(categories)),
        article_numeric=as_tensor(np.concatenate(articles)),
        article_categories=as_tensor(np.concatenate(article_categories)),
        image_row=torch.arange(size).repeat(len(weeks)),
        images=as_tensor(weeks[0].snapshot.images / np.float32(inputs.image_scale)),
    )
