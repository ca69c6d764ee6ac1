"""Completed lists on six customers and eight articles, worked out by hand, and beside the obvious loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import pytest

from jobs.platform.codes import NO_ARTICLE
from jobs.retrieval import popularity_age_band, windows
from jobs.retrieval.context import SourceContext
from jobs.retrieval.fallbacks import SOURCES, Fallbacks, Lists, Ranking
from jobs.retrieval.popularity import popular_articles
from jobs.retrieval.popularity_age_band import PopularityByAgeBand
from jobs.retrieval.purchases import Purchases
from jobs.retrieval.recent import RecentPurchases
from tests.jobs.retrieval.small import everyone, on, purchases

TODAY = 40
ANN, BOB, CAT, COLD, YOUNG, AGELESS, LATER = range(7)
#: Days before the as-of date, customer, article.
BOUGHT = [
    (1, ANN, 1), (1, ANN, 1), (3, ANN, 2), (40, ANN, 5),
    (2, BOB, 1), (2, BOB, 3), (9, BOB, 4), (9, BOB, 4), (9, BOB, 5), (30, BOB, 6),
    (5, CAT, 3), (5, CAT, 3),
]  # fmt: skip
# Last 7 days: 1 and 3 three times, 2 once. Before: 4 and 5 twice, 6 once. 0 and 7 were never sold.
POPULAR = [1, 3, 2, 4, 5, 6]
#: Age bands: ann, bob and cat have one each, and some share them.
BANDS = [2, 3, 4, 3, 1, 8, 4]
OWN, BAND, WEEK, EVER = "repurchase", "popularity_age_band", "popularity", "popularity_all_time"


@pytest.fixture(autouse=True)
def a_large_shops_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Best sellers are those of the last 7 days, however little is sold here."""
    monkeypatch.setattr(windows, "CHOICES", (7,))


def context(bought: Sequence[tuple[int, int, int]] = BOUGHT, bands: Sequence[int] = BANDS, articles: int = 8) -> Any:
    """What is known; `bought` counts days back from the as-of date."""
    history = purchases([(TODAY - ago, customer, article) for ago, customer, article in bought], len(bands), articles)
    nothing = np.zeros(articles, dtype=np.int32)
    return SourceContext(
        history, on(TODAY), nothing, nothing, nothing, np.array(bands, dtype=np.int32), np.zeros((articles, 0))
    )


def ranking(ranked: Mapping[int, Sequence[int]], customers: int) -> Ranking:
    """These articles of these customers, by the source two_tower, with scores -1, -2 and so on."""
    width = max(map(len, ranked.values()), default=0)
    articles = np.full((customers, width), NO_ARTICLE, dtype=np.int32)
    for customer, row in ranked.items():
        articles[customer, : len(row)] = row
    scores = np.broadcast_to(-np.arange(1, width + 1, dtype=np.float32), articles.shape)
    return Ranking(articles, scores, np.full_like(articles, SOURCES.index("two_tower")))


def complete(
    known: SourceContext, ranked: Mapping[int, Sequence[int]], count: int, exclude_bought: bool = False
) -> Lists:
    recent = RecentPurchases(known.history.before(known.as_of_date))
    customers = everyone(known.history)
    return Fallbacks(known, recent, exclude_bought).complete(customers, ranking(ranked, len(customers)), count)


def named(lists: Lists) -> list[list[tuple[int, str]]]:
    """(article, source) of each customer, best first."""
    rows = zip(lists.articles.tolist(), lists.sources.tolist(), strict=True)
    return [[(a, SOURCES[s]) for a, s in zip(*row, strict=True) if a != NO_ARTICLE] for row in rows]


def articles_of(lists: Lists) -> list[list[int]]:
    return [[article for article, _ in row] for row in named(lists)]


def test_without_a_ranking_own_purchases_then_the_best_sellers() -> None:
    lists = complete(context(), {}, 4)
    found = named(lists)
    assert found[ANN] == [(1, OWN), (2, OWN), (5, OWN), (3, WEEK)]
    # Same day: 4 has two units, 5 one. Four own articles fill four places.
    assert found[BOB] == [(1, OWN), (3, OWN), (4, OWN), (5, OWN)]
    assert found[CAT] == [(3, OWN), (1, WEEK), (2, WEEK), (4, EVER)]
    for cold in (COLD, YOUNG, AGELESS):
        assert found[cold] == [*((article, BAND) for article in (1, 3, 2)), (4, EVER)]
    assert lists.is_fallback.all()
    # A fallback's score is one over its place in its own list.
    assert lists.scores[CAT].tolist() == [1, 1, 1 / 3, 1 / 4]
    assert lists.scores[COLD].tolist() == [1, 1 / 2, 1 / 3, 1 / 4]


