"""Training pairs of a label week: what its buyers bought, and negatives, with everything known before the week.

Negatives come from two strata of a buyer's articles: the candidates that the counting sources (repurchase,
popularity) would show, and the rest of the catalogue, from which four are drawn uniformly per purchase among
articles the customer never bought. Each pair carries the log of its stratum's sampling rate, with which the loss is
corrected. No fitted model chooses the pairs, so nothing that scores a week was fitted on it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from jobs.ranking.model import Inputs, as_tensor
from jobs.ranking.pairs import Tastes, week_columns
from jobs.ranking.snapshot import Floats, Snapshot
from jobs.retrieval.candidates import CountingSources, merge
from jobs.retrieval.purchases import NO_ARTICLE, Ints, Purchases
from lightning_modules.pairs import PairTensors

UNIFORM_NEGATIVES_PER_POSITIVE = 4
CANDIDATE_NEGATIVES_PER_BUYER = 40


@dataclass(frozen=True)
class WeekPairs:
    """Labelled pairs of one week.

    Attributes:
        snapshot: what was known before the week.
        buyers: customer codes, (b,).
        row: position in `buyers` of each pair, (n,).
        article: article code of each pair, (n,).
        label: bought within the week, (n,).
        log_sampling_rate: of the pair's stratum, (n,).
        features: pair features, (n,) each; NaN where unknown.
    """

    snapshot: Snapshot
    buyers: Ints
    row: np.ndarray
    article: Ints
    label: np.ndarray
    log_sampling_rate: np.ndarray
    features: dict[str, Floats]


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
    return WeekPairs(snapshot, buyers, key // size, (key % size).astype(np.int32), label, log_rate, {})


def week_pairs(snapshot: Snapshot, labels: Purchases, rng: np.random.Generator) -> WeekPairs:
    """Pairs of the week that starts on the snapshot's date.

    Args:
        labels: the week's purchases. Articles not on sale before the week are left out: they could not be picked.
    """
    size = len(snapshot.product)
    pickable = snapshot.on_sale[labels.article]
    buyers, row = np.unique(labels.customer[pickable], return_inverse=True)
    positive = np.unique(row.astype(np.int64) * size + labels.article[pickable])
    candidates, _ = merge(CountingSources(snapshot.history, snapshot.as_of_date).of(buyers))
    filled = candidates != NO_ARTICLE
    candidate = np.unique((np.arange(len(buyers))[:, None] * size + candidates)[filled])
    negative = np.setdiff1d(candidate, positive, assume_unique=True)

    shown = np.bincount(negative // size, minlength=len(buyers))
    keep_rate = np.minimum(1, CANDIDATE_NEGATIVES_PER_BUYER / np.maximum(shown, 1))
    kept = negative[rng.random(len(negative)) < keep_rate[negative // size]]

    bought = np.bincount(positive // size, minlength=len(buyers))
    uniform = _uniform_negatives(snapshot, buyers, bought, np.union1d(positive, candidate), rng)
    drawn = np.bincount(uniform // size, minlength=len(buyers))
    rest = np.maximum(int(snapshot.on_sale.sum()) - shown - bought, 1)
    uniform_rate = np.clip(drawn / rest, 1e-9, 1)

    key = np.concatenate([positive, kept, uniform])
    is_candidate = np.concatenate(
        [np.isin(positive, candidate), np.ones(len(kept), dtype=bool), np.zeros(len(uniform), dtype=bool)]
    )
    rate = np.where(is_candidate, keep_rate[key // size], uniform_rate[key // size])
    label = np.zeros(len(key), dtype=np.float32)
    label[: len(positive)] = 1
    buyers, row, article = buyers.astype(np.int32), key // size, (key % size).astype(np.int32)
    features = week_columns(snapshot, buyers, row, article)
    snapshot.release()
    return WeekPairs(
        snapshot=snapshot,
        buyers=buyers,
        row=row,
        article=article,
        label=label,
        log_sampling_rate=np.log(rate).astype(np.float32),
        features=features,
    )


def _uniform_negatives(
    snapshot: Snapshot, buyers: Ints, bought: np.ndarray, taken: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Keys (row * articles + article) drawn uniformly from what the buyer never bought and `taken` does not hold."""
    size = len(snapshot.product)
    row = np.repeat(np.arange(len(buyers)), UNIFORM_NEGATIVES_PER_POSITIVE * bought)
    article = rng.choice(np.flatnonzero(snapshot.on_sale), size=len(row)).astype(np.int32)
    units = snapshot.bought.units_of(buyers[row], article)
    key = np.unique(row.astype(np.int64)[units == 0] * size + article[units == 0])
    return np.setdiff1d(key, taken, assume_unique=True)


def pair_tensors(weeks: list[WeekPairs], inputs: Inputs) -> PairTensors:
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
    week_number = np.repeat(np.arange(len(weeks)), [len(week.row) for week in weeks])
    occurrences = np.bincount(article, minlength=size)
    return PairTensors(
        customer_row=as_tensor(np.concatenate(rows)),
        article_row=as_tensor(week_number * size + article),
        article=as_tensor(article),
        label=as_tensor(np.concatenate([week.label for week in weeks])),
        log_sampling_rate=as_tensor(np.concatenate([week.log_sampling_rate for week in weeks])),
        log_frequency=as_tensor(np.log(occurrences[article] / len(article)).astype(np.float32)),
        pair=as_tensor(np.concatenate(pairs)),
        customer_numeric=as_tensor(np.concatenate(customers)),
        customer_categories=as_tensor(np.concatenate(categories)),
        article_numeric=as_tensor(np.concatenate(articles)),
        article_categories=as_tensor(np.concatenate(article_categories)),
        image_row=torch.arange(size).repeat(len(weeks)),
        images=as_tensor(weeks[0].snapshot.images / np.float32(inputs.image_scale)),
    )
