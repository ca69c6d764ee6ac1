"""System: articles that look like what a customer bought last.

The candidate source similar_images (cosine of image embeddings, times the recency of the purchase) as a recommender of
its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa

from jobs.platform.errors import JobError
from jobs.recommenders.recommender import State, TrainingContext, rows_and_codes
from jobs.retrieval.purchases import Purchases
from jobs.retrieval.recent import RecentPurchases
from jobs.retrieval.similar_images import SimilarImages
from jobs.retrieval.source import Floats


@dataclass(frozen=True)
class SimilarArticles:
    """The images that are compared.

    Attributes:
        articles: ids of the articles that have one, ascending.
        images: embedding of each, (articles, d).
    """

    articles: pa.StringArray
    images: Floats

    def at(self, history: Purchases, as_of_date: date, count: int) -> SimilarImages:
        rows, codes = rows_and_codes(self.articles, history)
        images = np.zeros((len(history.article_ids), self.images.shape[1]), dtype=np.float32)
        images[codes] = self.images[rows]
        past = history.before(as_of_date)
        return SimilarImages(RecentPurchases(past), past, as_of_date, images, count)

    def state(self) -> State:
        return State(self.articles, {"images": self.images})


def restored(state: State) -> SimilarArticles:
    """The fitted system that was saved."""
    return SimilarArticles(state.articles, state.arrays["images"])


def fit(known: TrainingContext) -> SimilarArticles:
    """Nothing is learned from the purchases; raises JobError where no article has an image."""
    has_image = known.features.any(axis=1)
    if not has_image.any():
        raise JobError(
            "gold/article_embeddings has no image embedding of this encoder to compare; run the weekly DAG with the "
            "images and the same --encoder first"
        )
    return SimilarArticles(known.history.article_ids.filter(pa.array(has_image)), known.features[has_image])
