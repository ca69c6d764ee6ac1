"""Trees behind a shortlist: the best of each customer get the scores of all trees, the others stay behind them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pytest

from jobs.platform.codes import NO_ARTICLE
from jobs.platform.errors import JobError
from jobs.platform.settings import WEEK
from jobs.ranking import boosted_trees, shortlist
from jobs.ranking.boosted_trees import SEEDS_OF_FEW, BoostedTrees
from jobs.ranking.candidate_retrieval import Candidates, Retrieval
from jobs.ranking.fit import fit_entities
from jobs.ranking.inputs import AFFINITY_NUMERIC
from jobs.ranking.rule import RULES, log_odds
from jobs.ranking.shortlist import append_rest, shortlist_mask
from jobs.ranking.training_set import candidate_pairs, purchase_pairs
from tests.jobs.ranking.conftest import AS_OF, ENCODER, EVERYONE, made_up_towers, make_purchases

NONE = -np.inf


def test_the_best_are_kept_with_their_equals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shortlist, "KEPT", 2)
    scores = np.array([[1, 5, 3, 3], [NONE, 2, NONE, NONE], [NONE] * 4, [4, 3, 2, 1]], dtype=np.float32)
    assert shortlist_mask(scores).tolist() == [
        [False, True, True, True],
        [False, True, False, False],
        [False] * 4,
        [1, 1, 0, 0],
    ]
    monkeypatch.setattr(shortlist, "KEPT", 4)
    assert (shortlist_mask(scores) == np.isfinite(scores)).all(), "few candidates are all kept"


def test_dropped_candidates_stay_behind_in_their_order() -> None:
    scores = np.array([[1, 5, 3, 2], [NONE, 2, NONE, NONE]], dtype=np.float32)
    is_kept = np.array([[False, True, True, False], [False, True, False, False]])
    ranked = append_rest(scores, is_kept, np.array([-9, -7, 0.5], dtype=np.float32))
    assert ranked.tolist() == [[-11, -9, -7, -10], [NONE, 0.5, NONE, NONE]]
    assert scores.tolist() == [[1, 5, 3, 2], [NONE, 2, NONE, NONE]], "untouched"


def fit_trees() -> tuple[BoostedTrees, Callable[[date], Retrieval]]:
    from tests.jobs.ranking.conftest import make_snapshot

    purchases = make_purchases(lines=4000)
    before = AS_OF - WEEK
    labels = purchases.between(before, AS_OF)
    snapshot = make_snapshot(purchases.before(before), before)
    inputs = fit_entities([purchase_pairs(snapshot, labels, np.random.default_rng(0))], ENCODER)
    towers = made_up_towers(inputs)
    week = candidate_pairs(Retrieval(inputs, towers, {}, snapshot), labels, np.random.default_rng(0))

    def retrieval(as_of: date) -> Retrieval:
        return Retrieval(inputs, towers, {}, make_snapshot(purchases.before(as_of), as_of))

    return BoostedTrees.fit([week], None, inputs, 30, 0), retrieval


@pytest.fixture(scope="module")
def fitted() -> tuple[BoostedTrees, Callable[[date], Retrieval]]:
    return fit_trees()


@pytest.fixture(scope="module")
def many() -> tuple[BoostedTrees, Callable[[date], Retrieval]]:
    """As of a shop of many buyers, whose candidates pass a shortlist."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boosted_trees, "FEW_BUYERS", 1)
        return fit_trees()


@pytest.fixture(scope="module", params=["few", "many"])
def either(request: pytest.FixtureRequest) -> tuple[BoostedTrees, Callable[[date], Retrieval]]:
    return request.getfixturevalue("fitted" if request.param == "few" else "many")


def scored(trees: BoostedTrees, retrieval: Retrieval) -> tuple[Candidates, np.ndarray]:
    candidates = retrieval.of(EVERYONE)
    return candidates, trees.scorer(retrieval)(candidates)


def started(trees: BoostedTrees, candidates: Candidates) -> np.ndarray:
    """Where the trees start."""
    return log_odds(RULES[trees.rule](candidates.merged))


def test_a_short_shortlist_changes_no_score_of_the_kept(
    many: tuple[BoostedTrees, Callable[[date], Retrieval]], monkeypatch: pytest.MonkeyPatch
) -> None:
    trees, at = many
    assert trees.shortlist
    monkeypatch.setattr(shortlist, "KEPT", 10_000)
    candidates, everything = scored(trees, at(AS_OF))
    is_article = candidates.merged.articles != NO_ARTICLE
    assert np.isneginf(everything[~is_article]).all() and np.isfinite(everything[is_article]).all()
    monkeypatch.setattr(shortlist, "KEPT", 8)
    _, short = scored(trees, at(AS_OF))
    first = trees.shortlist.scores(at(AS_OF), candidates, started(trees, candidates))
    is_kept = shortlist_mask(first)
    assert (is_kept.sum(axis=1) >= np.minimum(is_article.sum(axis=1), 8)).all() and not is_kept[~is_article].any()
    assert short[is_kept] == pytest.approx(everything[is_kept], abs=1e-6)
    dropped = is_article & ~is_kept
    lowest, highest = np.where(is_kept, short, np.inf).min(axis=1), np.where(dropped, short, NONE).max(axis=1)
    assert dropped.any() and (lowest[dropped.any(axis=1)] > highest[dropped.any(axis=1)]).all()


