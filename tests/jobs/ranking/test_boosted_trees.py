"""Trees in a cascade: the best of each customer get the scores of all trees, the others stay behind them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import lightgbm as lgb
import numpy as np
import pytest

from jobs.ranking import boosted_trees
from jobs.ranking.boosted_trees import BoostedTrees

CUSTOMERS, WIDTH, FEATURES = 20, 30, 5


@pytest.fixture(scope="module")
def trees() -> BoostedTrees:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(2000, FEATURES)).astype(np.float32)
    labels = (rows[:, 0] + rng.normal(size=2000) > 1).astype(int)
    data = lgb.Dataset(rows, labels, group=np.full(100, 20))
    return BoostedTrees(lgb.train(boosted_trees.PARAMETERS | {"min_data_in_leaf": 5}, data, 40))


@pytest.fixture
def features() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(CUSTOMERS, WIDTH, FEATURES)).astype(np.float32)


@pytest.fixture
def is_article() -> np.ndarray:
    is_article = np.random.default_rng(2).random((CUSTOMERS, WIDTH)) < 0.9
    is_article[0], is_article[1, 3:] = False, False  # a customer without candidates, one with few
    return is_article


def test_the_kept_have_all_trees_scores_and_the_dropped_stay_behind(
    trees: BoostedTrees, features: np.ndarray, is_article: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boosted_trees, "FIRST_TREES", 10)
    monkeypatch.setattr(boosted_trees, "KEPT", 8)
    scores = trees.cascade(features, is_article)
    rows = features.reshape(-1, FEATURES)
    whole = trees.booster.predict(rows).reshape(CUSTOMERS, WIDTH)
    first = trees.booster.predict(rows, num_iteration=10).reshape(CUSTOMERS, WIDTH).astype(np.float32)
    assert np.isneginf(scores[~is_article]).all()
    for customer in range(CUSTOMERS):
        own = np.flatnonzero(is_article[customer])
        cut = np.sort(first[customer, own])[::-1][:8].min(initial=np.inf)
        kept, dropped = own[first[customer, own] >= cut], own[first[customer, own] < cut]
        assert scores[customer, kept].min(initial=np.inf) > scores[customer, dropped].max(initial=-np.inf)
        assert scores[customer, kept] == pytest.approx(whole[customer, kept], abs=1e-5)
        order = dropped[np.argsort(-scores[customer, dropped], kind="stable")]
        assert (np.diff(first[customer, order]) <= 1e-6).all()


def test_few_candidates_are_all_kept(trees: BoostedTrees, features: np.ndarray) -> None:
    everything = np.ones((CUSTOMERS, WIDTH), dtype=bool)
    whole = trees.booster.predict(features.reshape(-1, FEATURES)).reshape(CUSTOMERS, WIDTH)
    assert trees.cascade(features, everything) == pytest.approx(whole, abs=1e-5)


def test_threads_do_not_disturb_one_another(
    trees: BoostedTrees, features: np.ndarray, is_article: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boosted_trees, "KEPT", 8)
    alone = trees.cascade(features, is_article)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda _: trees.cascade(features, is_article), range(200)))
    assert all(np.array_equal(scores, alone) for scores in together)
