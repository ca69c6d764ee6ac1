"""What every candidate source returns, and the choice of the best articles that they share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from scipy import sparse

from jobs.platform.codes import NO_ARTICLE, Ints

Floats = npt.NDArray[np.float32]


class TopK(NamedTuple):
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

    def of(self, customers: Ints) -> TopK:
        """What it finds for these customers, one row each."""


@dataclass(frozen=True)
class Nothing:
    """A source that has no place in a shop of this size: it finds nothing."""

    count: int

    def of(self, customers: Ints) -> TopK:
        return empty_topk(len(customers), self.count)


def empty_topk(customers: int, count: int) -> TopK:
    """Rows without any article."""
    shape = (customers, count)
    return TopK(np.full(shape, NO_ARTICLE, dtype=np.int32), np.full(shape, np.nan, dtype=np.float32))


def take_rows(lists: TopK, rows: Ints) -> TopK:
    """These rows of a few lists that many customers share."""
    return TopK(lists.articles[rows], lists.scores[rows])


def best(articles: Ints, scores: Floats, count: int) -> TopK:
    """The `count` best of each row; the smaller code on a tie.

    Args:
        articles: article codes in any order, each once per row, (n, any); NO_ARTICLE is passed over.
        scores: of each, (n, any).
    """
    # Score and code as one number: sorting those is many times faster than sorting positions. Negative, so that the
    # best comes first, and of equal scores the smaller code.
    packed = np.where(articles == NO_ARTICLE, _LAST, -(_ordered(scores).astype(np.int64) << 32) + articles)
    packed = np.sort(packed, axis=1)[:, :count]
    found = empty_topk(len(articles), count)
    is_found = packed != _LAST
    packed = packed[is_found]
    at = np.nonzero(is_found)
    found.articles[at] = packed & _TOP
    found.scores[at] = _ordered(-(packed >> 32).astype(np.int32)).view(np.float32)
    return found


def dedupe(articles: Ints, scores: Floats, merge: np.ufunc) -> tuple[Ints, Floats]:
    """The same rows with each article once, its scores merged: `np.maximum` keeps the best, `np.add` the sum."""
    packed = np.sort(articles.astype(np.int64) << 32 | scores.view(np.uint32), axis=1)
    articles = (packed >> 32).astype(np.int32)
    scores = (packed & 0xFFFFFFFF).astype(np.uint32).view(np.float32)
    is_first = np.ones(articles.shape, dtype=bool)
    is_first[:, 1:] = articles[:, 1:] != articles[:, :-1]
    merged = np.zeros_like(scores)
    merged[is_first] = merge.reduceat(scores.ravel(), np.flatnonzero(is_first))
    return np.where(is_first, articles, NO_ARTICLE), merged


def listed_only(found: TopK, is_listed: npt.NDArray[np.bool_]) -> TopK:
    """The same rows without articles that are listed no more, in the same order.

    Args:
        found: articles and scores.
        is_listed: by article code, (articles,).
    """
    if is_listed.all():
        return found
    is_kept = (found.articles != NO_ARTICLE) & is_listed[found.articles]
    order = np.argsort(~is_kept, axis=1, kind="stable")
    articles = np.where(is_kept, found.articles, np.int32(NO_ARTICLE))
    scores = np.where(is_kept, found.scores, np.float32(np.nan))
    return TopK(np.take_along_axis(articles, order, axis=1), np.take_along_axis(scores, order, axis=1))


def first_distinct(lists: Ints, width: int) -> npt.NDArray[np.int64]:
    """Where the first `width` distinct articles of each row are: columns of `lists` in order, padded with -1.

    Args:
        lists: article codes, (n, any); NO_ARTICLE is passed over.
    """
    order = np.argsort(lists, axis=1, kind="stable")
    ascending = np.take_along_axis(lists, order, axis=1)
    is_new = ascending != NO_ARTICLE
    is_new[:, 1:] &= ascending[:, 1:] != ascending[:, :-1]
    is_kept = np.zeros(lists.shape, dtype=bool)
    np.put_along_axis(is_kept, order, is_new, axis=1)
    place = np.cumsum(is_kept, axis=1) - 1
    is_kept &= place < width
    row, column = np.nonzero(is_kept)
    columns = np.full((len(lists), width), -1)
    columns[row, place[row, column]] = column
    return columns


def articles_at(lists: Ints, columns: npt.NDArray[np.int64]) -> Ints:
    """The articles at these columns of each row; NO_ARTICLE at -1."""
    return np.where(columns < 0, NO_ARTICLE, np.take_along_axis(lists, np.maximum(columns, 0), axis=1))


def best_per_row(scores: sparse.csr_matrix, count: int) -> TopK:
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
    found = empty_topk(rows, count)
    found.articles[is_found] = packed & (1 << bits) - 1
    found.scores[is_found] = (_TOP - (packed >> bits & _TOP)).astype(np.int32).view(np.float32)
    return found


def best_per_group(groups: Ints, articles: Ints, scores: Floats, size: int, count: int) -> TopK:
    """The `count` best articles of each of `size` groups, one row per group; the smaller code on a tie.

    Args:
        groups, articles, scores: parallel vectors, each article once per group.
    """
    order = np.lexsort((articles, -scores, groups))
    group = groups[order]
    place = np.arange(len(order)) - np.searchsorted(group, group)
    kept = place < count
    found = empty_topk(size, count)
    found.articles[group[kept], place[kept]] = articles[order][kept]
    found.scores[group[kept], place[kept]] = scores[order][kept]
    return found


#: The largest of 32 bits, and the number that sorts behind every score.
_TOP, _LAST = 2**31 - 1, np.iinfo(np.int64).max


def _ordered(scores: Floats) -> Ints:
    """Whole numbers in the order of the scores; applied to their bits again, it gives the scores' bits back."""
    bits = scores.view(np.int32)
    return bits ^ (bits >> 31 & _TOP)
