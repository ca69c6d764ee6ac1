"""What fills the places that a ranker leaves open: each customer's own purchases, then the best sellers.

Own purchases come first, the most recent ahead; customers without any get what sold most to their age band; last comes
what sold most to everyone. Every list is completed so, a list without any ranked article as well.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from jobs.platform.codes import NO_ARTICLE, Ints
from jobs.retrieval import candidates, popularity, popularity_age_band, repurchase
from jobs.retrieval.context import SourceContext
from jobs.retrieval.popularity import popular_articles, units_sold
from jobs.retrieval.popularity_age_band import PopularityByAgeBand
from jobs.retrieval.recent import RecentPurchases
from jobs.retrieval.source import Floats, articles_at, first_distinct

#: Where fewer articles sold this week than places are to be filled.
POPULARITY_ALL_TIME = "popularity_all_time"
#: Sources of a list's articles: the ranker's candidates come from all but the last.
SOURCES = (*candidates.SOURCES, POPULARITY_ALL_TIME)
_OWN, _BAND, _POPULAR, _EVER = map(
    SOURCES.index, (repurchase.SOURCE, popularity_age_band.SOURCE, popularity.SOURCE, POPULARITY_ALL_TIME)
)


class Ranking(NamedTuple):
    """What a ranker made of the candidates of n customers, best first.

    Attributes:
        articles: article codes, (n, w); NO_ARTICLE where there is none.
        scores: larger is better within a row, (n, w).
        sources: index in SOURCES, (n, w).
    """

    articles: Ints
    scores: Floats
    sources: Ints

    @classmethod
    def empty(cls, customers: int) -> Ranking:
        """Nothing ranked for anybody."""
        shape = (customers, 0)
        return cls(np.zeros(shape, np.int32), np.zeros(shape, np.float32), np.zeros(shape, np.int32))


class Lists(NamedTuple):
    """Complete lists of n customers, best first.

    Attributes:
        articles: distinct article codes, (n, count); NO_ARTICLE at the right of rows for which no more are on sale.
        scores: the ranker's; of a fallback 1 / its place in its list, (n, count) float64.
        sources: index in SOURCES, (n, count).
        is_fallback: the ranker left the place open, (n, count).
    """

    articles: Ints
    scores: npt.NDArray[np.float64]
    sources: Ints
    is_fallback: npt.NDArray[np.bool_]

    @classmethod
    def empty(cls, customers: int, count: int) -> Lists:
        """Lists without any article."""
        shape = (customers, count)
        return cls(
            articles=np.full(shape, NO_ARTICLE, dtype=np.int32),
            scores=np.zeros(shape),
            sources=np.zeros(shape, dtype=np.int32),
            is_fallback=np.zeros(shape, dtype=bool),
        )


class Fallbacks:
    """Completes the lists of any customers as of one date.

    Args:
        context: what is known; purchases on or after its date are not looked at.
        recent: every customer's articles before that date.
        exclude_bought: no list holds what its customer bought before.
    """

    def __init__(self, context: SourceContext, recent: RecentPurchases, exclude_bought: bool) -> None:
        history = context.past
        self._recent, self._exclude_bought = recent, exclude_bought
        self._on_sale = history.articles_on_sale()
        self._popular = popular_articles(history, context.as_of_date, len(self._on_sale))
        self.age_bands = PopularityByAgeBand(history, context.as_of_date, context.age_band, context.windows.popular)
        self._sold_lately = units_sold(history, context.as_of_date) > 0

    def complete(self, customers: Ints, ranking: Ranking, count: int) -> Lists:
        """The first `count` of the ranking that are on sale, followed by fallbacks where these are fewer.

        A list is shorter only where fewer articles can be picked at all.
        """
        lists = Lists.empty(len(customers), count)
        listed = self._allowed(customers, ranking.articles)
        # Most lists need no fallback, and of the best sellers few need more than the first.
        row, reach = np.arange(len(customers)), 0 if listed.shape[1] else 2 * count
        while len(row):
            offered = np.hstack([listed[row], *(self._fallbacks(customers[row], count, reach) if reach else [])])
            column = first_distinct(offered, count)
            lists.articles[row] = articles_at(offered, column)
            place = column - listed.shape[1]
            lists.is_fallback[row] = place >= 0
            at, ranked = np.nonzero((column >= 0) & (place < 0))
            of_row, of_column = row[at], column[at, ranked]
            lists.scores[of_row, ranked] = ranking.scores[of_row, of_column]
            lists.sources[of_row, ranked] = ranking.sources[of_row, of_column]
            at, filled = np.nonzero(place >= 0)
            scores, sources = self._facts(lists.articles[row[at], filled], place[at, filled], count)
            lists.scores[row[at], filled], lists.sources[row[at], filled] = scores, sources
            if reach >= len(self._popular):
                break
            row, reach = row[column[:, -1] < 0], 2 * max(count, reach)
        return lists

    def _facts(self, articles: Ints, place: npt.NDArray[np.int64], count: int) -> tuple[npt.NDArray[np.float64], Ints]:
        """Scores and sources of fallbacks, by their place among all of their customer's."""
        popular = np.where(self._sold_lately[articles], _POPULAR, _EVER)
        source = np.select([place < count, place < 2 * count], [_OWN, _BAND], popular)
        position = np.where(place < 2 * count, place % count, place - 2 * count) + 1
        return 1 / position, source

    def _allowed(self, customers: Ints, articles: Ints) -> Ints:
        """The articles that may be picked; NO_ARTICLE in place of the others."""
        is_allowed = (articles != NO_ARTICLE) & self._on_sale[articles]
        if self._exclude_bought:
            row, column = np.nonzero(is_allowed)
            is_allowed[row, column] = ~self._recent.has_bought(customers, row, articles[row, column])
        return np.where(is_allowed, articles, NO_ARTICLE)

    def _fallbacks(self, customers: Ints, count: int, reach: int) -> tuple[Ints, Ints, Ints]:
        """`count` own articles of each customer, `count` of the age band, and the first `reach` best sellers."""
        own = np.full((len(customers), count), NO_ARTICLE, dtype=np.int32)
        band = own.copy()
        if not self._exclude_bought:
            own = self._recent.of(customers, count)
            own = np.where((own != NO_ARTICLE) & self._on_sale[own], own, np.int32(NO_ARTICLE))
        of_band = self.age_bands.of(customers).articles[:, :count]
        is_new = ~self._recent.has_history(customers)
        band[is_new, : of_band.shape[1]] = of_band[is_new]
        popular = np.broadcast_to(self._popular[:reach], (len(customers), min(reach, len(self._popular))))
        return own, band, self._allowed(customers, popular)
