"""Lists arranged by hand, and the limits as laws on random candidates."""

from __future__ import annotations

import numpy as np
import pytest

from jobs.platform.codes import NO_ARTICLE
from jobs.ranking.arrange import Arrangement, Demand, Goods, arranged, eligible

#: Articles 0 to 2 are one product; 6 and 7 are new; 3 looks like 0, 5 like 4.
PRODUCT = np.array([0, 0, 0, 1, 2, 3, 4, 5], dtype=np.int32)
IS_NEW = np.array([0, 0, 0, 0, 0, 0, 1, 1], dtype=bool)
LOOKS = np.array([[1, 0], [0, 0], [0, 0], [1, 0], [0, 1], [0, 1], [0, 0], [0, 0]], dtype=np.float32)
GOODS = Goods(PRODUCT, IS_NEW, LOOKS)
CANDIDATES = np.array([[0, 1, 2, 3, 4, 5, 6, 7]], dtype=np.int32)


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        (Arrangement(max_variants=4), [0, 1, 2, 3]),
        (Arrangement(max_variants=1), [0, 3, 4, 5]),
        (Arrangement(max_variants=2), [0, 1, 3, 4]),
        (Arrangement(max_variants=4, new_arrivals_share=0.25), [0, 1, 2, 6]),
        (Arrangement(max_variants=4, new_arrivals_share=0.5), [0, 1, 6, 7]),
        (Arrangement(max_variants=4, new_arrivals_share=0.75), [0, 6, 7, 1]),  # there are two
        (Arrangement(max_variants=1, diversity=0.4), [0, 4, 6, 7]),
    ],
)
def test_by_hand(asked: Arrangement, shown: list[int]) -> None:
    assert arranged(CANDIDATES, GOODS, asked, 4).tolist() == [shown]


def test_limits_that_cannot_be_kept_leave_no_place_empty() -> None:
    few = np.array([[2, 1, 0, NO_ARTICLE], [5, NO_ARTICLE, NO_ARTICLE, NO_ARTICLE]], dtype=np.int32)
    nobody = np.zeros(few.shape, dtype=bool)
    columns = arranged(few, GOODS, Arrangement(max_variants=1, new_arrivals_share=0.5), 3, nobody)
    assert columns.tolist() == [[0, 1, 2], [0, -1, -1]]


def test_a_best_seller_that_a_list_cannot_do_without_stays_at_its_rank() -> None:
    """All have the same eight candidates, of which three in ten lists each make two or three places of four."""
    candidates, demand = np.repeat(CANDIDATES, 10, axis=0), Demand(8, 8)
    demand.add(candidates.ravel(), np.tile(np.arange(8), 10))
    fits = eligible(candidates, np.linspace(0, 0.9, 10, dtype=np.float32), demand.limits(10, 0.3))
    is_short = fits.sum(axis=1) < 4
    assert is_short.any() and not fits[is_short, 0].all()
    columns = arranged(candidates, GOODS, Arrangement(max_variants=4), 4, fits)
    assert (columns[is_short, 0] == 0).all() and (np.diff(columns[is_short], axis=1) > 0).all()
    for row, own in zip(columns[is_short], fits[is_short], strict=True):
        assert set(np.flatnonzero(own)) <= set(row), "room is used up all the same"


def test_a_share_of_lists_that_is_a_whole_number_is_that_number() -> None:
    """As a float 100 * 0.29 is 28.999..."""
    demand = Demand(1, 1)
    demand.add(np.zeros(100, np.int32), np.zeros(100, np.int32))
    rank, part = demand.limits(100, 0.29)
    assert rank.tolist() == [0] and part.tolist() == [np.float32(0.29)]


def test_where_an_articles_share_cannot_be_kept_the_other_limits_still_are() -> None:
    """Of three lists a share of 0.3 is less than one: there is room for nothing."""
    candidates, demand = np.repeat(CANDIDATES, 3, axis=0), Demand(8, 8)
    demand.add(candidates.ravel(), np.tile(np.arange(8), 3))
    fits = eligible(candidates, np.array([0, 0.4, 0.8], np.float32), demand.limits(3, 0.3))
    assert not fits.any()
    asked = Arrangement(max_variants=1, new_arrivals_share=0.25)
    assert arranged(candidates, GOODS, asked, 4, fits).tolist() == [[0, 3, 4, 6]] * 3


@pytest.mark.parametrize("share", [0.05, 0.3, 1.0])
def test_no_article_is_in_more_lists_than_it_may(share: float) -> None:
    """Of 4,000 lists from a few articles, a third of which all have the same best candidates."""
    generator = np.random.default_rng(0)
    articles, width, lists, count = 60, 12, 4000, 3
    candidates = np.argsort(generator.random((lists, articles)) * np.arange(1, articles + 1), axis=1)
    candidates = candidates[:, :width].astype(np.int32)
    candidates[::3] = np.arange(width)
    goods = Goods(np.arange(articles, dtype=np.int32), np.zeros(articles, bool), np.zeros((articles, 0), np.float32))
    demand = Demand(articles, width)
    for block in np.array_split(candidates, 5):
        demand.add(block.ravel(), np.tile(np.arange(width), len(block)))
    draws = generator.random(lists).astype(np.float32)
    fits = eligible(candidates, draws, demand.limits(lists, share))
    shown = np.take_along_axis(candidates, arranged(candidates, goods, Arrangement(30), count, fits), axis=1)
    most = np.bincount(shown[fits.sum(axis=1) >= count].ravel()).max() / lists
    assert most <= share + 0.01, "chance decides at the last rank"
    assert (np.diff(np.sort(shown, axis=1), axis=1) > 0).all(), "no article twice"
    if share == 1.0:
        assert (shown == candidates[:, :count]).all()
    else:
        assert np.bincount(candidates[:, :count].ravel()).max() / lists > share + 0.01, "there is something to limit"


def test_neutral_settings_need_no_arranging() -> None:
    assert Arrangement(12).is_neutral(12) and not Arrangement(11).is_neutral(12)
    assert not any(
        asked.is_neutral(12)
        for asked in (Arrangement(12, 0.1), Arrangement(12, diversity=0.1), Arrangement(12, max_article_share=0.5))
    )
