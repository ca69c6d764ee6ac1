"""Candidate source: what those who bought the customer's latest articles bought in the last weeks."""

from __future__ import annotations

from datetime import date

import numpy as np
from scipy import sparse

from jobs.retrieval.purchases import NO_ARTICLE, Ints, day_number
from jobs.retrieval.recent import RecentPurchases
from jobs.retrieval.source import Floats, Found, best_per_row

SOURCE = "co_occurrence"
COUNT = 60
#: Neighbours kept per article, and articles of a customer whose neighbours are added up.
NEIGHBOURS, LATEST = 40, 15
#: Articles of a customer that count as bought together with what they bought in the last DAYS days.
BASKET, DAYS = 30, 56
#: A purchase counts half as much every so many days: as what is found, and as what leads there.
FOUND_HALF_LIFE_DAYS, OWN_HALF_LIFE_DAYS = 14, 30
#: Customers an article is thought to have beside its own who bought nothing else: few buyers say little.
SHRINKAGE = 5
#: Power of an article's popularity that its similarities are divided by.
DAMPING = 0.5
#: Articles whose neighbours are computed at once.
BLOCK = 2048


class CoOccurrence:
    """Item-to-item collaborative filtering; the score is the sum over own articles of recency x similarity.

    Similarities are the conditional probabilities of Deshpande and Karypis (Item-Based Top-N Recommendation
    Algorithms, TOIS 22(1), 2004), sim(i -> j) = sum over buyers u of i of R_uj / (buyers of i x popularity of j ^
    DAMPING), where a customer's row R_u holds what they bought in the last weeks, scaled so that who buys everything
    says little. They are directed: i may be old, j sells now. What the customer has already is not left out.

    Args:
        recent: every customer's articles before the as-of date.
    """

    def __init__(self, recent: RecentPurchases, as_of_date: date) -> None:
        self._recent, self._today = recent, day_number(as_of_date)
        bought, found = self._baskets()
        buyers = np.asarray(bought.sum(axis=0)).ravel()
        popularity = np.asarray(found.sum(axis=0)).ravel()
        found = (found @ sparse.diags_array(np.maximum(popularity, 1e-9).astype(np.float32) ** -DAMPING)).tocsr()
        by_article = bought.T.tocsr()
        parts = [
            self._nearest(by_article[start : start + BLOCK] @ found, start, buyers[start : start + BLOCK])
            for start in range(0, by_article.shape[0], BLOCK)
        ]
        lists = Found(*(np.concatenate(part) for part in zip(*parts, strict=True)))
        row, column = np.nonzero(lists.articles != NO_ARTICLE)
        places = row, lists.articles[row, column]
        self._similar = sparse.csr_matrix((lists.scores[row, column], places), shape=2 * by_article.shape[:1])

    def of(self, customers: Ints) -> Found:
        place = self._recent.latest(customers, LATEST)
        weight = np.exp2((self._recent.last_day[place.position] - self._today) / OWN_HALF_LIFE_DAYS)
        shape = len(customers), self._similar.shape[0]
        own = sparse.csr_matrix(
            (weight.astype(np.float32), (place.row, self._recent.article[place.position])), shape=shape
        )
        return best_per_row(own @ self._similar, COUNT)

    def _baskets(self) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
        """Customers who bought lately x articles: whether bought, and the weights of what was bought lately."""
        recent = self._recent
        days = np.append(recent.last_day, 0)[recent.start[:-1]]  # of each customer's latest article
        is_active = (np.diff(recent.start) > 0) & (days >= self._today - DAYS)
        customers = np.flatnonzero(is_active).astype(np.int32)
        place = recent.latest(customers, BASKET)
        article, age = recent.article[place.position], self._today - recent.last_day[place.position]
        shape = len(customers), recent.articles
        bought = sparse.csr_matrix((np.ones(len(article), np.float32), (place.row, article)), shape=shape)
        late = age <= DAYS
        size = np.sqrt(np.bincount(place.row[late], minlength=len(customers)))
        weight = np.exp2(-age[late] / FOUND_HALF_LIFE_DAYS) / size[place.row[late]]
        found = sparse.csr_matrix((weight.astype(np.float32), (place.row[late], article[late])), shape=shape)
        return bought, found

    @staticmethod
    def _nearest(together: sparse.csr_matrix, start: int, buyers: Floats) -> Found:
        """The best neighbours of the articles from code `start` on, given their sums of R_uj / popularity."""
        row = np.repeat(np.arange(len(buyers)), np.diff(together.indptr))
        together.data /= (buyers[row] + SHRINKAGE).astype(np.float32)
        together.data[together.indices == start + row] = 0
        together.eliminate_zeros()
        return best_per_row(together, NEIGHBOURS)
