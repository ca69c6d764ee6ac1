"""System: nearest neighbours of customers, by what they bought.

User-based collaborative filtering on weighted events: an event is a unit bought, its weight its recency. The similarity
of two customers is the cosine of their rows, in which what many buy counts less (inverse user frequency: Breese,
Heckerman and Kadie, Empirical Analysis of Predictive Algorithms for Collaborative Filtering, UAI 1998). The score of an
article is the sum over the NEIGHBOURS most similar customers, never the customer, of similarity x weight of what they
bought. A best seller is no reason to compare all of its buyers with each other: it counts for the BUYERS with the
largest weight (Jannach and Ludewig, When Recurrent Neural Networks Meet the Neighborhood, RecSys 2017).
"""

from __future__ import annotations

from datetime import date

import numpy as np
import numpy.typing as npt
from scipy import sparse

from jobs.platform.codes import Ints
from jobs.recommenders.neighbours import as_matrix, largest, largest_entries, scaled_rows, unit_rows
from jobs.recommenders.recommender import State, TrainingContext
from jobs.recommenders.weights import weights
from jobs.retrieval.purchases import Purchases, day_number
from jobs.retrieval.source import TopK

NEIGHBOURS = 100
#: Neighbours bought something in the last so many days: the others only have what was on sale long ago.
ACTIVE_DAYS = 56
#: So many buyers of an article are compared with others who bought it: those of the largest weight.
BUYERS = 500


class BoughtByNeighbours:
    """Picks of what the neighbours bought; both are looked up for each block of customers.

    Args:
        weight: of what each customer bought, (customers, articles) float32.
        active: codes of those who can be neighbours, ascending.
        on_sale: mask over article codes, of what can be picked.
        count: picks of a customer.
    """

    def __init__(self, weight: sparse.csr_matrix, active: Ints, on_sale: npt.NDArray[np.bool_], count: int) -> None:
        self._count, self._active = count, active
        buyers = np.bincount(weight.indices, minlength=weight.shape[1])
        rarity = np.log(np.count_nonzero(np.diff(weight.indptr)) / np.maximum(buyers, 1))
        self._tastes = unit_rows(scaled_rows(weight.T.tocsr(), rarity).T.tocsr())
        self._weight = (weight[active] @ sparse.diags_array(on_sale.astype(np.float32))).tocsr()
        is_compared = largest_entries(weight[active].T.tocsr(), BUYERS) > 0
        self._by_article = self._tastes[active].T.multiply(is_compared).tocsr()

    def of(self, customers: Ints) -> TopK:
        own = np.searchsorted(self._active, customers)
        own[np.append(self._active, -1)[own] != customers] = -1
        similar = largest(self._tastes[customers], self._by_article, NEIGHBOURS, without=own.astype(np.int32))
        return largest(as_matrix(similar, len(self._active)), self._weight, self._count)


class UserNeighbours:
    """There is nothing to learn ahead: neighbours follow from the history up to the as-of date."""

    def at(self, history: Purchases, as_of_date: date, count: int) -> BoughtByNeighbours:
        late = history.day >= day_number(as_of_date) - ACTIVE_DAYS
        active = np.unique(history.customer[late])
        return BoughtByNeighbours(weights(history, as_of_date), active, history.articles_on_sale(), count)

    def state(self) -> State:
        return State()


def restored(_: State) -> UserNeighbours:
    """The system that was kept."""
    return UserNeighbours()


def fit(known: TrainingContext) -> UserNeighbours:
    """There is nothing to fit."""
    return UserNeighbours()
