"""Candidate source: the articles whose tower vectors are nearest to the customer's (largest dot product, exact)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from jobs.platform.codes import NO_ARTICLE, Ints
from jobs.retrieval.exact import ExactSearch
from jobs.retrieval.source import Floats, TopK, empty_topk

SOURCE = "two_tower"
COUNT = 80
#: To a customer of whom no more is known.
REASON = "Matches what you like"


class NearestArticles:
    """Articles on sale, ready to be searched by customer vectors; the score is the dot product.

    Args:
        items: unit vector of each article by code, (articles, d).
        on_sale: articles that may be found, (articles,).
    """

    def __init__(self, items: Floats, on_sale: npt.NDArray[np.bool_]) -> None:
        self._articles = len(items)
        self._on_sale = np.flatnonzero(on_sale).astype(np.int32)
        self._search = ExactSearch(items[self._on_sale])

    def of(self, queries: Floats, excluded: Ints | None = None, count: int = COUNT) -> TopK:
        """The `count` nearest articles of each customer; fewer only where fewer are on sale and not excluded.

        Args:
            queries: unit vector of each customer, (n, d).
            excluded: articles that may not be found, (n, any), padded with NO_ARTICLE; None: all may.
        """
        if excluded is None:
            excluded = np.empty((len(queries), 0), dtype=np.int32)
        found = self._nearest(queries, excluded, 2 * count if excluded.size else count, count)
        short = np.flatnonzero(found.articles[:, -1] == NO_ARTICLE)
        if len(short) and excluded.size:  # few customers bought so much of what is nearest to them
            reach = count + int((excluded[short] != NO_ARTICLE).sum(axis=1).max())
            found.articles[short], found.scores[short] = self._nearest(queries[short], excluded[short], reach, count)
        return found

    def _nearest(self, queries: Floats, excluded: Ints, reach: int, count: int) -> TopK:
        """The first `count` of the `reach` nearest that are not excluded."""
        position, scores = self._search.nearest(queries, reach)
        articles = self._on_sale[position]
        row = np.arange(len(queries))[:, None] * self._articles
        is_out = np.isin(row + articles, (row + excluded)[excluded != NO_ARTICLE])
        place = np.cumsum(~is_out, axis=1) - 1
        is_kept = ~is_out & (place < count)
        found = empty_topk(len(queries), count)
        at = np.nonzero(is_kept)[0], place[is_kept]
        found.articles[at], found.scores[at] = articles[is_kept], scores[is_kept]
        return found
