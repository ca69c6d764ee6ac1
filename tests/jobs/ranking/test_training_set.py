"""Laws of the training pairs: who is a positive, what may be a negative, and at which rate it was kept."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import pytest

from jobs.ranking.snapshot import Snapshot
from jobs.ranking.training_set import UNIFORM_NEGATIVES_PER_POSITIVE, WeekPairs, week_pairs
from jobs.retrieval.candidates import KnownSources, merge
from jobs.retrieval.purchases import NO_ARTICLE, Purchases

START = date(2020, 9, 9)
WEEK = timedelta(days=7)


@pytest.fixture
def week(purchases: Purchases, snapshot_at: Callable[[date], Snapshot]) -> WeekPairs:
    return week_pairs(snapshot_at(START), purchases.between(START, START + WEEK), np.random.default_rng(0))


def pairs_of(week: WeekPairs, mask: np.ndarray) -> set[tuple[int, int]]:
    return set(zip(week.buyers[week.row[mask]].tolist(), week.article[mask].tolist(), strict=True))


def test_positives_are_what_was_bought_in_the_week(week: WeekPairs, purchases: Purchases) -> None:
    labels = purchases.between(START, START + WEEK)
    bought = set(zip(labels.customer.tolist(), labels.article.tolist(), strict=True))
    assert pairs_of(week, week.label == 1) == {(c, a) for c, a in bought if week.snapshot.on_sale[a]}
    assert not pairs_of(week, week.label == 0) & bought


def test_every_pair_occurs_once(week: WeekPairs) -> None:
    assert len(pairs_of(week, week.label >= 0)) == len(week.label)


def test_negatives_outside_the_candidates_were_never_bought(week: WeekPairs) -> None:
    snapshot = week.snapshot
    candidates = merge(KnownSources(snapshot.facts).of(week.buyers)).articles
    shown = {
        (int(buyer), int(article))
        for buyer, row in zip(week.buyers, candidates, strict=True)
        for article in row[row != NO_ARTICLE]
    }
    ever = set(zip(snapshot.history.customer.tolist(), snapshot.history.article.tolist(), strict=True))
    uniform = pairs_of(week, week.label == 0) - shown
    assert not uniform & ever
    assert len(uniform) <= UNIFORM_NEGATIVES_PER_POSITIVE * int(week.label.sum())


def test_rates_are_rates(week: WeekPairs) -> None:
    assert (week.log_sampling_rate <= 0).all()
