"""System: what completes the look, by association rules of the last weeks' baskets.

The score of an article is the sum, over what the customer bought, of the recency of the purchase times the score of
the rule from it (jobs.baskets.rules). Variants are no exception here: whoever bought a colour may want another.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from scipy import sparse

from jobs.baskets.baskets import baskets_of
from jobs.baskets.itemsets import frequent_itemsets
from jobs.baskets.rules import rules_of
from jobs.platform.settings import WEEK
from jobs.recommenders.item_knn import NEIGHBOURS, ItemNeighbours, restored
from jobs.recommenders.neighbours import as_matrix
from jobs.recommenders.recommender import TrainingContext
from jobs.retrieval.source import best_per_row

__all__ = ["fit", "restored"]

#: As jobs.baskets.bought_together has them by default, but for rarer pairs: a customer's articles are added up.
WEEKS, MAX_BASKET_SIZE, MIN_BASKETS = 12, 100, 2


def fit(known: TrainingContext) -> ItemNeighbours:
    """Articles that nobody bought beside another in those weeks lead nowhere, and nothing leads to them."""
    history = known.history.between(known.as_of_date - WEEKS * WEEK, known.as_of_date)
    baskets = baskets_of(history.customer, history.day, history.article, len(history.article_ids), MAX_BASKET_SIZE)
    mined = frequent_itemsets(baskets, MIN_BASKETS, 2)
    parts = [(r.antecedent[:, 0], r.consequent, r.measures["score"]) for r in rules_of(mined, min_lift=1)]
    left, right, score = (np.concatenate(column) for column in zip(*parts, strict=True))
    size = len(mined.codes)
    places = np.searchsorted(mined.codes, left), np.searchsorted(mined.codes, right)
    similar = sparse.csr_matrix((score.astype(np.float32), places), shape=(size, size))
    similar.eliminate_zeros()
    kept = as_matrix(best_per_row(similar, NEIGHBOURS), size)
    return ItemNeighbours(history.article_ids.take(pa.array(mined.codes)), kept)
