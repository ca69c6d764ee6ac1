"""Fitting: each stage learns from its own weeks and nothing later, and a killed fit resumes to the same model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from jobs.platform import code
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.settings import WEEK, Settings
from jobs.ranking import boosted_trees, train
from jobs.ranking.boosted_trees import BoostedTrees
from jobs.ranking.fit import TOWERS, Plan, Weeks, fit_two_stage
from jobs.ranking.model import RANKERS, TwoStageModel
from jobs.ranking.snapshot import Snapshot, SnapshotLoader
from jobs.ranking.train import check_enough, evaluated_plan, final_plan, fingerprint, shortage
from jobs.ranking.training_set import WeekPairs
from jobs.ranking.validation import Validated, validated
from jobs.retrieval.purchases import Purchases, day_number
from tests.jobs.ranking.conftest import ARTICLES, AS_OF, CUSTOMERS, ENCODER, Shop, make_purchases

#: With systems as sources, whose files then tell what they were fitted on.
SYSTEMS = ("als", "item_knn")
SETTINGS = Settings(as_of_date=AS_OF, extra_sources=SYSTEMS)
KEPT = {f"{name}.safetensors" for name in SYSTEMS}
RANKED_FIRST = next(iter(RANKERS))
STARTS = [AS_OF - j * WEEK for j in range(8)]
ROUNDS = {TOWERS: 1, "network": 1, "boosted_trees": 3}
#: Rankers on week 3, towers on week 4; nothing later.
PLAN = Plan("test", STARTS[3:5], None, ROUNDS, list(RANKERS))


def weeks_of(purchases: Purchases, as_of_date: date = AS_OF) -> Weeks:
    known = purchases.before(as_of_date)
    return Weeks(SnapshotLoader(cast(Job, Shop(purchases)), known, ENCODER), known, 0)


def fitted(purchases: Purchases, folder: Path, plan: Plan = PLAN) -> TwoStageModel:
    return fit_two_stage(plan, weeks_of(purchases), ENCODER, SETTINGS, folder)[0]


def forged_from(purchases: Purchases, start: date) -> Purchases:
    """The same shop, with everything from a day on by other customers and of other articles."""
    later, rng = purchases.day >= day_number(start), np.random.default_rng(1)
    customer = np.where(later, rng.integers(0, CUSTOMERS, len(later)), purchases.customer).astype(np.int32)
    article = np.where(later, rng.integers(0, ARTICLES, len(later)), purchases.article).astype(np.int32)
    order = np.lexsort((article, customer, purchases.day))
    return replace(purchases, day=purchases.day[order], customer=customer[order], article=article[order])


def parts(model: TwoStageModel, folder: Path) -> dict[str, bytes]:
    """The saved model, by file."""
    model.save(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def changed(change_from: date, tmp_path: Path) -> set[str]:
    """Files of the model that change with everything from a day on."""
    shop = make_purchases()
    before, after = (
        parts(fitted(purchases, tmp_path / name), tmp_path / f"{name} saved")
        for name, purchases in (("one", shop), ("other", forged_from(shop, change_from)))
    )
    return {name for name in before if before[name] != after[name]}


def test_nothing_after_its_weeks_moves_a_fit(tmp_path: Path) -> None:
    assert changed(STARTS[2], tmp_path) == set()


def test_the_towers_know_nothing_of_the_rankers_weeks(tmp_path: Path) -> None:
    files = changed(STARTS[3], tmp_path)
    assert {"network.safetensors", "boosted_trees.txt"} <= files
    assert not files & {"two_tower.safetensors", *KEPT}


def test_each_stage_learns_from_its_own_weeks(tmp_path: Path) -> None:
    files = changed(STARTS[4], tmp_path)
    assert {"two_tower.safetensors", *KEPT, "network.safetensors", "boosted_trees.txt"} <= files


def test_the_newer_half_is_the_rankers() -> None:
    plan = replace(PLAN, weeks=STARTS[1:6])
    assert (plan.newer, plan.older) == (STARTS[1:4], STARTS[4:6])


def test_a_killed_fit_resumes_to_the_same_model(tmp_path: Path) -> None:
    shop = make_purchases()
    longer = replace(PLAN, rounds={TOWERS: 4, "network": 4, "boosted_trees": 3})
    half = replace(PLAN, rounds={TOWERS: 2, "network": 2, "boosted_trees": 3})
    whole = fitted(shop, tmp_path / "whole", longer)
    fitted(shop, tmp_path / "halves", half)
    # The first half of the ranker learned from candidates of half-fitted towers: only the towers are resumed.
    for path in (tmp_path / "halves" / "network").iterdir():
        path.unlink()
    resumed = fitted(shop, tmp_path / "halves", longer)
    assert parts(whole, tmp_path / "a") == parts(resumed, tmp_path / "b")


def test_the_same_data_have_the_same_fingerprint_whatever_comes_later() -> None:
    shop = make_purchases()
    until = STARTS[1]
    settings = Settings(as_of_date=until)

    def digest(purchases: Purchases, settings: Settings = settings) -> str:
        return fingerprint(weeks_of(purchases, until), STARTS[2:6], ENCODER, settings)

    same = digest(shop)
    assert digest(forged_from(shop, until)) == same
    assert digest(forged_from(shop, STARTS[2])) != same
    assert digest(shop, replace_settings(settings, seed=1)) != same
    assert digest(shop, replace_settings(settings, system_epochs=3)) == same, "without a system there are none"
    given = replace_settings(settings, extra_sources=("gru",))
    assert len({same, digest(shop, given), digest(shop, replace_settings(given, system_epochs=3))}) == 3


def test_other_code_makes_another_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weeks, settings = weeks_of(make_purchases(), STARTS[1]), Settings(as_of_date=STARTS[1])
    given = replace_settings(settings, extra_sources=("als",))
    monkeypatch.setattr(code, "ROOT", tmp_path)
    digests: dict[str, set[str]] = {}
    for room in ("ranking", "recommenders"):
        (tmp_path / "jobs" / room).mkdir(parents=True)
        for text in ("RATE = 0.1", "RATE = 0.2"):
            (tmp_path / "jobs" / room / "trees.py").write_text(text)
            for its in (settings, given):
                name = f"{room}, {len(its.extra_sources)}"
                digests.setdefault(name, set()).add(fingerprint(weeks, STARTS[2:6], ENCODER, its))
    assert {name: len(found) for name, found in digests.items()} == {
        "ranking, 0": 2, "ranking, 1": 2, "recommenders, 0": 1, "recommenders, 1": 2,
    }  # fmt: skip


def replace_settings(settings: Settings, **values: object) -> Settings:
    return settings.model_copy(update=values)


def test_validation_judges_every_ranker(tmp_path: Path) -> None:
    shop = make_purchases()
    model, weeks = fitted(shop, tmp_path), weeks_of(shop)
    labels = weeks.labels(STARTS[2])
    found = validated(model, weeks.snapshot(STARTS[2]), labels)
    assert set(found.rankers) == set(RANKERS)
    for values in (*found.rankers.values(), found.best_sellers):
        assert len(values) == len(np.unique(labels.customer)) and 0 < values.mean() < 1


def test_the_network_ranks_only_where_its_lead_is_significant() -> None:
    trees = np.random.default_rng(0).random(200)
    noise = np.random.default_rng(1).normal(size=200)
    noise -= noise.mean()
    for lead, chosen in ((0.001, "boosted_trees"), (0.5, "network"), (-0.5, "boosted_trees")):
        judged = Validated(
            np.arange(200, dtype=np.int32), np.zeros(200, bool),
            {"network": trees + lead + noise, "boosted_trees": trees}, trees,
        )  # fmt: skip
        assert judged.chosen_ranker(0) == chosen


def test_new_customers_get_best_sellers_unless_the_rankers_lead_is_significant() -> None:
    best_sellers, noise = np.random.default_rng(0).random(200), np.random.default_rng(1).normal(size=200)
    noise -= noise.mean()
    customers, is_new = np.arange(200, dtype=np.int32), np.arange(200) < 100
    noise[is_new] -= noise[is_new].mean()

    def ranks(lead_of_new: float, who: np.ndarray = is_new) -> bool:
        trees = best_sellers + noise + np.where(is_new, lead_of_new, 5)
        return Validated(customers, who, {"boosted_trees": trees}, best_sellers).ranks_new_customers("boosted_trees", 0)

    assert (ranks(0.001), ranks(0.5), ranks(-0.5)) == (False, True, False)
    assert not ranks(0.5, np.zeros(200, bool)), "no customer is new"


def test_a_lead_among_a_handful_of_buyers_chooses_nothing() -> None:
    for count, is_enough in ((1, False), (5, False), (6, True)):
        best_sellers = np.zeros(count)
        judged = Validated(
            np.arange(count, dtype=np.int32), np.ones(count, bool),
            {"network": best_sellers + 0.5, "boosted_trees": best_sellers + 0.1}, best_sellers,
        )  # fmt: skip
        assert judged.ranks_new_customers("boosted_trees", 0) == is_enough
        assert judged.chosen_ranker(0) == ("network" if is_enough else "boosted_trees")


def judged(purchases: Purchases, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[date, dict[str, bytes]]:
    """The models that choose between rankers, by the week that they are judged on."""
    seen: dict[date, dict[str, bytes]] = {}

    def spied(model: TwoStageModel, snapshot: Snapshot, labels: Purchases) -> Validated:
        seen[snapshot.as_of_date] = parts(model, folder / str(snapshot.as_of_date))
        return validated(model, snapshot, labels)

    monkeypatch.setattr(train, "validated", spied)
    plan = replace(PLAN, weeks=STARTS[2:7], validation=STARTS[1])
    model, rounds, choice = train.fit_evaluated(plan, weeks_of(purchases), ENCODER, SETTINGS, folder)
    assert choice.weeks == len(seen) and set(choice.scores) == set(model.rankers) == rounds.keys() - {TOWERS}
    assert seen[STARTS[1]] == parts(replace(model, chosen=RANKED_FIRST, ranks_new_customers=True), folder / "evaluated")
    return seen


def test_a_small_shop_chooses_its_ranker_on_weeks_that_no_ranker_has_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the newest of the rankers' three weeks, too: what happens there moves none of those judged."""
    shop = make_purchases()
    known = judged(shop, tmp_path / "one", monkeypatch)
    assert set(known) == {STARTS[1], STARTS[2]}
    later = judged(forged_from(shop, STARTS[2]), tmp_path / "later", monkeypatch)
    assert later[STARTS[2]] == known[STARTS[2]] and later[STARTS[1]] != known[STARTS[1]]
    earlier = judged(forged_from(shop, STARTS[4]), tmp_path / "earlier", monkeypatch)
    assert earlier[STARTS[2]]["boosted_trees.txt"] != known[STARTS[2]]["boosted_trees.txt"]
    monkeypatch.setattr(train, "ENOUGH_TO_CHOOSE", 1)
    assert set(judged(shop, tmp_path / "enough", monkeypatch)) == {STARTS[1]}


