"""The candidate sources together: what the ranker gets to see for each customer, and what each source says of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from jobs.platform.codes import NO_ARTICLE, Ints
from jobs.platform.setting_types import SystemSource
from jobs.retrieval import (
    co_occurrence,
    popularity,
    popularity_age_band,
    popularity_department,
    popularity_section,
    product_factors,
    repurchase,
    same_product,
    similar_images,
    two_tower,
)
from jobs.retrieval.context import SourceContext
from jobs.retrieval.source import Floats, Source, TopK

#: The sources in order of precedence, the personal before the general: an article found by several is credited to the
#: first. Each module has SOURCE, its name; COUNT, what it finds at most; REASON, a phrase for shoppers; and `build`,
#: unless it needs a fitted model.
MODULES = (
    repurchase,
    same_product,
    co_occurrence,
    product_factors,
    two_tower,
    similar_images,
    popularity_department,
    popularity_section,
    popularity_age_band,
    popularity,
)
#: Sources that a model has only where it was given them (Settings.extra_sources); they come after the towers.
SYSTEMS = get_args(SystemSource)
_NAMES = tuple(module.SOURCE for module in MODULES)
_FITTED = _NAMES.index(two_tower.SOURCE) + 1
SOURCES = (*_NAMES[:_FITTED], *SYSTEMS, *_NAMES[_FITTED:])


class HeuristicSources:
    """Every source that needs no fitted model (all but two_tower and SYSTEMS), ready for any customers as of one date.

    Attributes:
        recent: every customer's articles before that date.
    """

    def __init__(self, context: SourceContext) -> None:
        self.recent = context.recent
        self._sources: dict[str, Source] = {
            module.SOURCE: module.build(context) for module in MODULES if module is not two_tower
        }

    def of(self, customers: Ints) -> dict[str, TopK]:
        """What each source finds for these customers, one row each."""
        return {name: source.of(customers) for name, source in self._sources.items()}


class Merged(NamedTuple):
    """Candidates of all sources, each article once per row.

    Attributes:
        articles: article codes by precedence of their source, then by their rank in it, (n, w); NO_ARTICLE at the
            right of rows that hold fewer.
        sources: index in SOURCES of the first source that found the article, (n, w).
        ranks: per source that was asked, in order of precedence, the article's rank in it, 1 for its best, (n, w);
            NaN where it did not find the article.
        scores: per source, its score of the article, likewise.
    """

    articles: Ints
    sources: Ints
    ranks: dict[str, Floats]
    scores: dict[str, Floats]


def merge(found: Mapping[str, TopK]) -> Merged:
    """Candidates of all sources, each article once per customer."""
    order = [name for name in SOURCES if name in found]
    # Columns beyond those that any row fills cost time in every step below; a source may have found nothing at all.
    filled = [(found[name].articles != NO_ARTICLE).any(axis=0) for name in order]
    widths = [int(np.flatnonzero(is_filled).max(initial=-1)) + 1 for is_filled in filled]
    found = {
        name: TopK(found[name].articles[:, :width], found[name].scores[:, :width])
        for name, width in zip(order, widths, strict=True)
    }
    articles = np.concatenate([found[name].articles for name in order], axis=1)
    rows, columns = articles.shape
    # Equal articles lie together when sorted, the one of the first source ahead: all point at its column.
    packed = np.sort(articles.astype(np.int64) << 16 | np.arange(columns), axis=1)
    is_first = np.ones(packed.shape, dtype=bool)
    is_first[:, 1:] = packed[:, 1:] >> 16 != packed[:, :-1] >> 16
    first = np.maximum.accumulate(np.where(is_first, packed, np.iinfo(np.int64).min), axis=1)
    row = np.arange(rows)[:, None] * columns
    leader = np.empty(rows * columns, dtype=np.int64)  # position of the first find of the article found here
    leader[row + (packed & 0xFFFF)] = row + (first & 0xFFFF)

    is_kept = (articles != NO_ARTICLE) & (leader == np.arange(rows * columns)).reshape(rows, columns)
    place = np.cumsum(is_kept, axis=1) - 1
    width = int(place.max(initial=-1)) + 1
    place += np.arange(rows)[:, None] * width
    place = place.ravel()[leader].reshape(rows, columns)  # of each find in the rows without repeats

    def placed(values: np.ndarray, own: slice, where: npt.NDArray[np.bool_], empty: float, kind: type) -> np.ndarray:
        whole = np.full(rows * width, empty, dtype=kind)
        whole[place[:, own][where]] = np.broadcast_to(values, where.shape)[where]
        return whole.reshape(rows, width)

    sources = np.repeat([SOURCES.index(name) for name in order], widths)
    merged = Merged(
        articles=placed(articles, slice(columns), is_kept, NO_ARTICLE, np.int32),
        sources=placed(sources, slice(columns), is_kept, 0, np.int32),
        ranks={},
        scores={},
    )
    for name, end, size in zip(order, np.cumsum(widths), widths, strict=True):
        own, is_found = slice(end - size, end), found[name].articles != NO_ARTICLE
        merged.ranks[name] = placed(np.arange(1, size + 1), own, is_found, np.nan, np.float32)
        merged.scores[name] = placed(found[name].scores, own, is_found, np.nan, np.float32)
    return merged
