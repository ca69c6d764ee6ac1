"""A value that cannot be true, in any numeric column of the tables that a model reads, moves only whom it is about.

The champion of the day was fitted on clean weeks. What is about a customer may move that customer's list; what is about
an article counts like the greatest, or the least, that training has seen of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import polars as pl
import pytest
import torch

from expectations.contract import GREATEST
from jobs.platform.codes import NO_ARTICLE
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.settings import WEEK, Settings
from jobs.ranking.fit import TOWERS, Plan, Weeks, fit_two_stage
from jobs.ranking.inputs import ARTICLE_LOGGED, ARTICLE_PLAIN, CUSTOMER_LOGGED, CUSTOMER_PLAIN
from jobs.ranking.model import RANKERS, TwoStageModel
from jobs.ranking.preprocessing import Preprocessing
from jobs.ranking.rank import Recommender
from jobs.ranking.snapshot import Columns, Snapshot, SnapshotLoader
from tests.jobs.ranking.conftest import AS_OF, ENCODER, EVERYONE, Shop, make_purchases

FORGED = pytest.mark.parametrize("value", [1e308, 1e9, math.inf, -math.inf, -1.0, 0.0, 5e-324, math.nan])
SHOP = make_purchases(lines=4000)
CUSTOMER_COLUMNS = (*CUSTOMER_PLAIN, *CUSTOMER_LOGGED)
ARTICLE_COLUMNS = (*ARTICLE_PLAIN, *ARTICLE_LOGGED)

Rows = Callable[..., pl.DataFrame]


@dataclass
class Forged(Shop):
    """The shop with another value in the table's column on the row of an id; one row for each column."""

    table: str = "customer_features"
    key: str = "customer_id"
    cells: tuple[tuple[str, str], ...] = ()  # column, id
    value: float = 0.0

    def __getattribute__(self, name: str) -> object:
        found = super().__getattribute__(name)
        if name != super().__getattribute__("table"):
            return found

        def forged(**where: object) -> pl.DataFrame:
            rows = cast(Rows, found)(**where)
            for column, key in self.cells:
                changed = pl.when(pl.col(self.key) == key).then(pl.lit(self.value)).otherwise(pl.col(column))
                rows = rows.with_columns(changed.cast(pl.Float64).alias(column))
            return rows

        return forged


def snapshot_of(shop: Shop) -> Snapshot:
    with np.errstate(all="ignore"):
        return SnapshotLoader(cast(Job, shop), SHOP, ENCODER).at(AS_OF)


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> TwoStageModel:
    known = SHOP.before(AS_OF)
    weeks = Weeks(SnapshotLoader(cast(Job, Shop(known)), known, ENCODER), known, 0)
    starts = [AS_OF - j * WEEK for j in range(1, 5)]
    plan = Plan("test", starts, None, {TOWERS: 2, "network": 3, "boosted_trees": 20}, list(RANKERS))
    folder = tmp_path_factory.mktemp("fit")
    model, _ = fit_two_stage(plan, weeks, ENCODER, Settings(as_of_date=AS_OF), folder)
    model.save(folder / "saved")  # ranges are part of what is registered
    return TwoStageModel.load(folder / "saved")


def lists(model: TwoStageModel, snapshot: Snapshot) -> dict[str, np.ndarray]:
    """Everybody's twelve articles, by each ranker."""
    recommender = Recommender(model, snapshot)
    with np.errstate(all="ignore"):
        ranked = recommender.rank_by(recommender.candidates(EVERYONE), 12, list(RANKERS))
    return {name: found.articles for name, found in zip(RANKERS, ranked, strict=True)}


def moved(model: TwoStageModel, first: Snapshot, second: Snapshot) -> dict[str, set[int]]:
    """Customers whose list differs."""
    before, after = lists(model, first), lists(model, second)
    return {name: set(np.flatnonzero((before[name] != after[name]).any(axis=1)).tolist()) for name in before}


@FORGED
def test_a_customers_numbers_move_nobody_else(champion: TwoStageModel, value: float) -> None:
    about = {3 + n: column for n, column in enumerate(CUSTOMER_COLUMNS)}
    cells = tuple((column, f"c{customer:03}") for customer, column in about.items())
    found = moved(champion, snapshot_of(Shop(SHOP)), snapshot_of(Forged(SHOP, cells=cells, value=value)))
    assert all(customers <= about.keys() for customers in found.values()), found


@FORGED
@pytest.mark.parametrize("customer", [10, 57])
def test_an_age_moves_only_the_bands_that_a_buyer_leaves_and_joins(
    champion: TwoStageModel, customer: int, value: float
) -> None:
    """They sold other things then; who never bought (57) counts in none."""
    forged = Forged(SHOP, "customers", "customer_id", (("age", f"c{customer:03}"),), value)
    before, after = snapshot_of(Shop(SHOP)), snapshot_of(forged)
    bands = {int(at.age_band[customer]) for at in (before, after)} if customer in SHOP.customer else set()
    of_bands = set(np.flatnonzero(np.isin(before.age_band, list(bands))).tolist())
    assert len(of_bands) < len(EVERYONE) / 2
    found = moved(champion, before, after)
    assert all(customers <= of_bands | {customer} for customers in found.values()), found


