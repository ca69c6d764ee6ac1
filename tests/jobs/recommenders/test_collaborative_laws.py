"""What every collaborative system keeps to, whatever was bought."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pyarrow as pa
import pytest

from jobs.platform.codes import NO_ARTICLE, Ints
from jobs.platform.errors import JobError
from jobs.recommenders import als_spark
from jobs.recommenders.recommender import Model
from jobs.retrieval.purchases import Purchases
from jobs.retrieval.source import TopK
from tests.jobs.recommenders.shops import AS_OF_DAY, SYSTEMS, known, two_tastes, two_tastes_lines
from tests.jobs.retrieval.small import codes, everyone, on, purchases

each_system = pytest.mark.parametrize("name", SYSTEMS)
COUNT = 7


@pytest.fixture(autouse=True)
def session(name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spark's, for the one system that needs it; few iterations, each of which is many tasks."""
    if name == "als_spark":
        request.getfixturevalue("spark")
        monkeypatch.setattr(als_spark, "ITERATIONS", 3)


def shop() -> Purchases:
    """Random purchases of 14 customers among 12 articles, some of them on or after the as-of date.

    Customer 12 bought one unit, 13 nothing; article 10 sells only on the as-of date, 11 never.
    """
    rng = np.random.default_rng(0)
    lines = np.stack([rng.integers(0, AS_OF_DAY + 5, 150), rng.integers(0, 12, 150), rng.integers(0, 10, 150)], axis=1)
    return purchases([*map(tuple, lines.tolist()), (3, 12, 4), (AS_OF_DAY, 0, 10)], 14, 12)


@cache
def fitted(name: str) -> Model:
    """Of the shop's past."""
    return SYSTEMS[name](known(shop()))


def picks(model: Model, history: Purchases, count: int = COUNT) -> TopK:
    """Everyone's as of AS_OF_DAY."""
    return model.at(history.before(on(AS_OF_DAY)), on(AS_OF_DAY), count).of(everyone(history))


def assert_same(found: TopK, other: TopK) -> None:
    np.testing.assert_array_equal(found.articles, other.articles)
    np.testing.assert_allclose(found.scores, other.scores, rtol=1e-6)


@each_system
def test_what_was_bought_can_be_picked_again(name: str) -> None:
    history = shop()
    bought = set(zip(history.customer.tolist(), history.article.tolist(), strict=True))
    found = picks(fitted(name), history).articles
    assert any((customer, article) in bought for customer, row in enumerate(found.tolist()) for article in row)


@each_system
def test_nothing_dated_on_or_after_the_as_of_date_matters(name: str) -> None:
    """Neither what is sold then, nor that catalogue and register list more already."""
    history = shop()
    sold = np.where(history.day >= history.day.max() - 4, 2, history.article)
    more = pa.array([*history.article_ids.to_pylist(), "b0"]), pa.array([*history.customer_ids.to_pylist(), "d0", "d1"])
    forged = replace(history, article=sold, article_ids=more[0], customer_ids=more[1])
    found = picks(SYSTEMS[name](known(forged)), forged)
    assert (found.articles[14:] == NO_ARTICLE).all()
    assert_same(TopK(found.articles[:14], found.scores[:14]), picks(fitted(name), history))


@each_system
def test_purchases_after_the_fit_count_for_picks_after_it(name: str) -> None:
    """Customer 0 turns to the other side's articles, and who had bought nothing starts with it."""
    odd = [(AS_OF_DAY + 1, customer, article) for customer in (0, 24) for article in (1, 3, 5, 7, 9) for _ in range(3)]
    history = purchases([*two_tastes_lines(), *odd], 25, 24)
    model = SYSTEMS[name](known(history))
    first = picks(model, history, 24)
    assert (first.articles[0, :8] % 2 == 0).all() and (first.articles[24] == NO_ARTICLE).all()
    then = model.at(history, on(AS_OF_DAY + 2), 24).of(codes(0, 24)).articles
    assert mean_place(then[0]) < mean_place(first.articles[0]) and then[1, 0] % 2 == 1


def mean_place(row: Ints) -> float:
    """Of articles 1, 3, 5, 7 and 9; behind the row where it does not hold one."""
    return float(np.mean([np.argmax(np.append(row, article) == article) for article in (1, 3, 5, 7, 9)]))


@each_system
def test_two_tastes_are_told_apart(name: str) -> None:
    """The twelve articles of a customer's side come first, also the four that the customer never bought."""
    history = two_tastes()
    found = picks(SYSTEMS[name](known(history)), history, 12).articles
    share = (found % 2 == np.arange(24)[:, None] % 2).mean()
    assert share > (0.95 if name == "logistic_mf" else 0.999)  # it draws what was not bought as unwanted


@each_system
def test_a_shop_of_one_article_or_one_customer(name: str) -> None:
    history = purchases([(1, 0, 0), (2, 1, 0), (AS_OF_DAY, 2, 0)], 3, 1)
    one_article = picks(SYSTEMS[name](known(history)), history).articles
    assert set(one_article[:2].ravel().tolist()) <= {0, NO_ARTICLE} and (one_article[2] == NO_ARTICLE).all()
    history = purchases([(1, 0, 0), (2, 0, 3)], 1, 4)
    one_customer = picks(SYSTEMS[name](known(history)), history).articles
    assert set(one_customer.ravel().tolist()) <= {0, 3, NO_ARTICLE}


@each_system
def test_an_empty_history_is_one_clear_line(name: str) -> None:
    with pytest.raises(JobError, match="no purchase to learn from"):
        history = purchases([(AS_OF_DAY, 0, 0)], 2, 2)
        picks(SYSTEMS[name](known(history)), history)
