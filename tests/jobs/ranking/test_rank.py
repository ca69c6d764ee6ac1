"""Laws of the ranking: distinct articles on sale, nothing bought when excluded, saved = loaded, blind to the future."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from jobs.platform.errors import JobError
from jobs.platform.settings import Settings
from jobs.ranking.model import CONFIG, TwoStageModel
from jobs.ranking.rank import rank_customers
from jobs.ranking.snapshot import Snapshot
from jobs.ranking.train import fit, fit_inputs
from jobs.ranking.training_set import WeekPairs, week_pairs
from jobs.retrieval.popularity import popular_articles
from jobs.retrieval.purchases import NO_ARTICLE, Purchases
from tests.jobs.ranking.conftest import (
    AS_OF,
    CUSTOMERS,
    ENCODER,
    SECTIONS,
    make_purchases,
    make_snapshot,
    scoring_inputs,
)

WEEK = timedelta(days=7)
SETTINGS = Settings(as_of_date=AS_OF)


def weeks_before(purchases: Purchases, count: int, last: date = AS_OF) -> list[WeekPairs]:
    starts = [last - j * WEEK for j in range(1, count + 1)]
    return [
        week_pairs(make_snapshot(purchases, s), purchases.between(s, s + WEEK), np.random.default_rng(i))
        for i, s in enumerate(starts)
    ]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> TwoStageModel:
    weeks = weeks_before(make_purchases(), 4)
    fitted, _ = fit(
        "test", weeks[1:], weeks[0], fit_inputs(weeks[1:], ENCODER), 20, SETTINGS, tmp_path_factory.mktemp("fit")
    )
    return fitted


@pytest.fixture
def snapshot(snapshot_at: Callable[[date], Snapshot]) -> Snapshot:
    return snapshot_at(AS_OF)


EVERYONE = np.arange(CUSTOMERS, dtype=np.int32)


def test_distinct_articles_on_sale_in_falling_order(model: TwoStageModel, snapshot: Snapshot) -> None:
    ranked = rank_customers(model, snapshot, EVERYONE, 12)
    assert ranked.articles.shape == (CUSTOMERS, 12)
    assert snapshot.on_sale[ranked.articles].all()
    assert all(len(set(row)) == 12 for row in ranked.articles.tolist())
    assert (np.diff(ranked.scores, axis=1) <= 0).all()


def test_excluded_purchases_never_come_back(model: TwoStageModel, snapshot: Snapshot) -> None:
    ranked = rank_customers(model, snapshot, EVERYONE, 12, exclude_bought=True)
    real = ranked.articles != NO_ARTICLE
    units = snapshot.bought.units_of(EVERYONE[:, None], np.maximum(ranked.articles, 0))
    assert (units[real] == 0).all()
    left = snapshot.on_sale.sum() - np.array(
        [len(set(snapshot.history.article[snapshot.history.customer == c])) for c in EVERYONE]
    )
    assert (real.sum(axis=1) == np.minimum(12, left)).all(), "as many as the catalogue allows"


def test_the_model_learns_what_popularity_cannot_know(model: TwoStageModel, snapshot: Snapshot) -> None:
    ranked = rank_customers(model, snapshot, EVERYONE[:-5], 6).articles
    own = (ranked % SECTIONS == (EVERYONE[:-5] % SECTIONS)[:, None]).mean()
    popular = popular_articles(snapshot.history, AS_OF, 6)
    by_popularity = (popular[None, :] % SECTIONS == (EVERYONE[:-5] % SECTIONS)[:, None]).mean()
    assert own > 0.8 > 0.5 > by_popularity


def test_saved_and_loaded_has_the_same_inputs_and_ranks_alike(
    model: TwoStageModel, snapshot: Snapshot, tmp_path: Path
) -> None:
    model.save(tmp_path / "m")
    loaded = TwoStageModel.load(tmp_path / "m")
    first, second = (scoring_inputs(m.inputs, snapshot) for m in (model, loaded))
    assert {name for name, array in first.items() if not np.array_equal(array, second[name])} == set()
    ranked, again = (rank_customers(m, snapshot, EVERYONE, 12) for m in (model, loaded))
    assert np.array_equal(ranked.articles, again.articles) and np.array_equal(ranked.scores, again.scores)


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


def test_a_killed_fit_resumes_to_the_same_model(tmp_path: Path) -> None:
    weeks = weeks_before(make_purchases(), 2)
    inputs = fit_inputs(weeks, ENCODER)
    whole, _ = fit("whole", weeks, None, inputs, 4, SETTINGS, tmp_path / "whole")
    fit("first half", weeks, None, inputs, 2, SETTINGS, tmp_path / "halves")
    resumed, epochs = fit("second half", weeks, None, inputs, 4, SETTINGS, tmp_path / "halves")
    assert epochs == 4
    state = resumed.network.state_dict()
    assert all(np.array_equal(value.numpy(), state[name].numpy()) for name, value in whole.network.state_dict().items())
