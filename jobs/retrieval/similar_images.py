"""Candidate source: articles that look like what the customer bought last."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np

from jobs.platform.codes import NO_ARTICLE, Ints
from jobs.retrieval.context import SourceContext
from jobs.retrieval.exact import ExactSearch
from jobs.retrieval.purchases import Purchases, day_number
from jobs.retrieval.recent import RecentPurchases
from jobs.retrieval.source import Floats, Source, TopK, best, dedupe, empty_topk

SOURCE = "similar_images"
COUNT = 20
#: To a customer of whom no more is known.
REASON = "Looks like something you bought"
#: Articles of a customer whose look counts.
LATEST = 5
#: A likeness counts half as much for every so many days since the purchase.
HALF_LIFE_DAYS = 90
DAYS = 28


class SimilarImages:
    """Nearest by the cosine of image embeddings, exactly; the score is the best of cosine x recency of the purchase.

    Neighbours are searched once per article that anybody bought lately, among the articles that still sell; nothing
    is found where an article has no image.

    Args:
        recent: every customer's articles before the as-of date.
        history: purchases; those on or after `as_of_date` are not looked at.
        images: embedding of each article, zero where there is none, (articles, d); d may be 0.
        count: articles found for a customer at most; as many neighbours of each article are kept.
        days: articles that sold nothing for so long are not found: they are hardly there any more.
    """

    def __init__(
        self,
        recent: RecentPurchases,
        history: Purchases,
        as_of_date: date,
        images: Floats,
        count: int = COUNT,
        days: int = DAYS,
    ) -> None:
        self._recent, self._today, self._count = recent, day_number(as_of_date), count
        length = np.linalg.norm(images, axis=1, keepdims=True)
        selling = history.between(as_of_date - timedelta(days=days), as_of_date).articles_on_sale()
        shelf = np.flatnonzero(selling & (length[:, 0] > 0)).astype(np.int32)
        is_asked = np.zeros(len(images), dtype=bool)
        is_asked[recent.latest(np.arange(len(history.customer_ids), dtype=np.int32), LATEST).article] = True
        asked = np.flatnonzero(is_asked & (length[:, 0] > 0)).astype(np.int32)
        position, cosine = ExactSearch(images[shelf] / length[shelf]).nearest(images[asked] / length[asked], count + 1)
        articles = shelf[position]
        articles = np.where(articles == asked[:, None], NO_ARTICLE, articles)
        self._similar = empty_topk(len(images), count)
        self._similar.articles[asked], self._similar.scores[asked] = best(articles, cosine, count)

    def of(self, customers: Ints) -> TopK:
        own = self._recent.latest(customers, LATEST)
        weight = np.exp2((own.last_day - self._today) / HALF_LIFE_DAYS).astype(np.float32)
        lists = TopK(self._similar.articles[own.article], self._similar.scores[own.article] * weight[:, None])
        return best(*dedupe(*own.side_by_side(lists), np.maximum), self._count)


def build(context: SourceContext) -> Source:
    """The source as of the context's date."""
    days = context.windows.selling
    return SimilarImages(context.recent, context.past, context.as_of_date, context.images, days=days)
