"""What every candidate source returns, and the choice of the best articles that they share."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from jobs.retrieval.purchases import NO_ARTICLE, Ints

Floats = npt.NDArray[np.float32]


class Found(NamedTuple):
    """Articles that one source found for n customers, the best first.

    Attributes:
        articles: article codes, each once per row, (n, count); NO_ARTICLE at the right of rows that hold fewer.
        scores: larger is better, never rising along a row, comparable within the source only, (n, count) float32;
            NaN where there is no article.
    """

    articles: Ints
    scores: Floats


class Source(Protocol):
    """A candidate source, ready for any customers as of one date."""

    def of(self, customers: Ints) -> Found:
        """What it finds for these customers, one row each."""


def nothing(customers: int, count: int) -> Found:
    """Rows without any article."""
    shape = (customers, count)
    return Found(np.full(shape, NO_ARTICLE, dtype=np.int32), np.full(shape, np.nan, dtype=np.float32))


def repeated(lists: Found, rows: Ints) -> Found:
    """These rows of a few lists that many customers share."""
    return Found(lists.articles[rows], lists.scores[rows])