def test_the_final_trees_are_of_the_kind_that_was_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where its weeks have just as many buyers as the other kind needs: the rounds are not that kind's."""
    evaluate = train.fit_evaluated

    def then_more_buyers(*args: Any) -> Any:
        found = evaluate(*args)
        monkeypatch.setattr(boosted_trees, "FEW_BUYERS", 1)
        return found

    monkeypatch.setattr(train, "fit_evaluated", then_more_buyers)
    settings = Settings(as_of_date=AS_OF, training_weeks=2, max_epochs=1)
    fits = train.fit_both(evaluated_plan(settings), weeks_of(make_purchases()), ENCODER, settings, tmp_path)
    kinds = [fit.rankers["boosted_trees"] for fit in (fits.evaluated, fits.final)]
    assert all(isinstance(trees, BoostedTrees) and trees.for_few_buyers for trees in kinds)
    assert fits.final.chosen == "boosted_trees"


def test_the_rehearsal_has_trees_of_the_kind_that_it_stands_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where all weeks just have as many buyers as large trees need, two thirds of them have fewer."""
    fit_trees, kinds = BoostedTrees.fit, []

    def spied(weeks: Sequence[WeekPairs], *args: Any) -> BoostedTrees:
        if not kinds:
            monkeypatch.setattr(boosted_trees, "FEW_BUYERS", sum(len(np.unique(week.row)) for week in weeks))
        kinds.append((trees := fit_trees(weeks, *args)).for_few_buyers)
        return trees

    monkeypatch.setattr(BoostedTrees, "fit", spied)
    plan = replace(PLAN, weeks=STARTS[2:7], validation=STARTS[1])
    train.fit_evaluated(plan, weeks_of(make_purchases()), ENCODER, SETTINGS, tmp_path)
    assert kinds == [False, False]


def both(settings: Settings) -> list[Plan]:
    return [evaluated_plan(settings), final_plan(settings, {}, [])]


def test_too_little_to_learn_from_is_said_with_what_there_is_and_what_is_needed() -> None:
    settings = Settings(as_of_date=AS_OF, training_weeks=2)
    shop = make_purchases(lines=3000)
    assert shortage(weeks_of(shop), *both(settings)) is None
    few = weeks_of(make_purchases(lines=60))
    has = few.counted([AS_OF - 7 * WEEK])
    words = (
        "too little to train on: the 1 weeks from 2020-07-29, those of the evaluated fit's retrieval, have "
        f"{', '.join(f'{n} {what}' for what, n in has.items())} (of articles already on sale); "
        "needed are 50 purchases, 10 customers, 20 articles"
    )
    with pytest.raises(JobError, match=re.escape(words)):
        check_enough(few, evaluated_plan(settings))
    one = replace(shop, customer=np.zeros_like(shop.customer))
    assert ", 1 customers, " in (shortage(weeks_of(one), *both(settings)) or "")


def test_a_shop_that_stopped_selling_trains_no_final_fit() -> None:
    """The evaluated fit's weeks are full, those of the final one empty."""
    settings = Settings(as_of_date=AS_OF, training_weeks=2)
    shop = make_purchases(lines=3000)
    stopped = shop.before(AS_OF - 3 * WEEK)
    words = "those of the final fit's retrieval, have 0 purchases, 0 customers, 0 articles"
    assert words in (shortage(weeks_of(stopped), *both(settings)) or "")
    late = shop.where((shop.day < day_number(AS_OF - 5 * WEEK)) | (shop.day >= day_number(AS_OF - 4 * WEEK)))
    assert "nothing on sale was bought in the week from 2020-08-12" in (shortage(weeks_of(late), *both(settings)) or "")
