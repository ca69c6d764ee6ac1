"""System: nearest neighbours of shoppers, by all that they met: purchases, and views, wish lists and carts.

What user_knn does, on the weights of jobs.recommenders.interactions: user-based collaborative filtering on weighted
events with time decay. Visitors who never signed in are neighbours, too, and have neighbours from their first view on.
Where there is no silver/events it is user_knn.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from jobs.platform.job import Job
from jobs.recommenders.interactions import Shoppers, events_before, shoppers
from jobs.recommenders.recommender import TrainingContext
from jobs.recommenders.user_knn import ACTIVE_DAYS, BoughtByNeighbours
from jobs.retrieval.purchases import Purchases


def met_by_neighbours(met: Shoppers, history: Purchases, as_of_date: date, count: int) -> BoughtByNeighbours:
    """Ready to pick for any shopper, by code."""
    return BoughtByNeighbours(met.weight, met.active(as_of_date, ACTIVE_DAYS), history.articles_on_sale(), count)


@dataclass(frozen=True)
class UserBased:
    """There is nothing to learn ahead.

    Attributes:
        job: through which the events before each date are read; None: purchases alone count.
    """

    job: Job | None

    def at(self, history: Purchases, as_of_date: date, count: int) -> BoughtByNeighbours:
        met = shoppers(history, events_before(self.job, as_of_date), as_of_date)
        return met_by_neighbours(met, history, as_of_date, count)


def fit(known: TrainingContext, job: Job) -> UserBased:
    """There is nothing to fit."""
    return UserBased(job)
