"""The paper track on a made-up shop: the split, the pairs, the lists, their figures, and what no part may know."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from expectations.evaluation import PAPER_TRACK_METRICS
from jobs.evaluation import paper_track
from jobs.evaluation.figures import figures_table
from jobs.evaluation.paper_track import (
    SYSTEM,
    SYSTEM_NEW,
    bought_in,
    follow,
    labelled,
    list_figures,
    pair_figures,
    recommend,
    split_dates,
)
from jobs.metrics.ranking_metrics import Truth
from jobs.platform.codes import NO_ARTICLE
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.settings import Settings
from jobs.ranking.fit import fit_entities
from jobs.ranking.snapshot import SnapshotLoader
from jobs.ranking.training_set import pair_tensors
from jobs.retrieval.purchases import Purchases, day_number
from lightning_modules.two_stage import TwoStageRecommender
from tests.jobs.ranking.conftest import AS_OF, CUSTOMERS, ENCODER, EVERYONE, Shop, make_purchases, make_snapshot

SETTINGS = Settings(as_of_date=AS_OF, max_epochs=3)


@pytest.fixture
def purchases() -> Purchases:
    return make_purchases()


def days(*counts: int) -> Purchases:
    """Purchases of consecutive days up to AS_OF, so many on each."""
    purchases = make_purchases()
    day = np.repeat(np.arange(day_number(AS_OF) - len(counts), day_number(AS_OF)), counts).astype(np.int32)
    return replace(purchases, day=day, customer=np.zeros_like(day), article=np.zeros_like(day))


def test_parts_start_at_the_shares_of_all_purchases_in_whole_weeks() -> None:
    """100 days: the 55th, 70th and 85th lie 45, 30 and 15 days before the end: 6, 4 and 2 weeks."""
    assert split_dates(days(*[1] * 100), AS_OF) == [AS_OF - timedelta(weeks=n) for n in (6, 4, 2)]
    late = days(*[1] * 50, *[4] * 50)  # 250 in all: 137 before the first part, after 50 days and 87 purchases
    assert split_dates(late, AS_OF) == [AS_OF - timedelta(weeks=n) for n in (4, 3, 1)]


def test_too_short_a_history_is_refused() -> None:
    with pytest.raises(JobError, match="too few weeks before 2020-09-16"):
        split_dates(days(*[1] * 10), AS_OF)


def test_a_part_keeps_all_purchases_of_some_buyers(monkeypatch: pytest.MonkeyPatch, purchases: Purchases) -> None:
    start = AS_OF - timedelta(weeks=2)
    everything = bought_in(purchases, start, AS_OF, 0)
    assert len(everything) == len(purchases.between(start, AS_OF))
    monkeypatch.setattr(paper_track, "MOST_BUYERS", 7)
    some = bought_in(purchases, start, AS_OF, 0)
    buyers = np.unique(some.customer)
    assert len(buyers) == 7
    assert len(some) == np.isin(everything.customer, buyers).sum()


def test_negatives_were_never_bought_and_are_not_corrected(purchases: Purchases) -> None:
    start = AS_OF - timedelta(weeks=2)
    pairs = labelled(make_snapshot(purchases, start), purchases.between(start, AS_OF), 0)
    known = purchases.before(AS_OF)
    bought = set(zip(known.customer.tolist(), known.article.tolist(), strict=True))
    negative = pairs.label == 0
    drawn = set(zip(pairs.buyers[pairs.row[negative]].tolist(), pairs.article[negative].tolist(), strict=True))
    assert drawn and not drawn & bought
    assert not pairs.log_sampling_rate.any()


def test_list_figures_by_hand() -> None:
    """Two buyers: hits at places 1 and 3 of four bought; none of one."""
    truth = Truth(np.array([3, 8]), np.array([0, 0, 0, 0, 1]), np.array([1, 2, 3, 4, 1]))
    ranked = np.full((2, 30), NO_ARTICLE, dtype=np.int32)
    ranked[0, :4], ranked[1, 0] = [2, 9, 4, 7], 5
    found = {(f.metric, f.k): f.value for f in list_figures("s", ranked, truth, 0)}
    gain = 1 + 1 / math.log2(4)
    ideal = {n: sum(1 / math.log2(i + 1) for i in range(1, n + 1)) for n in (4, 10)}
    assert found["precision", 10] == pytest.approx(0.2 / 2)
    assert found["recall", 20] == pytest.approx(0.5 / 2)
    assert found["ndcg", 10] == pytest.approx(gain / ideal[4] / 2)
    assert found["ndcg_of_k", 10] == pytest.approx(gain / ideal[10] / 2)
    assert found["buyers", 0] == 2


@pytest.fixture(scope="module")
def joint() -> TwoStageRecommender:
    """An unfitted network of the shop's sizes."""
    torch.manual_seed(0)
    purchases = make_purchases()
    start = AS_OF - timedelta(weeks=2)
    pairs = labelled(make_snapshot(purchases, start), purchases.between(start, AS_OF), 0)
    inputs = fit_entities([pairs], ENCODER)
    network = TwoStageRecommender(**inputs.sizes(pairs.snapshot.images.shape[1])).eval()
    network.fitted_inputs = inputs  # type: ignore[assignment]
    return network


