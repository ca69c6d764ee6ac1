"""How far back the candidate sources look, which follows from how much a shop sells."""

from __future__ import annotations

from datetime import date, timedelta
from typing import NamedTuple

import numpy as np

from jobs.retrieval.purchases import Purchases

#: Units that the articles of a window have sold on average, so that its order is more than chance.
UNITS_PER_ARTICLE = 2.5
#: Below so many a week factors of products find more than neighbours of articles (docs/results/two_stage_choices.md).
SPARSE_BELOW = 5.0
#: Of these windows the shortest with as many is taken, else the last.
CHOICES = (7, 14, 28)


class Windows(NamedTuple):
    """Days before an as-of date that the sources look at.

    Attributes:
        popular: whose units make best sellers.
        selling: within which an article must have sold to be found as a variant, or by its look.
        baskets: of the purchases that count as bought together with earlier ones.
        basket_half_life: after which such a purchase counts half as much.
        units_per_article: what decided, of the last seven days.
    """

    popular: int
    selling: int
    baskets: int
    basket_half_life: int
    units_per_article: float

    @classmethod
    def of(cls, past: Purchases, as_of_date: date) -> Windows:
        """Windows for a history before the as-of date: the fewer units an article sells, the longer."""
        popular, first = CHOICES[-1], _units_per_article(past, as_of_date, CHOICES[0])
        for days in CHOICES:
            if _units_per_article(past, as_of_date, days) >= UNITS_PER_ARTICLE:
                popular = days
                break
        stretch = popular // CHOICES[0]
        return cls(popular, 28 * stretch, 56 * stretch, 14 * stretch, first)

    @property
    def is_sparse(self) -> bool:
        """Whether a week's units are too few to tell articles apart."""
        return self.units_per_article < SPARSE_BELOW

    def __str__(self) -> str:
        return (
            f"best sellers of {self.popular} days, variants and look-alikes sold in {self.selling}, baskets of "
            f"{self.baskets}: an article sold in the last {CHOICES[0]} days has {self.units_per_article:.1f} units"
        )


def _units_per_article(past: Purchases, as_of_date: date, days: int) -> float:
    """Units of the last days over the articles that they are of; 0 without any."""
    window = past.between(as_of_date - timedelta(days=days), as_of_date)
    articles = int(np.count_nonzero(np.bincount(window.article, minlength=1)))
    return len(window) / max(articles, 1)
