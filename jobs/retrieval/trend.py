"""Candidate source: the articles that will sell most if each one's trend goes on, the same for everyone."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np

from jobs.platform.codes import NO_ARTICLE, Ints
from jobs.retrieval.context import SourceContext
from jobs.retrieval.purchases import Purchases, day_number
from jobs.retrieval.source import Floats, Source, TopK, best, take_rows

SOURCE = "trend"
COUNT = 20
#: To a customer of whom no more is known.
REASON = "In demand right now"
#: A day's sales count half as much for the level every so many days, and nothing after DAYS.
HALF_LIFE_DAYS, DAYS = 5, 42
#: The forecast is of the middle of the coming week.
HORIZON_DAYS = 4


def forecast_weights(ages: np.ndarray) -> np.ndarray:
    """What a unit sold so many days before the last day adds to the forecast of daily sales.

    Brown's double exponential smoothing (Smoothing, Forecasting and Prediction of Discrete Time Series, 1963): level
    2 S' - S'' and slope a / (1 - a) (S' - S''), where S' is the exponential mean of the days and S'' that of S'.
    Both are sums over the days, so the forecast is one weighted sum; older days have negative weights.
    """
    a = 1 - 0.5 ** (1 / HALF_LIFE_DAYS)
    once = a * (1 - a) ** ages
    twice = a * (ages + 1) * once
    return 2 * once - twice + HORIZON_DAYS * a / (1 - a) * (once - twice)


class Trend:
    """Articles by their forecast of daily sales, which is the score; those that fall to nothing are left out.

    Args:
        history: purchases; those on or after `as_of_date` are not looked at.
    """

    def __init__(self, history: Purchases, as_of_date: date) -> None:
        recent = history.between(as_of_date - timedelta(days=DAYS), as_of_date)
        weight = forecast_weights(day_number(as_of_date) - 1 - recent.day)
        size = len(history.article_ids)
        forecast: Floats = np.bincount(recent.article, weights=weight, minlength=size).astype(np.float32)
        rises = (forecast > 0) & recent.articles_listed()
        self._list = best(np.where(rises, np.arange(size), NO_ARTICLE)[None], forecast[None], COUNT)

    def of(self, customers: Ints) -> TopK:
        return take_rows(self._list, np.zeros_like(customers))


def build(context: SourceContext) -> Source:
    """The source as of the context's date."""
    return Trend(context.past, context.as_of_date)
