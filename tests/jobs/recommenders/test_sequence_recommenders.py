"""What every sequence recommender keeps, and that it learns what comes next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from jobs.platform.codes import NO_ARTICLE
from jobs.platform.errors import JobError
from jobs.recommenders.sequence_model import Sequences
from jobs.retrieval.purchases import Purchases
from jobs.retrieval.source import TopK
from tests.jobs.recommenders.small import AS_OF_DAY, SYSTEMS, circle, known
from tests.jobs.retrieval.small import codes, everyone, on, purchases

each_system = pytest.mark.parametrize("name", SYSTEMS)
Fitted = Callable[[str], Sequences]
TODAY = on(AS_OF_DAY)


def random_shop(seed: int = 0, lines: int = 120) -> Purchases:
    """Customer 5 bought once, customer 6 never; article 8 was never sold; some lines are of later days."""
    rng = np.random.default_rng(seed)
    drawn = np.column_stack(
        [rng.integers(0, AS_OF_DAY + 9, lines), rng.integers(0, 5, lines), rng.integers(0, 8, lines)]
    )
    return purchases([*map(tuple, drawn.tolist()), (3, 5, 1)], customers=7, articles=9)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    """Systems fitted on the random shop, each once."""
    return cache(lambda name: SYSTEMS[name](known(random_shop(), tmp_path_factory.mktemp(name))))


def assert_same(found: TopK, other: TopK) -> None:
    assert found.articles.tolist() == other.articles.tolist()
    np.testing.assert_array_equal(found.scores, other.scores)


@each_system
def test_nothing_dated_on_or_after_the_as_of_date_matters(name: str, fitted: Fitted, tmp_path: Path) -> None:
    shop, past = random_shop(), random_shop().before(TODAY)
    assert len(past) < len(shop)
    expected = fitted(name).at(past, TODAY, 5).of(everyone(shop))
    assert_same(fitted(name).at(shop, TODAY, 5).of(everyone(shop)), expected)
    careless = replace(known(shop, tmp_path), history=shop)
    assert_same(SYSTEMS[name](careless).at(past, TODAY, 5).of(everyone(shop)), expected)


@each_system
def test_what_comes_next_is_learned(name: str, tmp_path: Path) -> None:
    shop, customers = circle(160), np.arange(160)
    model = SYSTEMS[name](known(shop, tmp_path, epochs=5))
    picks = model.at(shop, TODAY, 3).of(everyone(shop)).articles
    assert (picks[:, 0] == (customers + 11) % 7).mean() > 0.95
    # A day later everybody has bought it, and the one after is next: the fitted network follows.
    later = circle(160, length=12)
    assert (model.at(later, TODAY, 3).of(everyone(shop)).articles[:, 0] == (customers + 12) % 7).mean() > 0.95


@pytest.mark.parametrize("name", ["gru", "self_attentive"])
def test_articles_sold_since_the_fit_need_features(name: str, fitted: Fitted) -> None:
    later = purchases([(AS_OF_DAY, 6, 8), (AS_OF_DAY, 5, 8), (2, 5, 1)], customers=7, articles=9)
    without = fitted(name).at(later, on(AS_OF_DAY + 7), 3).of(codes(5, 6)).articles
    assert without.tolist() == [[1, NO_ARTICLE, NO_ARTICLE], [NO_ARTICLE] * 3]
    told = fitted(f"{name}_features").at(later, on(AS_OF_DAY + 7), 3).of(codes(5, 6)).articles
    assert [sorted(row) for row in told.tolist()] == [[NO_ARTICLE, 1, 8]] * 2


def test_an_unseen_article_is_told_by_its_features(tmp_path: Path) -> None:
    # Article 7 looks just like article 3, and is sold for the first time after the fit.
    features = np.eye(7, dtype=np.float32)[[*range(7), 3]]
    shop = purchases(
        [(day, who, (who + day) % 7) for who in range(160) for day in range(11)], customers=160, articles=8
    )
    model = SYSTEMS["gru_features"](known(shop, tmp_path, features=features, epochs=5))
    begun = [(day, who, who + day) for who in range(5) for day in range(2)]
    later = purchases([*begun, (4, 9, 1), (5, 9, 2), (6, 9, 7)], customers=160, articles=8)
    source = model.at(later, on(10), 8)
    assert source.of(codes(9)).articles[0, 0] == 4, "after 1, 2 and what looks like 3"
    found = source.of(codes(0, 1, 2, 3, 4))
    assert found.scores[found.articles == 7].argmax() == 1, "most likely after 1 and 2"


@pytest.mark.parametrize("name", ["gru", "self_attentive"])
def test_a_fit_repeats_for_its_seed(name: str, tmp_path: Path) -> None:
    shop = random_shop()
    again, other = (SYSTEMS[name](known(shop, tmp_path / str(seed), seed=seed, epochs=1)) for seed in (5, 6))
    first = SYSTEMS[name](known(shop, tmp_path / "first", epochs=1))
    expected = first.at(shop, TODAY, 5).of(everyone(shop))
    assert_same(again.at(shop, TODAY, 5).of(everyone(shop)), expected)
    assert not np.array_equal(other.at(shop, TODAY, 5).of(codes(0)).scores, expected.scores[:1])


@each_system
def test_a_catalogue_of_one_article(name: str, tmp_path: Path) -> None:
    shop = purchases([(1, 0, 0), (2, 0, 0), (2, 1, 0)], customers=3, articles=1)
    found = SYSTEMS[name](known(shop, tmp_path)).at(shop, TODAY, 2).of(everyone(shop))
    assert found.articles.tolist() == [[0, NO_ARTICLE], [0, NO_ARTICLE], [NO_ARTICLE, NO_ARTICLE]]


@each_system
@pytest.mark.parametrize("lines", [[], [(AS_OF_DAY, 0, 0), (AS_OF_DAY + 1, 0, 0)], [(0, 0, 0), (0, 1, 0)]])
def test_nobody_who_bought_twice_is_one_clear_line(
    name: str, lines: list[tuple[int, int, int]], tmp_path: Path
) -> None:
    with pytest.raises(JobError, match="nobody bought twice before 2020-08-31"):
        SYSTEMS[name](known(purchases(lines, customers=2, articles=2), tmp_path))


@each_system
def test_a_history_without_purchases_has_no_picks(name: str, fitted: Fitted) -> None:
    nothing = random_shop().before(on(0))
    assert (fitted(name).at(nothing, TODAY, 4).of(everyone(nothing)).articles == NO_ARTICLE).all()


@pytest.mark.parametrize("name", ["gru_features", "self_attentive_features"])
def test_a_system_with_features_asks_for_some(name: str, tmp_path: Path) -> None:
    with pytest.raises(JobError, match="no side features"):
        SYSTEMS[name](known(random_shop(), tmp_path, features=np.zeros((9, 0), dtype=np.float32)))


def test_units_of_a_line_are_events_where_the_reading_says_so(tmp_path: Path) -> None:
    # Two units of each of three articles, one of another.
    shop = purchases([(day, 0, day) for day in (0, 1, 2) for _ in range(2)] + [(4, 0, 3)], customers=1, articles=4)
    for reading, counts in (("merged_lines", [1, 1, 1, 1]), ("every_unit", [2, 2, 2, 1])):
        model = SYSTEMS["gru"](known(shop, tmp_path, epochs=1), reading=reading)
        assert model.network.vectors.counts.tolist() == counts
