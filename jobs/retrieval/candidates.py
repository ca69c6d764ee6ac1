"""The candidate sources together: what the ranker gets to see for each customer, and what each source says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

import numpy as np

from jobs.retrieval import (
    co_occurrence,
    popularity,
    popularity_age_band,
    popularity_department,
    repurchase,
    same_product,
    similar_images,
    trend,
    two_tower,
)
from jobs.retrieval.purchases import NO_ARTICLE, Ints, Purchases
from jobs.retrieval.recent import RecentPurchases
from jobs.retrieval.source import Floats, Found, Source

#: In order of precedence, the personal before the general: an article found by several is credited to the first.
SOURCES = (
    repurchase.SOURCE,
    same_product.SOURCE,
    co_occurrence.SOURCE,
    two_tower.SOURCE,
    similar_images.SOURCE,
    popularity_department.SOURCE,
    popularity_age_band.SOURCE,
    popularity.SOURCE,
    trend.SOURCE,
)


@dataclass(frozen=True)
class Facts:
    """What the sources know.

    Attributes:
        history: purchases; those dated on or after `as_of_date` are not looked at.
        as_of_date: the date whose candidates are wanted.
        product: code of the product each article is a variant of, (articles,).
        department: code of each article's department, (articles,).
        age_band: code of each customer's age band, (customers,).
        images: image embedding of each article, zero where there is none, (articles, d); d may be 0.
    """

    history: Purchases
    as_of_date: date
    product: Ints
    department: Ints
    age_band: Ints
    images: Floats


class KnownSources:
    """Every source that needs no fitted model (all but two_tower), ready for any customers as of one date."""

    def __init__(self, facts: Facts) -> None:
        as_of_date, history = facts.as_of_date, facts.history.before(facts.as_of_date)
        recent = RecentPurchases(history)
        self._sources: dict[str, Source] = {
            repurchase.SOURCE: repurchase.Repurchase(recent, as_of_date),
            same_product.SOURCE: same_product.SameProduct(recent, history, as_of_date, facts.product),
            co_occurrence.SOURCE: co_occurrence.CoOccurrence(recent, as_of_date),
            similar_images.SOURCE: similar_images.SimilarImages(recent, history, as_of_date, facts.images),
            popularity_department.SOURCE: popularity_department.PopularityByDepartment(
                recent, history, as_of_date, facts.department
            ),
            popularity_age_band.SOURCE: popularity_age_band.PopularityByAgeBand(history, as_of_date, facts.age_band),
            popularity.SOURCE: popularity.Popularity(history, as_of_date),
            trend.SOURCE: trend.Trend(history, as_of_date),
        }

    def of(self, customers: Ints) -> dict[str, Found]:
        """What each source finds for these customers, one row each."""
        return {name: source.of(customers) for name, source in self._sources.items()}


class Merged(NamedTuple):
    """Candidates of all sources, each article once per row.

    Attributes:
        articles: article codes by precedence of their source, then by their rank in it, (n, w); NO_ARTICLE at the
            right of rows that hold fewer.
        sources: index in SOURCES of the first source that found the article, (n, w).
        ranks: per source that was asked, the article's rank in it, 1 for its best, (n, w); NaN where it did not find
            the article.
        scores: per source, its score, likewise.
    """

    articles: Ints
    sources: Ints
    ranks: dict[str, Floats]
    scores: dict[str, Floats]


def merge(found: Mapping[str, Found]) -> Merged:
    """Candidates of all sources, each article once per customer."""
    order = [name for name in SOURCES if name in found]
    articles = np.concatenate([found[name].articles for name in order], axis=1)
    rows, columns = articles.shape
    # Equal articles lie together when sorted, the one of the first source ahead: all point at its column.
    packed = np.sort(articles.astype(np.int64) << 16 | np.arange(columns), axis=1)
    article, column = packed >> 16, packed & 0xFFFF
    is_first = np.diff(article, axis=1, prepend=-2) != 0
    leader = np.maximum.accumulate(np.where(is_first, np.arange(columns), 0), axis=1)
    first_column = np.empty_like(column)
    np.put_along_axis(first_column, column, np.take_along_axis(column, leader, axis=1), axis=1)

    is_kept = (first_column == np.arange(columns)) & (articles != NO_ARTICLE)
    place = np.cumsum(is_kept, axis=1) - 1
    width = int(is_kept.sum(axis=1).max(initial=0))
    place = np.take_along_axis(place, first_column, axis=1)  # where each find, repeated or not, ends up
    merged = Merged(np.full((rows, width), NO_ARTICLE, dtype=np.int32), np.zeros((rows, width), np.int32), {}, {})
    at = np.nonzero(is_kept)
    merged.articles[at[0], place[at]] = articles[at]
    start = 0
    for name in order:
        own = slice(start, start + found[name].articles.shape[1])
        row, rank = np.nonzero(articles[:, own] != NO_ARTICLE)
        target = row, place[:, own][row, rank]
        for values, value in ((merged.ranks, rank + 1), (merged.scores, found[name].scores[row, rank])):
            values[name] = np.full((rows, width), np.nan, dtype=np.float32)
            values[name][target] = value
        start = own.stop
    for name in reversed(order):
        merged.sources[~np.isnan(merged.ranks[name])] = SOURCES.index(name)
    return merged
