"""Systems as candidate sources: what they find is merged, told to the rankers, and known from the past alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from jobs.platform.codes import NO_ARTICLE
from jobs.platform.job import Job
from jobs.platform.settings import WEEK, Settings
from jobs.ranking.candidate_retrieval import Retrieval
from jobs.ranking.fit import Plan, Weeks, fit_two_stage
from jobs.ranking.inputs import INPUTS, inputs_with
from jobs.ranking.model import RANKERS, TwoStageModel
from jobs.ranking.preprocessing import Preprocessing
from jobs.ranking.rank import Recommender
from jobs.ranking.snapshot import SnapshotLoader
from jobs.recommenders.persistence import fit_sources
from jobs.retrieval.candidates import SOURCES
from jobs.retrieval.purchases import Purchases, day_number
from jobs.retrieval.two_tower import COUNT
from tests.jobs.ranking.conftest import AS_OF, ENCODER, EVERYONE, Shop, everyones, make_purchases, make_snapshot
from tests.jobs.ranking.test_fit import forged_from

NAMES = ("als", "gru")
ROUNDS = {"two_tower": 1, "network": 1, "boosted_trees": 20}
STARTS = [AS_OF - j * WEEK for j in range(5)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> TwoStageModel:
    """Rankers of the two weeks before AS_OF, towers and systems of what was before."""
    purchases = make_purchases(lines=3000).before(AS_OF)
    weeks = Weeks(SnapshotLoader(cast(Job, Shop(purchases)), purchases, ENCODER), purchases, 0)
    settings = Settings(as_of_date=AS_OF, extra_sources=NAMES, system_epochs=2)
    plan = Plan("test", STARTS[1:], None, ROUNDS, list(RANKERS))
    return fit_two_stage(plan, weeks, ENCODER, settings, tmp_path_factory.mktemp("fit"))[0]


def test_they_know_what_was_before_the_rankers_weeks(model: TwoStageModel, tmp_path: Path) -> None:
    """Those start on STARTS[2] and STARTS[1]."""
    shop, settings = make_purchases(lines=3000), Settings(as_of_date=AS_OF)
    for start, same in ((STARTS[2], True), (STARTS[1], False), (STARTS[3], False)):
        own = fit_sources(["als"], shop.before(start), start, settings, tmp_path)["als"].state()
        kept = model.systems["als"].state()
        assert np.array_equal(own.arrays["vectors"], kept.arrays["vectors"]) == same


def retrieval(model: TwoStageModel, purchases: Purchases, as_of: date = AS_OF) -> Retrieval:
    return Retrieval(model.inputs, model.towers, model.systems, make_snapshot(purchases, as_of))


def test_their_finds_are_candidates_with_rank_and_score(model: TwoStageModel) -> None:
    shop = make_purchases()
    as_counted = replace(model, inputs=replace(model.inputs, pairs=Preprocessing()))  # not clipped
    candidates, columns = everyones(retrieval(as_counted, shop))
    merged = candidates.merged
    assert list(merged.ranks) == [source for source in SOURCES if source in candidates.found]
    for name in NAMES:
        own = model.systems[name].at(shop.before(AS_OF), AS_OF, COUNT).of(EVERYONE)
        np.testing.assert_array_equal(candidates.found[name].articles, own.articles)
        for row, (found, scores) in enumerate(zip(own.articles.tolist(), own.scores, strict=True)):
            for rank, article in enumerate(found, start=1):
                if article != NO_ARTICLE:
                    (place,) = np.flatnonzero(merged.articles[row] == article)
                    assert columns[f"{name}_closeness"][row, place] == np.float32(1 / rank)
                    assert columns[f"{name}_score"][row, place] == np.arcsinh(scores[rank - 1])
        elsewhere = np.isnan(merged.ranks[name])
        assert (columns[f"{name}_closeness"][elsewhere] == 0).all() and elsewhere.any()


def test_the_inputs_are_the_declared_ones_in_order(model: TwoStageModel) -> None:
    _, columns = everyones(retrieval(model, make_purchases()))
    names = inputs_with(NAMES)["pair"]
    assert tuple(columns) == names == tuple(model.inputs.pairs.means)
    assert set(names) - set(INPUTS["pair"]) == {f"{name}_{what}" for name in NAMES for what in ("closeness", "score")}
    assert inputs_with(("gru", "als")) == inputs_with(NAMES) and inputs_with(()) == INPUTS


@pytest.mark.parametrize("ranker", RANKERS)
def test_both_rankers_heed_them(model: TwoStageModel, ranker: str) -> None:
    """Told that a system found nothing, they score otherwise."""
    asked = retrieval(model, make_purchases())
    scorer = model.rankers[ranker].scorer(asked)
    candidates = asked.of(EVERYONE)
    first = scorer(candidates)
    for name in NAMES:
        candidates.merged.ranks[name][:] = np.nan
        candidates.merged.scores[name][:] = np.nan
    assert not np.array_equal(scorer(candidates), first)


def test_saved_and_loaded_it_ranks_alike(model: TwoStageModel, tmp_path: Path) -> None:
    model.save(tmp_path)
    loaded, snapshot = TwoStageModel.load(tmp_path), make_snapshot(make_purchases())
    assert list(loaded.systems) == list(NAMES)
    assert {path.suffix for path in tmp_path.iterdir()} == {".safetensors", ".json", ".txt"}
    for ranker in RANKERS:
        one, other = (Recommender(m, snapshot) for m in (model, loaded))
        ranked, again = (r.rank(r.candidates(EVERYONE), 12, ranker) for r in (one, other))
        assert np.array_equal(ranked.articles, again.articles) and np.array_equal(ranked.scores, again.scores)


def test_nothing_from_the_as_of_date_on_moves_what_they_say(model: TwoStageModel) -> None:
    shop = make_purchases()
    for start, differs in ((AS_OF, False), (AS_OF - WEEK, True)):
        other = forged_from(shop, start)
        assert (other.day >= day_number(start)).any()
        (one, columns), (two, others) = (everyones(retrieval(model, some)) for some in (shop, other))
        same = [np.array_equal(one.found[name].articles, two.found[name].articles) for name in NAMES]
        assert same == [not differs] * len(NAMES)
        if not differs:
            assert all(np.array_equal(columns[name], others[name], equal_nan=True) for name in columns)


def test_what_was_bought_is_left_out_of_their_finds_too(model: TwoStageModel) -> None:
    asked = retrieval(model, make_purchases())
    merged = asked.of(EVERYONE, exclude_bought=True).merged
    real = merged.articles != NO_ARTICLE
    assert real.any()
    units = asked.snapshot.bought.units_of(EVERYONE[:, None], np.maximum(merged.articles, 0))
    assert (units[real] == 0).all()