@pytest.mark.parametrize("column", ARTICLE_COLUMNS)
def test_an_articles_number_counts_as_the_end_of_what_was_seen(champion: TwoStageModel, column: str) -> None:
    """Which customers then see less or more of it is for the model to say; all other articles keep their scores."""
    article, ranges = f"{7:010}", champion.inputs.articles
    ends = {math.inf: ranges.maxima[column], -math.inf: ranges.minima[column]}
    unlogged = {end: math.expm1(value) if column in ARTICLE_LOGGED else value for end, value in ends.items()}
    at_end = {end: snapshot_of(shop_with(column, article, value)) for end, value in unlogged.items()}
    for value, end in ((1e308, math.inf), (1e9, math.inf), (math.inf, math.inf), (-math.inf, -math.inf)):
        if column in ARTICLE_LOGGED and value < 0:
            continue  # log(1 + x) is unknown then
        assert moved(champion, at_end[end], snapshot_of(shop_with(column, article, value))) == {
            ranker: set() for ranker in RANKERS
        }, value


@FORGED
def test_every_score_is_finite_whatever_the_tables_say(champion: TwoStageModel, value: float) -> None:
    cells = tuple((column, f"{n:010}") for n, column in enumerate(ARTICLE_COLUMNS))
    snapshot = snapshot_of(Forged(SHOP, "article_features", "article_id", cells, value))
    if math.isfinite(value):  # what the contract lets pass
        snapshot.images[0, 0] = min(value, GREATEST)
    for found in lists(champion, snapshot).values():
        assert (found != NO_ARTICLE).all() and all(len(set(row)) == 12 for row in found.tolist())


def shop_with(column: str, article: str, value: float) -> Shop:
    return Forged(SHOP, "article_features", "article_id", ((column, article),), value)


def test_without_ranges_an_absurd_value_reaches_everybody(champion: TwoStageModel) -> None:
    """As in versions registered before there were any, which are used as they are."""
    inputs = champion.inputs.to_dict()
    for kind in ("customers", "articles", "pairs"):
        del inputs[kind]["minima"], inputs[kind]["maxima"]
    del inputs["image_limit"]
    old = replace(champion, inputs=type(champion.inputs).from_dict(inputs))
    assert lists(old, snapshot_of(Shop(SHOP)))["network"].shape == (len(EVERYONE), 12)
    dear = snapshot_of(shop_with("price_mean", f"{7:010}", champion.inputs.articles.maxima["price_mean"]))
    absurd = snapshot_of(shop_with("price_mean", f"{7:010}", 1e9))
    assert len(moved(old, dear, absurd)["network"]) > len(EVERYONE) / 4


def test_ranges_are_those_of_all_weeks_learnt_from(champion: TwoStageModel) -> None:
    """None of their buyers or articles is clipped by them."""
    for week in (AS_OF - j * WEEK for j in range(1, 5)):
        known = SHOP.before(AS_OF)
        snapshot = SnapshotLoader(cast(Job, Shop(known)), known, ENCODER).at(week)
        inside = champion.inputs.within(snapshot)
        buyers = np.unique(known.between(week, week + WEEK).customer)
        for name, values in snapshot.customers.numeric.items():
            assert np.array_equal(values[buyers], inside.customers.numeric[name][buyers], equal_nan=True), name
        for name, values in snapshot.articles.numeric.items():
            on_sale = snapshot.on_sale
            assert np.array_equal(values[on_sale], inside.articles.numeric[name][on_sale], equal_nan=True), name


def test_scores_that_are_not_finite_are_refused(champion: TwoStageModel) -> None:
    """Before anything is registered (validation) or published: with them a list would name an article twice."""
    clean = snapshot_of(Shop(SHOP))
    with pytest.MonkeyPatch.context() as patch:
        weights = next(champion.rankers["network"].module.parameters())  # type: ignore[union-attr]
        patch.setattr(weights, "data", torch.full_like(weights, math.nan))
        with pytest.raises(JobError, match=r"network: scores of candidates: [\d,]+ of [\d,]+ are not finite numbers"):
            lists(champion, clean)
        trees = Recommender(champion, clean)
        assert trees.rank(trees.candidates(EVERYONE), 12, "boosted_trees").articles.shape == (len(EVERYONE), 12)
    for tower, what in (("query_tower", "customers"), ("item_tower", "articles")):
        weights = next(getattr(champion.towers, tower).parameters())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(weights, "data", torch.full_like(weights, math.nan))
            with pytest.raises(JobError, match=f"two_tower: vectors of {what}: .*nothing registered or published"):
                lists(champion, clean)
    assert lists(champion, clean)["network"].shape == (len(EVERYONE), 12)


def test_preprocessing_takes_infinity_for_unknown() -> None:
    rows = Columns({"price": np.array([1.0, 2.0, math.inf, math.nan, 6.0], dtype=np.float32)}, {})
    fitted = Preprocessing.fit([(rows, np.arange(5))]).seen([(rows, slice(None))])
    assert (fitted.medians, fitted.minima, fitted.maxima) == ({"price": 2.0}, {"price": 1.0}, {"price": 6.0})
    clipped = fitted.clipped(rows.numeric | {"other": rows.numeric["price"]})
    assert np.array_equal(clipped["price"], np.array([1, 2, 6, math.nan, 6], dtype=np.float32), equal_nan=True)
    assert clipped["other"] is rows.numeric["price"], "of which nothing is known"
