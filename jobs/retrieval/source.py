"""What every candidate source returns, and the choice of the best articles that they share."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from scipy import sparse

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


def best(articles: Ints, scores: Floats, count: int) -> Found:
    """The `count` best of each row, each article once with its best score; the smaller code on a tie.

    Args:
        articles: article codes, in any order and with repeats, (n, any); NO_ARTICLE is passed over.
        scores: of each, (n, any).
    """
    found = nothing(len(articles), count)
    # One number per find, so that whole rows are sorted without positions: first by article to drop repeats, then by
    # score. Codes count down, so that the smaller code is the larger number.
    code = np.where(articles == NO_ARTICLE, -1, _TOP - articles.astype(np.int64))
    packed = np.sort(code << 32 | _as_ordered(scores) + 2**31, axis=1)
    is_best = (np.diff(packed >> 32, axis=1, append=-2) != 0) & (packed >= 0)
    ordered, code = (packed & 0xFFFFFFFF) - 2**31, packed >> 32
    packed = -np.sort(np.where(is_best, -(ordered << 32 | code), np.iinfo(np.int64).max), axis=1)[:, :count]
    is_found = packed != -np.iinfo(np.int64).max
    width = packed.shape[1]
    found.articles[:, :width][is_found] = _TOP - (packed[is_found] & 0xFFFFFFFF)
    found.scores[:, :width][is_found] = _from_ordered(packed[is_found] >> 32)
    return found


def best_per_row(scores: sparse.csr_matrix, count: int) -> Found:
    """The `count` largest of the stored scores of each row, which are positive; the smaller column on a tie.

    Rows and columns together have at most 2**32 places, so that a score and its place are one number.
    """
    rows, columns = scores.shape
    row = np.repeat(np.arange(rows), np.diff(scores.indptr))
    falling = _TOP - scores.data.astype(np.float32, copy=False).view(np.int32).astype(np.int64)
    bits = int(columns).bit_length()
    packed = np.sort((row << 31 | falling) << bits | scores.indices)
    position = scores.indptr[:-1, None] + np.arange(count)
    is_found = position < scores.indptr[1:, None]
    packed = packed[position[is_found]]
    found = nothing(rows, count)
    found.articles[is_found] = packed & (1 << bits) - 1
    found.scores[is_found] = (_TOP - (packed >> bits & _TOP)).astype(np.int32).view(np.float32)
    return found


def best_per_group(groups: Ints, articles: Ints, scores: Floats, size: int, count: int) -> Found:
    """The `count` best articles of each of `size` groups, one row per group; the smaller code on a tie.

    Args:
        groups, articles, scores: parallel vectors, each article once per group.
    """
    order = np.lexsort((articles, -scores, groups))
    group = groups[order]
    place = np.arange(len(order)) - np.searchsorted(group, group)
    kept = place < count
    found = nothing(size, count)
    found.articles[group[kept], place[kept]] = articles[order][kept]
    found.scores[group[kept], place[kept]] = scores[order][kept]
    return found


_TOP = 2**31 - 1


def _as_ordered(scores: Floats) -> npt.NDArray[np.int64]:
    """Whole numbers in the order of the scores, from -2**31 to 2**31 - 1."""
    bits = (scores + np.float32(0)).astype(np.float32, copy=False).view(np.int32)  # adding zero turns -0 into 0
    return (bits ^ (bits >> 31 & _TOP)).astype(np.int64)


def _from_ordered(ordered: npt.NDArray[np.int64]) -> Floats:
    bits = ordered.astype(np.int32)
    return (bits ^ (bits >> 31 & _TOP)).view(np.float32)
