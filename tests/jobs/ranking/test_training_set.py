"""Laws of the training pairs: who is a positive, what may be a negative, and at which rate it was kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest

from jobs.platform.codes import NO_ARTICLE
from jobs.ranking import training_set
from jobs.ranking.candidate_retrieval import Candidates, Retrieval
from jobs.ranking.fit import fit_entities
from jobs.ranking.snapshot import Snapshot
from jobs.ranking.training_set import (
    CANDIDATE_NEGATIVES_PER_BUYER,
    UNIFORM_NEGATIVES_PER_POSITIVE,
    WeekPairs,
    candidate_pairs,
    pair_tensors,
    purchase_pairs,
)
from jobs.retrieval.purchases import Purchases
from tests.jobs.ranking.conftest import ENCODER, made_up_towers

START = date(2020, 9, 9)
WEEK = timedelta(days=7)


@pytest.fixture
def labels(purchases: Purchases) -> Purchases:
    return purchases.between(START, START + WEEK)


@pytest.fixture
def week(labels: Purchases, snapshot_at: Callable[[date], Snapshot]) -> WeekPairs:
    return purchase_pairs(snapshot_at(START), labels, np.random.default_rng(0))


@pytest.fixture
def retrieval(week: WeekPairs, snapshot_at: Callable[[date], Snapshot]) -> Retrieval:
    inputs = fit_entities([week], ENCODER)
    return Retrieval(inputs, made_up_towers(inputs), {}, snapshot_at(START))


def pairs_of(week: WeekPairs, mask: np.ndarray) -> set[tuple[int, int]]:
    return set(zip(week.buyers[week.row[mask]].tolist(), week.article[mask].tolist(), strict=True))


def bought_in(purchases: Purchases) -> set[tuple[int, int]]:
    return set(zip(purchases.customer.tolist(), purchases.article.tolist(), strict=True))


def shown_by(retrieval: Retrieval, buyers: np.ndarray) -> set[tuple[int, int]]:
    articles = retrieval.of(buyers).merged.articles
    return {
        (int(buyer), int(article))
        for buyer, row in zip(buyers, articles, strict=True)
        for article in row[row != NO_ARTICLE]
    }


def test_towers_learn_what_was_bought_in_the_week(week: WeekPairs, labels: Purchases) -> None:
    could_be_picked = {(c, a) for c, a in bought_in(labels) if week.snapshot.on_sale[a]}
    assert pairs_of(week, week.label == 1) == could_be_picked
    assert len(pairs_of(week, week.label >= 0)) == len(week.label), "every pair once"


def test_uniform_negatives_were_never_bought(week: WeekPairs, labels: Purchases) -> None:
    negatives = pairs_of(week, week.label == 0)
    assert negatives and not negatives & (bought_in(week.snapshot.history) | bought_in(labels))
    assert all(week.snapshot.on_sale[article] for _, article in negatives)
    assert len(negatives) <= UNIFORM_NEGATIVES_PER_POSITIVE * int(week.label.sum())
    assert (week.log_sampling_rate <= 0).all()


def test_rankers_learn_the_candidates_of_buyers_with_a_hit(retrieval: Retrieval, labels: Purchases) -> None:
    week = candidate_pairs(retrieval, labels, np.random.default_rng(0))
    shown = shown_by(retrieval, week.buyers)
    hits = shown & bought_in(labels)
    assert pairs_of(week, week.label == 1) == hits
    negatives = pairs_of(week, week.label == 0)
    assert negatives == {(c, a) for c, a in shown - hits if c in {c for c, _ in hits}}, "few enough to keep them all"
    assert (np.diff(week.row) >= 0).all() and (week.log_sampling_rate == 0).all()


def test_a_buyer_none_of_whose_purchases_is_a_candidate_teaches_nothing(
    retrieval: Retrieval, labels: Purchases, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = candidate_pairs(retrieval, labels, np.random.default_rng(0))
    first, find = int(whole.buyers[0]), retrieval.of

    def without_hits(customers: np.ndarray) -> Candidates:
        found = find(customers)
        is_hit = (customers == first)[:, None] & np.isin(
            found.merged.articles, labels.article[labels.customer == first]
        )
        return replace(
            found, merged=found.merged._replace(articles=np.where(is_hit, NO_ARTICLE, found.merged.articles))
        )

    monkeypatch.setattr(retrieval, "of", without_hits)
    week = candidate_pairs(retrieval, labels, np.random.default_rng(0))
    everything = pairs_of(whole, whole.label >= 0)
    assert pairs_of(week, week.label >= 0) == {(c, a) for c, a in everything if c != first} != everything


def test_rankers_see_a_sample_where_there_are_many(
    retrieval: Retrieval, labels: Purchases, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = candidate_pairs(retrieval, labels, np.random.default_rng(0))
    assert np.bincount(everything.row, everything.label == 0).max() <= CANDIDATE_NEGATIVES_PER_BUYER
    monkeypatch.setattr(training_set, "CANDIDATE_NEGATIVES_PER_BUYER", 4)
    some = candidate_pairs(retrieval, labels, np.random.default_rng(0))
    assert some.label.sum() == everything.label.sum(), "every purchase is kept"
    offered = np.bincount(everything.row, everything.label == 0)
    assert some.log_sampling_rate == pytest.approx(np.log(np.minimum(1, 4 / offered[some.row])))
    assert (some.label == 0).sum() == pytest.approx(4 * len(np.unique(some.row)), rel=0.2)
    monkeypatch.setattr(training_set, "MAX_BUYERS", 5)
    few = candidate_pairs(retrieval, labels, np.random.default_rng(0))
    assert len(few.buyers) == 5 and set(few.buyers) < set(some.buyers)


def test_features_are_those_of_the_pair(
    retrieval: Retrieval, labels: Purchases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.ranking.candidate_retrieval.BLOCK_SIZE", 7)  # several blocks
    week = candidate_pairs(retrieval, labels, np.random.default_rng(0))
    for n in range(0, len(week.row), 29):
        candidates = retrieval.of(week.buyers[week.row[n]][None])
        (column,) = np.flatnonzero(candidates.merged.articles[0] == week.article[n])
        alone = retrieval.columns(candidates, np.array([0]), np.array([column]))
        for name, values in alone.items():
            assert week.features[name][n] == pytest.approx(values[0], rel=1e-5, abs=1e-6, nan_ok=True), name


def test_a_week_without_buyers_has_no_pairs(retrieval: Retrieval, labels: Purchases) -> None:
    nobody = labels.where(np.zeros(len(labels), dtype=bool))
    week = candidate_pairs(retrieval, nobody, np.random.default_rng(0))
    assert len(week.row) == len(week.label) == len(week.features["bought_units"]) == 0


def test_weeks_side_by_side_keep_their_own_rows(week: WeekPairs) -> None:
    inputs = fit_entities([week], ENCODER)
    one, two = pair_tensors([week], inputs), pair_tensors([week, week], inputs)
    assert len(two) == 2 * len(one)
    first, second = two.batch(np.arange(len(one))), two.batch(np.arange(len(one), len(two)))
    for name in ("customer_numeric", "article_numeric", "label", "log_frequency"):
        assert (first[name] == second[name]).all() and (first[name] == one.batch(np.arange(len(one)))[name]).all()
    assert not set(first["customer_row"].tolist()) & set(second["customer_row"].tolist())
