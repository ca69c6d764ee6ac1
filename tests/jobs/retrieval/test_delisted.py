"""An article that is listed no more: it leads to picks, and is none, from its date on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from jobs.platform.codes import NO_ARTICLE
from jobs.recommenders import item_knn, user_knn
from jobs.retrieval.baselines import BASELINES
from jobs.retrieval.candidates import HeuristicSources
from jobs.retrieval.context import SourceContext
from jobs.retrieval.fallbacks import Fallbacks, Ranking
from jobs.retrieval.purchases import NEVER, Purchases, day_number
from jobs.retrieval.source import TopK, listed_only
from jobs.retrieval.windows import Windows
from tests.jobs.recommenders.shops import known
from tests.jobs.retrieval.small import everyone, on, purchases

AS_OF, ARTICLES, CUSTOMERS, GONE = on(60), 12, 20, 3


def bought(gone_from: int | None = None) -> Purchases:
    """Random purchases of 60 days, those of article GONE most of all, each week; it is delisted from that day on."""
    rng = np.random.default_rng(0)
    rows = [(int(d), int(c), int(a)) for d, c, a in rng.integers(0, [60, CUSTOMERS - 1, ARTICLES], (150, 3))]
    weekly = [(day, 0, GONE) for day in range(3, 60, 7)]
    history = purchases([*rows, *weekly, *((59, c, GONE) for c in range(15))], CUSTOMERS, ARTICLES)
    if gone_from is None:
        return history
    delisted_date = np.full(ARTICLES, NEVER, dtype=np.int32)
    delisted_date[GONE] = day_number(on(gone_from))
    return replace(history, delisted_date=delisted_date)


def context(history: Purchases) -> SourceContext:
    halves = np.arange(ARTICLES, dtype=np.int32) // 4
    images = np.random.default_rng(1).normal(size=(ARTICLES, 4)).astype(np.float32)
    return SourceContext(history, AS_OF, halves, halves, halves, np.arange(CUSTOMERS, dtype=np.int32) % 3, images)


def picks(history: Purchases) -> dict[str, np.ndarray]:
    """Everyone's, by all that needs no network."""
    who, found = everyone(history), {}
    for units_per_article in (99.0, 0.0):  # some sources have a place in a sparse shop alone, and some elsewhere
        what = context(history)
        vars(what)["windows"] = Windows(7, 28, 56, 14, units_per_article)
        lists = {name: lists.articles for name, lists in HeuristicSources(what).of(who).items()}
        found |= {name: articles for name, articles in lists.items() if (articles != NO_ARTICLE).any()}
    assert found.keys() == lists.keys()
    for fallback, exclude_bought in (("fallbacks", False), ("fallbacks of what is new", True)):
        fallbacks = Fallbacks(what, what.recent, exclude_bought)
        found[fallback] = fallbacks.complete(who, Ranking.empty(CUSTOMERS), ARTICLES).articles
    gone = np.full((CUSTOMERS, 1), GONE, dtype=np.int32)
    ranked = Ranking(gone, np.ones((CUSTOMERS, 1), dtype=np.float32), np.zeros_like(gone))
    found["a ranking"] = Fallbacks(what, what.recent, False).complete(who, ranked, 4).articles
    for name, baseline in BASELINES.items():
        found[name] = baseline(history, who, AS_OF, ARTICLES)
    for system in (item_knn, user_knn):
        model = system.fit(known(bought().before(AS_OF)))
        found[system.__name__] = model.at(history.before(AS_OF), AS_OF, ARTICLES).of(who).articles
    return found


@pytest.mark.parametrize("gone_from", [60, 10])
def test_nothing_picks_it(gone_from: int) -> None:
    for name, lists in picks(bought(gone_from)).items():
        assert (lists != NO_ARTICLE).any() and not (lists == GONE).any(), name
    assert all((lists == GONE).any() for lists in picks(bought()).values()), "each would have"


def test_nothing_changes_before_its_date() -> None:
    """A backfill of a week before it was delisted is as it was."""
    then = picks(bought())
    for name, lists in picks(bought(61)).items():
        np.testing.assert_array_equal(lists, then[name], err_msg=name)


def test_it_still_leads_to_what_was_bought_with_it() -> None:
    rows = [(50, 0, 3), (50, 0, 5), (51, 1, 3), (51, 1, 5), (52, 2, 3)]
    delisted_date = np.full(ARTICLES, NEVER, dtype=np.int32)
    delisted_date[GONE] = day_number(on(55))
    history = replace(purchases(rows, 3, ARTICLES), delisted_date=delisted_date)
    nothing = np.zeros(ARTICLES, dtype=np.int32)
    what = SourceContext(history, AS_OF, nothing, nothing, nothing, np.zeros(3, np.int32), np.zeros((ARTICLES, 0)))
    vars(what)["windows"] = Windows(7, 28, 56, 14, 9.0)
    found = HeuristicSources(what).of(np.array([2], dtype=np.int32))
    assert found["co_occurrence"].articles[0, 0] == 5 and found["repurchase"].articles.max() == NO_ARTICLE
    assert history.articles_sold()[GONE] and not history.before(AS_OF).articles_on_sale()[GONE]
    assert history.before(on(55)).articles_listed().tolist() == [n != GONE for n in range(ARTICLES)]
    assert history.before(on(54)).articles_on_sale()[GONE]


def test_rows_close_up() -> None:
    nan = np.nan
    found = TopK(np.array([[2, 0, 1], [0, NO_ARTICLE, NO_ARTICLE]], np.int32), np.array([[9, 8, 7], [5, nan, nan]]))
    kept = listed_only(found, np.array([False, True, True]))
    assert kept.articles.tolist() == [[2, 1, NO_ARTICLE], [NO_ARTICLE] * 3]
    np.testing.assert_equal(kept.scores.tolist(), [[9, 7, nan], [nan] * 3])


def test_customers_who_have_left_are_none() -> None:
    left_date = np.array([NEVER, day_number(on(60)), day_number(on(61)), NEVER], dtype=np.int32)
    history = replace(purchases([(1, 0, 0), (2, 1, 0)], 4, 2), left_date=left_date)
    assert history.before(AS_OF).customers().tolist() == [0, 2, 3]
    assert history.before(on(59)).customers().tolist() == [0, 1, 2, 3]