def test_lists_are_the_nearest_ranked(joint: TwoStageRecommender, monkeypatch: pytest.MonkeyPatch) -> None:
    """With as many retrieved as recommended, lists hold the nearest articles on sale, in the ranker's order."""
    snapshot, inputs = make_snapshot(make_purchases()), joint.fitted_inputs
    monkeypatch.setattr(paper_track, "RETRIEVED", 5)
    ranked = recommend(joint, inputs, snapshot, EVERYONE, exclude_bought=False)  # type: ignore[arg-type]
    monkeypatch.setattr(paper_track, "RETRIEVED", 40)
    all_ranked = recommend(joint, inputs, snapshot, EVERYONE, exclude_bought=False)  # type: ignore[arg-type]
    assert ranked.shape == (CUSTOMERS, 5) and snapshot.on_sale[ranked].all()
    for few, many in zip(ranked.tolist(), all_ranked.tolist(), strict=True):
        assert [article for article in many if article in few] == [article for article in few if article in many]


def test_bought_articles_are_left_out_if_asked(joint: TwoStageRecommender) -> None:
    snapshot = make_snapshot(make_purchases())
    lists = recommend(joint, joint.fitted_inputs, snapshot, EVERYONE, exclude_bought=True)  # type: ignore[arg-type]
    real = lists != NO_ARTICLE
    units = snapshot.bought.units_of(EVERYONE[:, None], np.maximum(lists, 0))
    assert real.any() and not units[real].any()
    left = snapshot.on_sale.sum() - np.bincount(snapshot.bought.customer, minlength=CUSTOMERS)
    assert (real.sum(axis=1) == np.minimum(30, left)).all(), "as many as the catalogue allows"


def test_pair_figures_are_of_these_pairs_alone(joint: TwoStageRecommender, purchases: Purchases) -> None:
    start = AS_OF - timedelta(weeks=2)
    pairs = labelled(make_snapshot(purchases, start), purchases.between(start, AS_OF), 0)
    tensors = pair_tensors([pairs], joint.fitted_inputs)  # type: ignore[arg-type, list-item]
    with torch.inference_mode():
        logits = joint.ranker(tensors.batch(torch.arange(len(tensors))))
        joint.ranker.judge(torch.zeros(5), torch.ones(5))  # of other pairs
    bought, other = logits[tensors.label == 1], logits[tensors.label == 0]
    auc = ((bought[:, None] > other).float() + (bought[:, None] == other).float() / 2).mean().item()
    found = {f.metric: f.value for f in pair_figures(joint, tensors)}
    assert found["auc"] == pytest.approx(auc, abs=1e-5)
    assert found["pairs"] == len(tensors)


def test_the_whole_track_and_its_table(tmp_path: Path) -> None:
    known = make_purchases(lines=8000).before(AS_OF)
    loader = SnapshotLoader(cast(Job, Shop(known)), known, ENCODER)
    settings = SETTINGS.model_copy(update={"max_epochs": 30})
    figures, start = follow(loader, known, ENCODER, settings, tmp_path)
    assert start == split_dates(known, AS_OF)[-1]
    table = figures_table(figures, PAPER_TRACK_METRICS, as_of_date=AS_OF, fold_start=start, run_id="r")
    keys = table.select(list(PAPER_TRACK_METRICS.key)).to_pylist()
    assert len({tuple(key.values()) for key in keys}) == len(keys) == 4 + 2 * (3 * 4 + 1)
    told = {(f.system, f.metric, f.k): f.value for f in figures}
    assert 0.54 < told[SYSTEM, "auc", 0] < 1
    assert told[SYSTEM, "recall", 30] > told[SYSTEM, "recall", 10] > 0
    assert told[SYSTEM_NEW, "buyers", 0] == len(np.unique(known.between(start, AS_OF).customer))


def test_what_is_bought_on_the_last_days_changes_no_network(purchases: Purchases, tmp_path: Path) -> None:
    """The leak rule: with other purchases by other buyers in the test part, the same fit."""
    known = purchases.before(AS_OF)
    start = split_dates(known, AS_OF)[-1]
    test = known.day >= day_number(start)
    other = {
        "article": np.where(test, np.random.default_rng(5).permutation(known.article), known.article).astype(np.int32),
        "customer": np.where(test, known.customer % 10, known.customer).astype(np.int32),
    }
    settings, states = SETTINGS.model_copy(update={"max_epochs": 1}), []
    for name, shop in (("as it was", known), ("otherwise", replace(known, **other))):
        follow(SnapshotLoader(cast(Job, Shop(shop)), shop, ENCODER), shop, ENCODER, settings, tmp_path / name)
        states.append(torch.load(tmp_path / name / "best.ckpt", weights_only=True)["state_dict"])
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
