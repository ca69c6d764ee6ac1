"""What candidate sources may use."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cached_property

from jobs.platform.codes import Ints
from jobs.retrieval.purchases import Purchases
from jobs.retrieval.recent import RecentPurchases
from jobs.retrieval.source import Floats
from jobs.retrieval.windows import Windows


@dataclass(frozen=True)
class SourceContext:
    """What the sources know.

    Attributes:
        history: purchases; those dated on or after `as_of_date` are not looked at.
        as_of_date: the date whose candidates are wanted.
        product: code of the product each article is a variant of, (articles,).
        department: code of each article's department, (articles,).
        section: likewise of the section of the shop that it is in.
        age_band: code of each customer's age band, (customers,).
        images: image embedding of each article, zero where there is none, (articles, d); d may be 0.
    """

    history: Purchases
    as_of_date: date
    product: Ints
    department: Ints
    section: Ints
    age_band: Ints
    images: Floats

    @cached_property
    def past(self) -> Purchases:
        """The purchases before the as-of date."""
        return self.history.before(self.as_of_date)

    @cached_property
    def windows(self) -> Windows:
        """How far back the sources look."""
        return Windows.of(self.past, self.as_of_date)

    @cached_property
    def recent(self) -> RecentPurchases:
        """Every customer's articles before the as-of date."""
        return RecentPurchases(self.past)
