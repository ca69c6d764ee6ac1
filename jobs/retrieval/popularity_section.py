"""Candidate source: what sells best of late in the sections of the shop that the customer bought from."""

from __future__ import annotations

from datetime import date

import numpy as np

from jobs.platform.codes import Ints
from jobs.retrieval.context import SourceContext
from jobs.retrieval.popularity import DAYS
from jobs.retrieval.popularity_department import COUNT as COUNT
from jobs.retrieval.popularity_department import PopularityByGroup
from jobs.retrieval.purchases import Purchases, day_number
from jobs.retrieval.recent import RecentPurchases
from jobs.retrieval.source import Floats, Source

SOURCE = "popularity_section"
#: To a customer of whom no more is known.
REASON = "Sells well where you buy"


class PopularityBySection(PopularityByGroup):
    """Best sellers by time-decayed units, of sections that are wider than departments and may cross them.

    Args:
        recent: every customer's articles before the as-of date.
        history: purchases; those on or after `as_of_date` are not looked at.
        section: code of each article's section, (articles,).
        half_life: days after which a unit counts half as much.
    """

    def __init__(
        self, recent: RecentPurchases, history: Purchases, as_of_date: date, section: Ints, half_life: int = DAYS
    ) -> None:
        super().__init__(recent, as_of_date, section, decayed_units(history.before(as_of_date), as_of_date, half_life))


def decayed_units(past: Purchases, as_of_date: date, half_life: int) -> Floats:
    """Units of each article, a day's half as much every `half_life` days, (articles,); 0 of those delisted since."""
    weight = np.exp2((past.day - day_number(as_of_date)) / half_life)
    units = np.bincount(past.article, weights=weight, minlength=len(past.article_ids))
    return (units * past.articles_listed()).astype(np.float32)


def build(context: SourceContext) -> Source:
    """The source as of the context's date."""
    days = context.windows.popular
    return PopularityBySection(context.recent, context.past, context.as_of_date, context.section, days)
