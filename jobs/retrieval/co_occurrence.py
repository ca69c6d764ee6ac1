"""Candidate source: what those who bought the customer's latest articles bought in the last weeks."""

from __future__ import annotations

from datetime import date

import numpy as np
from scipy import sparse

from jobs.platform.codes import Ints
from jobs.retrieval.context import SourceContext
from jobs.retrieval.purchases import day_number
from jobs.retrieval.recent import RecentPurchases
from jobs.retrieval.source import Floats, Nothing, Source, TopK, best, best_per_row, dedupe

SOURCE = "co_occurrence"
COUNT = 60
#: To a customer of whom no more is known.
REASON = "Chosen by people who bought what you did"
#: Neighbours kept per article, and articles of a customer whose neighbours are added up.
NEIGHBOURS, LATEST = 30, 15
#: Articles of a customer that count as bought together with what they bought in the last DAYS days.
BASKET, DAYS = 30, 56
#: A purchase counts half as much every so many days: as what is found, and as what leads there.
FOUND_HALF_LIFE_DAYS, OWN_HALF_LIFE_DAYS = 14, 60
#: Customers an article is thought to have beside its own who bought nothing else: few buyers say little.
SHRINKAGE = 5
#: Power of an article's popularity that its similarities are divided by.
DAMPING = 0.3
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
        days: of the purchases that count as bought together with earlier ones.
        half_life: days after which such a purchase counts half as much.

    Attributes:
        similar: the NEIGHBOURS of each article, (articles, NEIGHBOURS).
    """

    def __init__(
        self,
        recent: RecentPurchases,
        as_of_date: date,
        days: int = DAYS,
        half_life: int = FOUND_HALF_LIFE_DAYS,
    ) -> None:
        self._recent, self._today = recent, day_number(as_of_date)
        bought, found = self._baskets(days, half_life)
        buyers = np.asarray(bought.sum(axis=0)).ravel()
        popularity = np.asarray(found.sum(axis=0)).ravel()
        found = (found @ sparse.diags_array(np.maximum(popularity, 1e-9).astype(np.float32) ** -DAMPING)).tocsr()
        by_article = bought.T.tocsr()
        parts = [
            self._nearest(by_article[start : start + BLOCK] @ found, start, buyers[start : start + BLOCK])
            for start in range(0, by_article.shape[0], BLOCK)
        ]
        self.similar = TopK(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    def of(self, customers: Ints) -> TopK:
        own = self._recent.latest(customers, LATEST)
        weight = np.exp2((own.last_day - self._today) / OWN_HALF_LIFE_DAYS).astype(np.float32)
        lists = TopK(self.similar.articles[own.article], self.similar.scores[own.article] * weight[:, None])
        return best(*dedupe(*own.side_by_side(lists), np.add), COUNT)

    def _baskets(self, days: int, half_life: int) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
        """Customers who bought lately x articles: whether bought, and the weights of what was bought lately."""
        buyers = self._recent.buyers_since(self._today - days)
        own = self._recent.latest(buyers, BASKET)
        shape = len(buyers), self._recent.articles
        bought = sparse.csr_matrix((np.ones(len(own.row), np.float32), (own.row, own.article)), shape=shape)
        age = self._today - own.last_day
        late = (age <= days) & self._recent.is_listed[own.article]
        row, article = own.row[late], own.article[late]
        size = np.sqrt(np.bincount(row, minlength=len(buyers)))
        weight = (np.exp2(-age[late] / half_life) / size[row]).astype(np.float32)
        return bought, sparse.csr_matrix((weight, (row, article)), shape=shape)

    @staticmethod
    def _nearest(together: sparse.csr_matrix, start: int, buyers: Floats) -> TopK:
        """The best neighbours of the articles from code `start` on, given their sums of R_uj / popularity."""
        row = np.repeat(np.arange(len(buyers)), np.diff(together.indptr))
        together.data /= (buyers[row] + SHRINKAGE).astype(np.float32)
        together.data[together.indices == start + row] = 0
        together.eliminate_zeros()
        return best_per_row(together, NEIGHBOURS)


def build(context: SourceContext) -> Source:
    """The source as of the context's date; in a sparse shop factors of products find more in as many candidates."""
    windows = context.windows
    if windows.is_sparse:
        return Nothing(COUNT)
    return CoOccurrence(context.recent, context.as_of_date, windows.baskets, windows.basket_half_life)
