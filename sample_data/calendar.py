"""The two years of sales, and how demand moves through them."""

from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

FIRST_DAY = date(2018, 9, 20)
LAST_DAY = date(2020, 9, 22)
DAYS = (LAST_DAY - FIRST_DAY).days + 1
DATES = [FIRST_DAY + timedelta(days=day) for day in range(DAYS)]
WEEKDAY_DEMAND = np.array([0.93, 0.97, 1.02, 1.02, 1.03, 1.12, 0.91])  # Monday to Sunday


def summer(day: NDArray[Any] | int) -> Any:
    """How much it is summer on a day counted from FIRST_DAY: 1 late in June, -1 late in December."""
    return np.cos(2 * np.pi * (day - 275) / 365.25)


def daily_demand() -> NDArray[np.float64]:
    """Demand of each day relative to the mean: the week, the summer, a slow decline, sales."""
    days = np.arange(DAYS)
    demand = (1 + 0.22 * summer(days)) * WEEKDAY_DEMAND[[day.weekday() for day in DATES]]
    demand *= np.linspace(1.12, 0.84, DAYS)
    for month, first, last, boost in [
        (6, 18, 30, 1.35),
        (11, 22, 29, 1.6),
        (12, 26, 31, 1.25),
        (4, 1, 14, 1.1),
    ]:
        on_sale = [day.month == month and first <= day.day <= last for day in DATES]
        demand[on_sale] *= boost
    return demand / demand.mean()
