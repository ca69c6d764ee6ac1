"""Forecasts of daily sales, by hand and by the recursion that the weights sum up."""

from __future__ import annotations

import numpy as np
import pytest

from jobs.retrieval.trend import DAYS, HALF_LIFE_DAYS, HORIZON_DAYS, Trend, forecast_weights
from tests.jobs.retrieval.small import found_by, on, purchases

A = 1 - 2 ** (-1 / 5)


def test_one_unit_of_yesterday() -> None:
    # S' = A and S'' = A^2, so level 2 A - A^2, slope A / (1 - A) (A - A^2) = A^2, four days ahead.
    history = purchases([(9, 0, 1), (10, 0, 0)], customers=2, articles=2)
    assert found_by(Trend(history, on(10)), 1, 0) == [pytest.approx({1: 2 * A + 3 * A**2})] * 2


def test_weights_are_browns_recursion() -> None:
    sales = np.random.default_rng(0).integers(0, 9, DAYS)
    once = twice = 0.0
    for units in sales:
        once += A * (units - once)
        twice += A * (once - twice)
    forecast = 2 * once - twice + HORIZON_DAYS * A / (1 - A) * (once - twice)
    assert forecast_weights(np.arange(DAYS)[::-1]) @ sales == pytest.approx(forecast)
    assert pytest.approx(5) == HALF_LIFE_DAYS


def test_of_equal_sales_the_rising_article_leads_and_the_vanished_is_left_out() -> None:
    rising = [(day, 0, 0) for day in range(20, 40) for _ in range(day // 10)]
    falling = [(day, 0, 1) for day in range(20, 40) for _ in range(5 - day // 10)]
    vanished = [(day, 0, 2) for day in range(5) for _ in range(9)]
    history = purchases(rising + falling + vanished, customers=1, articles=3)
    assert sum(article == 0 for *_, article in rising) == sum(article == 1 for *_, article in falling)
    assert list(found_by(Trend(history, on(40)), 0)[0]) == [0, 1]
