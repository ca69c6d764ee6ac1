"""The last stage: ranked candidates become lists that a shopper would like to look through.

A ranker orders each candidate by itself, so its lists repeat a product in every colour, and the best seller is in all
of them. Here places are given one after the other (maximal marginal relevance: Carbonell and Goldstein, The Use of MMR,
SIGIR 1998), within limits that a merchandiser sets. Whole blocks of customers at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from jobs.platform.codes import NO_ARTICLE, Ints
from jobs.platform.settings import Settings

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
#: Of each article the first rank (from 0) that not all may have it at, and the part of those customers who may.
Limits = tuple[Ints, Floats]

#: The settings of a list.
ARRANGEMENT = ("max_variants", "new_arrivals_share", "diversity", "max_article_share")
#: An article is a new arrival for so many days after its first sale.
NEW_DAYS = 14
#: Components of an image embedding that are compared.
IMAGE_DIM = 32
#: An irrational number: its multiples fill the unit interval evenly, so that each article draws other customers.
_GOLDEN = 0.6180339887498949


@dataclass(frozen=True)
class Arrangement:
    """What is asked of a list; see the settings of the same names.

    Attributes:
        max_variants: of one product.
        new_arrivals_share: of the places, at least, as far as there are candidates.
        diversity: from 0, the ranker's order, to 1, likeness alone.
        max_article_share: of all lists that one article may be in.
    """

    max_variants: int
    new_arrivals_share: float = 0.0
    diversity: float = 0.0
    max_article_share: float = 1.0

    def is_neutral(self, count: int) -> bool:
        """Whether lists of so many places stay as they were ranked."""
        return (
            self.max_variants >= count
            and round(self.new_arrivals_share * count) == 0
            and self.diversity == 0
            and self.max_article_share >= 1
        )


def arrangement_of(settings: Settings) -> Arrangement:
    """What the settings ask for."""
    return Arrangement(
        settings.max_variants, settings.new_arrivals_share, settings.diversity, settings.max_article_share
    )


class Goods(NamedTuple):
    """What is known of each article, by code.

    Attributes:
        product: code of its product, (articles,).
        is_new: first sold in the last NEW_DAYS days, (articles,).
        images: unit vector of its picture, zero without one, (articles, d); d may be 0.
    """

    product: Ints
    is_new: Mask
    images: Floats


class Demand:
    """How often each article is a candidate at each rank, which says where its share of all lists ends.

    An article is for those who have it highest: rank by rank until it would be in more lists than it may; of the
    customers at the last such rank chance takes each with the probability that makes up the share. So it is kept on
    average, closely where there are many lists, and exceeded where a list would be too short without the article.
    """

    def __init__(self, articles: int, depth: int) -> None:
        self._counts = np.zeros((articles, depth), dtype=np.int64)

    def add(self, articles: Ints, ranks: Ints) -> None:
        """Count candidates: their articles and ranks (from 0, below the depth), parallel vectors."""
        key = articles.astype(np.int64) * self._counts.shape[1] + ranks
        self._counts += np.bincount(key, minlength=self._counts.size).reshape(self._counts.shape)

    def limits(self, lists: int, share: float) -> Limits:
        """Where this share of so many lists ends."""
        allowed, depth = int(round(lists * share, 6)), self._counts.shape[1]  # 100 * 0.29 is 28.999...
        total = np.cumsum(self._counts, axis=1)
        rank = (total <= allowed).sum(axis=1)
        at = np.minimum(rank, depth - 1)
        code = np.arange(len(rank))
        left = allowed - (total[code, at] - self._counts[code, at])
        part = np.where(rank < depth, left / np.maximum(self._counts[code, at], 1), 1.0)
        return rank.astype(np.int32), part.astype(np.float32)


def image_directions(images: Floats) -> Floats:
    """The leading components of image embeddings, (articles, d), with length one, or zero."""
    leading = images[:, :IMAGE_DIM]
    return leading / np.maximum(np.linalg.norm(leading, axis=1, keepdims=True), 1e-12)


def eligible(articles: Ints, draws: Floats, limits: Limits) -> Mask:
    """Which candidates (n, w) their article's share of all lists has room for.

    Args:
        draws: a number from [0, 1) of each customer, (n,), the same in every run.
        limits: of Demand.
    """
    code = np.maximum(articles, 0)
    rank, part = limits[0][code], limits[1][code]
    drawn = (draws[:, None] + code * _GOLDEN) % 1.0
    column = np.arange(articles.shape[1])
    return (column < rank) | ((column == rank) & (drawn < part))


def arranged(articles: Ints, goods: Goods, asked: Arrangement, count: int, fits: Mask | None = None) -> Ints:
    """Columns of the `count` candidates of each list in the order shown, (n, count); -1 where there are no more.

    A limit that cannot be kept, because the candidates are too few, is passed over: no place stays empty.

    Args:
        articles: candidates, the best first, (n, w), NO_ARTICLE at the right.
        fits: those that there is room for; None: all.
    """
    rows, width = articles.shape
    code = np.maximum(articles, 0)
    product, is_new = goods.product[code], goods.is_new[code]
    images = goods.images[code] if asked.diversity else np.zeros((rows, width, 0), np.float32)
    worth = (1 - asked.diversity) / np.log2(np.arange(2, width + 2))
    free = articles != NO_ARTICLE
    fits = free.copy() if fits is None else free & fits
    spare = count - fits.sum(axis=1)  # places that others get in any case: the best of them, where they are ranked
    variants, likeness = np.zeros((rows, width), np.int32), np.zeros((rows, width), np.float32)
    wanted = np.full(rows, round(asked.new_arrivals_share * count))
    columns = np.full((rows, count), -1)
    row = np.arange(rows)
    for place in range(min(count, width)):
        is_other = variants < asked.max_variants
        room = free & (fits | (spare > 0)[:, None])
        allowed = _first_of_some(room & is_other, room, free & is_other, free)
        must = (wanted >= count - place)[:, None]
        allowed = _first_of_some(allowed & is_new & must, allowed)
        pick = np.where(allowed, worth - asked.diversity * likeness, -np.inf).argmax(axis=1)
        is_some = allowed[row, pick]
        columns[is_some, place] = pick[is_some]
        free[row, pick] = False
        spare -= ~fits[row, pick]
        wanted -= is_new[row, pick]
        variants += product == product[row, pick][:, None]
        if asked.diversity:
            np.maximum(likeness, np.einsum("nwd,nd->nw", images, images[row, pick]), out=likeness)
    return columns


def _first_of_some(*masks: Mask) -> Mask:
    """Row by row the first of the masks that holds anything, else the last."""
    found = masks[-1]
    for mask in reversed(masks[:-1]):
        found = np.where(mask.any(axis=1, keepdims=True), mask, found)
    return found