def test_the_ranking_comes_first() -> None:
    # 7 has not been sold yet: a ranking that names it does not get it shown.
    lists = complete(context(), {ANN: [6, 7, 1], BOB: [5, 4, 3, 2, 1]}, 4)
    assert articles_of(lists)[ANN] == [6, 1, 2, 5] and articles_of(lists)[BOB] == [5, 4, 3, 2]
    assert lists.is_fallback[[ANN, BOB]].tolist() == [[False, False, True, True], [False] * 4]
    assert lists.scores[ANN].tolist() == [-1, -3, 1 / 2, 1 / 3]


def test_excluding_what_was_bought_reaches_further_down() -> None:
    found = articles_of(complete(context(), {ANN: [1, 6]}, 3, exclude_bought=True))
    assert found[ANN] == [6, 3, 4] and found[CAT] == [1, 2, 4] and found[YOUNG] == [1, 3, 2]
    assert found[BOB] == [2], "he bought five of the six articles on sale"


def test_newcomers_get_the_list_of_their_age_band() -> None:
    # Of the week's units the band of cat has two of 3, that of ann two of 1 and one of 2.
    found = named(complete(context(), {}, 4))
    assert found[LATER] == [(3, BAND), (1, BAND), (2, BAND), (4, EVER)]
    assert found[COLD] == [(1, BAND), (3, BAND), (2, BAND), (4, EVER)]


@pytest.mark.parametrize("exclude_bought", [False, True])
def test_purchases_on_or_after_the_as_of_date_change_nothing(exclude_bought: bool) -> None:
    future = [(0, LATER, 7), (0, ANN, 7), *[(-5, COLD, 6)] * 9, (-1, BOB, 0)]
    ranked = {ANN: [6, 7], LATER: [2]}
    before, after = (complete(context(b), ranked, 3, exclude_bought) for b in (BOUGHT, BOUGHT + future))
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))


def slow_lists(
    history: Purchases, as_of: date, bands: Sequence[int], ranked: Mapping[int, Sequence[int]], count: int, new: bool
) -> list[list[tuple[int, str]]]:
    """The obvious loop; `new`: nothing that was bought before."""
    lines = list(zip(history.customer.tolist(), history.article.tolist(), history.day.tolist(), strict=True))
    popular = popular_articles(history, as_of, len(history.article_ids)).tolist()
    lately = set(history.between(on(TODAY - 7), as_of).article.tolist())
    by_band = PopularityByAgeBand(history, as_of, np.array(bands, dtype=np.int32)).of(everyone(history)).articles
    found = []
    for customer in range(len(bands)):
        own: dict[int, tuple[int, int]] = {}
        for who, article, day in lines:
            if who == customer:
                own[article] = max(day, own.get(article, (0, 0))[0]), own.get(article, (0, 0))[1] + 1
        latest = sorted(own, key=lambda a: (-own[a][0], -own[a][1], a))
        offered = [(article, "two_tower") for article in ranked.get(customer, ())]
        offered += [] if new else [(article, OWN) for article in latest]
        offered += [] if own else [(article, BAND) for article in by_band[customer].tolist() if article >= 0]
        offered += [(article, WEEK if article in lately else EVER) for article in popular]
        row: dict[int, str] = {}
        for article, source in offered:
            if article in popular and not (new and article in own):
                row.setdefault(article, source)
        found.append(list(row.items())[:count])
    return found


@pytest.mark.parametrize("exclude_bought", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_lists_are_those_of_the_obvious_loop(seed: int, exclude_bought: bool) -> None:
    generator = np.random.default_rng(seed)
    bands = generator.integers(0, 9, 24).tolist()
    # Most of what is bought is bought by few, so that their lists reach far down the best sellers.
    bought = [tuple(map(int, generator.integers([1, 0, 0], [40, 16 if n % 3 else 2, 29]))) for n in range(120)]
    ranked = {c: generator.permutation(30)[: generator.integers(0, 9)].tolist() for c in range(0, 24, 2)}
    known = context(bought, bands, articles=30)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(popularity_age_band, "PRIOR_UNITS", 7)
        found = named(complete(known, ranked, 20, exclude_bought))
        assert found == slow_lists(known.history, known.as_of_date, bands, ranked, 20, exclude_bought)
    assert {source for row in found for _, source in row} >= {"two_tower", BAND, WEEK, EVER}