def test_the_shortlist_scores_what_it_was_fitted_on(
    many: tuple[BoostedTrees, Callable[[date], Retrieval]],
) -> None:
    """Pair by pair, from the same features as in training, found by name."""
    trees, at = many
    assert trees.shortlist
    retrieval = at(AS_OF)
    candidates = retrieval.of(EVERYONE)
    row, column = np.nonzero(candidates.merged.articles != NO_ARTICLE)
    columns = retrieval.columns(candidates, row, column)
    known = retrieval.snapshot.articles.numeric
    article = candidates.merged.articles[row, column]
    pair = [name for name in columns if name.endswith(("_closeness", "_score"))] + list(AFFINITY_NUMERIC)
    features = np.column_stack([*(columns[n] for n in pair), *(known[n][article] for n in shortlist.ARTICLE_FEATURES)])
    expected = trees.shortlist.booster.predict(features, raw_score=True)
    start = started(trees, candidates)
    scores = trees.shortlist.scores(retrieval, candidates, start)
    assert scores[row, column] == pytest.approx(expected + start[row, column], abs=1e-6)


def test_few_buyers_trees_score_every_candidate(
    fitted: tuple[BoostedTrees, Callable[[date], Retrieval]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the rule on, and of several seeds the mean, as LightGBM itself says, however many customers at once."""
    trees, at = fitted
    assert trees.shortlist is None and len(trees.boosters) == SEEDS_OF_FEW and trees.trees == 30
    assert len({booster.model_to_string() for booster in trees.boosters}) == SEEDS_OF_FEW
    retrieval = at(AS_OF)
    candidates, found = scored(trees, retrieval)
    start, is_article = started(trees, candidates), candidates.merged.articles != NO_ARTICLE
    assert (is_article.sum(axis=1) > 10).any() and np.isneginf(found[~is_article]).all()
    row, column = np.nonzero(is_article)
    customers = boosted_trees._customers(retrieval.inputs, retrieval.snapshot, candidates.customers)[:, row]
    articles = boosted_trees._articles(retrieval.inputs, retrieval.snapshot)[:, candidates.merged.articles[row, column]]
    rows = boosted_trees._matrix(retrieval.columns(candidates, row, column), customers, articles).T
    added = np.mean([booster.predict(rows, raw_score=True) for booster in trees.boosters], axis=0)
    assert np.ptp(added) > 0
    assert found[row, column] == pytest.approx(start[row, column] + added, abs=1e-5)
    monkeypatch.setattr(boosted_trees, "TOGETHER", 7)
    assert np.array_equal(scored(trees, retrieval)[1], found)


def test_many_buyers_trees_are_large_and_of_one_seed(
    fitted: tuple[BoostedTrees, Callable[[date], Retrieval]], many: tuple[BoostedTrees, Callable[[date], Retrieval]]
) -> None:
    assert many[0].shortlist and len(many[0].boosters) == 1 and many[0].trees == 30
    assert many[0].booster.model_to_string() != fitted[0].booster.model_to_string()


def test_the_more_buyers_the_more_trees(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(boosted_trees, "TREES_OF_FEW", 3)
    monkeypatch.setattr(boosted_trees, "TREES_OF_ROOT", 0)
    assert fit_trees()[0].trees == 3
    buyers = int(capsys.readouterr().out.split(" buyers")[0].split()[-1])
    monkeypatch.setattr(boosted_trees, "TREES_OF_ROOT", 7 / buyers**0.5 + 1e-9)
    assert fit_trees()[0].trees == 7


def test_threads_do_not_disturb_one_another(fitted: tuple[BoostedTrees, Callable[[date], Retrieval]]) -> None:
    trees, at = fitted
    retrieval = at(AS_OF)
    candidates, alone = scored(trees, retrieval)
    scorer = trees.scorer(retrieval)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda _: scorer(candidates), range(40)))
    assert all(np.array_equal(scores, alone) for scores in together)


def test_saved_and_loaded_trees_are_the_same(
    either: tuple[BoostedTrees, Callable[[date], Retrieval]], tmp_path: Path
) -> None:
    trees, at = either
    trees.save(tmp_path)
    retrieval = at(AS_OF + timedelta(days=1))
    assert np.array_equal(scored(BoostedTrees.load(tmp_path), retrieval)[1], scored(trees, retrieval)[1])


@pytest.mark.parametrize(
    ("of", "file"),
    [("fitted", BoostedTrees.FILE), ("fitted", "boosted_trees_3.txt"), ("many", shortlist.Shortlist.FILE)],
)
def test_a_damaged_text_is_refused_before_lightgbm_sees_it(
    request: pytest.FixtureRequest, tmp_path: Path, of: str, file: str
) -> None:
    """LightGBM aborts the process on a text that ends within a tree."""
    trees, _ = request.getfixturevalue(of)
    trees.save(tmp_path)
    whole = (tmp_path / file).read_text()
    assert BoostedTrees.load(tmp_path).booster.model_to_string() == trees.booster.model_to_string()
    assert lgb.Booster(model_file=tmp_path / file).num_trees() > 0, "LightGBM reads the file itself, too"
    digit = whole.index("0.", whole.index("leaf_value=")) + 2
    flipped = whole[:digit] + str((int(whole[digit]) + 1) % 10) + whole[digit + 1 :]
    for text in (whole[: len(whole) // 2], flipped, whole.rpartition("sha256=")[0], ""):
        (tmp_path / file).write_text(text)
        with pytest.raises(JobError, match=f"{file}: damaged, truncated or of an older version; run ranking.train"):
            BoostedTrees.load(tmp_path)
    (tmp_path / file).unlink()
    with pytest.raises(JobError, match=f"{file}: cannot be read"):
        BoostedTrees.load(tmp_path)
