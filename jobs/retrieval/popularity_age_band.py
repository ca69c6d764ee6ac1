"""Candidate source: what sold most to customers of the same age band in the days before the as-of date."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

from jobs.platform.codes import Ints
from jobs.retrieval.context import SourceContext
from jobs.retrieval.popularity import DAYS, units_sold
from jobs.retrieval.purchases import Purchases
from jobs.retrieval.source import Nothing, Source, TopK, empty_topk, take_rows

SOURCE = "popularity_age_band"
COUNT = 30
#: To a customer of whom no more is known.
REASON = "Popular right now"
#: Units' worth of everybody's sales beside a band's own.
PRIOR_UNITS = 1000


class PopularityByAgeBand:
    """The best sellers of the last `days` days within the customer's age band.

    The score is the article's share of the band's units, smoothed towards its share of everybody's by a Dirichlet
    prior (Zhai and Lafferty, A Study of Smoothing Methods for Language Models, TOIS 22(2), 2004): a band that bought
    little has the list of everybody.

    Args:
        history: purchases; those on or after `as_of_date` are not looked at.
        age_band: code of each customer's band, (customers,).
    """

    def __init__(self, history: Purchases, as_of_date: date, age_band: Ints, days: int = DAYS) -> None:
        recent = history.between(as_of_date - timedelta(days=days), as_of_date)
        everybody = units_sold(history, as_of_date, days)
        articles, bands = len(everybody), int(age_band.max(initial=0)) + 1
        key = age_band[recent.customer].astype(np.int64) * articles + recent.article
        units = np.bincount(key, minlength=bands * articles).reshape(bands, articles) * recent.articles_listed()
        expected = PRIOR_UNITS * everybody / max(len(recent), 1)
        share = ((units + expected) / (units.sum(axis=1, keepdims=True) + PRIOR_UNITS)).astype(np.float32)
        # The same order in whole numbers, which no rounding can upset.
        order = np.argsort(-(units * len(recent) + PRIOR_UNITS * everybody), axis=1, kind="stable")[:, :COUNT]
        self._lists = empty_topk(bands, COUNT)
        row, column = np.nonzero(everybody[order] > 0)
        found = order[row, column]
        self._lists.articles[row, column], self._lists.scores[row, column] = found, share[row, found]
        self._age_band, self._is_bought = age_band, units > 0

    def of(self, customers: Ints) -> TopK:
        return take_rows(self._lists, self._age_band[customers])

    def is_bought(self, customers: Ints, articles: Ints) -> npt.NDArray[np.bool_]:
        """Whether anyone of the customer's age band bought the article in those days; arguments of any one shape."""
        return self._is_bought[self._age_band[customers], articles]


def build(context: SourceContext) -> Source:
    """The source as of the context's date; in a sparse shop it finds hardly anything that no other does."""
    if context.windows.is_sparse:
        return Nothing(COUNT)
    return PopularityByAgeBand(context.past, context.as_of_date, context.age_band, context.windows.popular)
