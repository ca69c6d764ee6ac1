"""The candidate sources merged: which articles the ranker gets to see for each customer."""

from __future__ import annotations

from datetime import date

import numpy as np

from jobs.retrieval import popularity, repurchase, two_tower
from jobs.retrieval.purchases import NO_ARTICLE, Ints, Purchases

#: Candidates per customer of each source, in the order of precedence: an article found by several is credited to
#: the first.
COUNTS = {repurchase.SOURCE: 30, two_tower.SOURCE: 100, popularity.SOURCE: 100}
SOURCES = tuple(COUNTS)


class CountingSources:
    """The sources that only count, ready for any customer as of one date."""

    def __init__(self, history: Purchases, as_of_date: date) -> None:
        self._own = repurchase.RecentPurchases(history)
        self._popular = popularity.popular_articles(history, as_of_date, COUNTS[popularity.SOURCE])

    def of(self, customers: Ints) -> dict[str, Ints]:
        """Candidates per source: (n, its count), NO_ARTICLE where there are fewer."""
        return {
            repurchase.SOURCE: self._own.of(customers, COUNTS[repurchase.SOURCE]),
            popularity.SOURCE: np.broadcast_to(self._popular, (len(customers), len(self._popular))),
        }


def merge(found: dict[str, Ints]) -> tuple[Ints, Ints]:
    """Candidates of all sources, each article once.

    Args:
        found: per source, article codes (n, any), padded with NO_ARTICLE.

    Returns:
        Article codes (n, columns) with repeats replaced by NO_ARTICLE, and the index in SOURCES of each.
    """
    order = [name for name in SOURCES if name in found]
    articles = np.concatenate([found[name] for name in order], axis=1)
    widths = [found[name].shape[1] for name in order]
    source = np.repeat([SOURCES.index(name) for name in order], widths).astype(np.int32)
    # A stable sort keeps the first of equal articles first; the others are repeats.
    position = np.argsort(articles, axis=1, kind="stable")
    ordered = np.take_along_axis(articles, position, axis=1)
    is_repeat = np.zeros(articles.shape, dtype=bool)
    np.put_along_axis(is_repeat, position[:, 1:], ordered[:, 1:] == ordered[:, :-1], axis=1)
    return np.where(is_repeat, NO_ARTICLE, articles), np.broadcast_to(source, articles.shape)
