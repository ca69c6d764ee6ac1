"""Laws of the ranking: distinct articles on sale, nothing bought when excluded, saved = loaded, blocks in order."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from scipy import sparse

from jobs.platform.codes import NO_ARTICLE, Ints
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.settings import WEEK, Settings
from jobs.ranking.fit import Plan, Weeks, fit_two_stage, longest
from jobs.ranking.model import CONFIG, RANKERS, TwoStageModel
from jobs.ranking.rank import Ranked, Recommender, rank_blocks
from jobs.ranking.snapshot import Snapshot, SnapshotLoader
from jobs.retrieval.popularity import popular_articles
from tests.jobs.ranking.conftest import (
    AS_OF,
    CUSTOMERS,
    ENCODER,
    EVERYONE,
    SECTIONS,
    Shop,
    make_purchases,
    moved_inputs,
    scoring_inputs,
)

SETTINGS = Settings(as_of_date=AS_OF)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> TwoStageModel:
    purchases = make_purchases(lines=4000)
    weeks = Weeks(SnapshotLoader(cast(Job, Shop(purchases)), purchases.before(AS_OF), ENCODER), purchases, 0)
    starts = [AS_OF - j * WEEK for j in range(1, 6)]
    plan = Plan("test", starts[1:], starts[0], longest(SETTINGS), list(RANKERS))
    fitted, _ = fit_two_stage(plan, weeks, ENCODER, SETTINGS, tmp_path_factory.mktemp("fit"))
    return fitted


@pytest.fixture
def snapshot(snapshot_at: Callable[[date], Snapshot]) -> Snapshot:
    return snapshot_at(AS_OF)


def rank(
    model: TwoStageModel, snapshot: Snapshot, customers: Ints, count: int, ranker: str | None = None, **how: bool
) -> Ranked:
    recommender = Recommender(model, snapshot)
    return recommender.rank(recommender.candidates(customers, **how), count, ranker)


@pytest.mark.parametrize("ranker", RANKERS)
def test_distinct_articles_on_sale_in_falling_order(model: TwoStageModel, snapshot: Snapshot, ranker: str) -> None:
    ranked = rank(model, snapshot, EVERYONE, 12, ranker)
    assert ranked.articles.shape == (CUSTOMERS, 12)
    assert snapshot.on_sale[ranked.articles].all()
    assert all(len(set(row)) == 12 for row in ranked.articles.tolist())
    assert (np.diff(ranked.scores, axis=1) <= 0).all()


def test_excluded_purchases_never_come_back(model: TwoStageModel, snapshot: Snapshot) -> None:
    ranked = rank(model, snapshot, EVERYONE, 12, exclude_bought=True)
    real = ranked.articles != NO_ARTICLE
    units = snapshot.bought.units_of(EVERYONE[:, None], np.maximum(ranked.articles, 0))
    assert (units[real] == 0).all()
    left = snapshot.on_sale.sum() - np.array(
        [len(set(snapshot.history.article[snapshot.history.customer == c])) for c in EVERYONE]
    )
    assert (real.sum(axis=1) == np.minimum(12, left)).all(), "as many as the catalogue allows"
    assert np.isinf(ranked.scores[~real]).all()


@pytest.mark.parametrize("ranker", RANKERS)
def test_the_model_learns_what_popularity_cannot_know(model: TwoStageModel, snapshot: Snapshot, ranker: str) -> None:
    ranked = rank(model, snapshot, EVERYONE[:-5], 6, ranker).articles
    own = (ranked % SECTIONS == (EVERYONE[:-5] % SECTIONS)[:, None]).mean()
    popular = popular_articles(snapshot.history, AS_OF, 6)
    by_popularity = (popular[None, :] % SECTIONS == (EVERYONE[:-5] % SECTIONS)[:, None]).mean()
    assert own > 0.8 > 0.5 > by_popularity


def test_both_rankers_order_the_same_candidates(model: TwoStageModel, snapshot: Snapshot) -> None:
    recommender = Recommender(model, snapshot)
    candidates = recommender.candidates(EVERYONE)
    network, trees = recommender.rank_by(candidates, 1000, list(RANKERS))
    assert np.array_equal(np.sort(network.articles, axis=1), np.sort(trees.articles, axis=1))
    assert not np.array_equal(network.articles, trees.articles)
    alone = recommender.rank(candidates, 5, "network")
    assert np.array_equal(alone.articles, network.articles[:, :5])


def test_blocks_on_all_cores_come_back_in_order(
    model: TwoStageModel, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = rank(model, snapshot, EVERYONE, 12)
    monkeypatch.setattr("jobs.ranking.candidate_retrieval.BLOCK_SIZE", 7)
    parts = list(rank_blocks(Recommender(model, snapshot), EVERYONE, 12))
    assert np.array_equal(np.concatenate([block for block, _ in parts]), EVERYONE)
    assert np.array_equal(np.concatenate([ranked.articles for _, ranked in parts]), whole.articles)


def test_customers_without_purchases_may_get_the_best_sellers_first(model: TwoStageModel, snapshot: Snapshot) -> None:
    """All others, and their scores, stay as they are, also where what they bought is left out."""
    new = ~np.isin(EVERYONE, snapshot.history.customer)
    assert new.any() and not new.all()
    popular = popular_articles(snapshot.history, AS_OF, 6)
    for exclude_bought in (False, True):
        ranked = rank(model, snapshot, EVERYONE, 6, exclude_bought=exclude_bought)
        changed = rank(replace(model, ranks_new_customers=False), snapshot, EVERYONE, 6, exclude_bought=exclude_bought)
        assert (changed.articles[new] == popular).all() and (ranked.articles[new] != popular).any()
        assert np.array_equal(changed.articles[~new], ranked.articles[~new])
        assert np.array_equal(changed.scores[~new], ranked.scores[~new])


def test_who_met_something_is_not_without_history_where_events_count(model: TwoStageModel, snapshot: Snapshot) -> None:
    met, other = np.setdiff1d(EVERYONE, snapshot.history.customer)[:2]
    shape = len(snapshot.history.customer_ids), len(snapshot.product)
    known = replace(snapshot, events=sparse.csr_matrix(([1.0], ([met], [3])), shape=shape))
    ranked, changed = (
        rank(replace(model, ranks_new_customers=is_ranked), known, np.array([met, other], np.int32), 6).articles
        for is_ranked in (True, False)
    )
    assert np.array_equal(ranked[0], changed[0]) and not np.array_equal(ranked[1], changed[1])


def test_saved_and_loaded_has_the_same_inputs_and_ranks_alike(
    model: TwoStageModel, snapshot: Snapshot, tmp_path: Path
) -> None:
    model = replace(model, ranks_new_customers=False)
    model.save(tmp_path / "m")
    loaded = TwoStageModel.load(tmp_path / "m")
    first, second = (scoring_inputs(m.inputs, snapshot) for m in (model, loaded))
    assert moved_inputs(first, second) == set()
    assert loaded.chosen == model.chosen and not loaded.ranks_new_customers
    for ranker in RANKERS:
        ranked, again = (rank(m, snapshot, EVERYONE, 12, ranker) for m in (model, loaded))
        assert np.array_equal(ranked.articles, again.articles) and np.array_equal(ranked.scores, again.scores)


def test_no_file_of_a_saved_model_is_a_pickle(model: TwoStageModel, tmp_path: Path) -> None:
    model.save(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".safetensors", ".json", ".txt"}


def test_a_model_of_other_inputs_is_refused(model: TwoStageModel, tmp_path: Path) -> None:
    model.save(tmp_path / "m")
    path = tmp_path / "m" / CONFIG
    config = json.loads(path.read_text())
    config["inputs"]["pair"][0] = "shoe_size"
    path.write_text(json.dumps(config))
    with pytest.raises(JobError, match=r"\(gone: pair.shoe_size; new: pair.bought_units\); run ranking.train"):
        TwoStageModel.load(tmp_path / "m")
    del config["inputs"]
    path.write_text(json.dumps(config))
    with pytest.raises(JobError, match=r"\(it does not say which\); run ranking.train"):
        TwoStageModel.load(tmp_path / "m")
