"""Who comes on which day, and how many lines each basket has."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sample_data.calendar import DAYS, daily_demand
from sample_data.customers import Customers

Floats = NDArray[np.float64]
FULL_LINES_PER_CUSTOMER = 31_788_324 / 1_371_980
LARGEST_BASKET = 62
NEW = 0.28  # share of customers who first come at any time in the two years; the others came before
GAP_SHAPE = 0.72  # Weibull: many short gaps, some of months
STOPS, ONE_OFF_STOPS = 0.024, 0.456  # probability that a visit is the last
ONE_OFF = 0.34  # share of customers who come a few times only


@dataclass(frozen=True)
class Visits:
    """Baskets sorted by day, then customer: `customer` (m,) int32, `size` (m,) lines, `start` (DAYS + 1,) offsets."""

    customer: NDArray[np.int32]
    size: NDArray[np.int64]
    start: NDArray[np.int64]


def simulate(rng: np.random.Generator, buyers: NDArray[np.int32], gap: float, one_off: float) -> tuple[Floats, Floats]:
    """All visits (buyer, time in days of mean demand) of these customers; each comes at least once."""
    n = len(buyers)
    scale = gap * np.exp(rng.normal(0, 0.4, n))
    stops = np.where(rng.random(n) < one_off, ONE_OFF_STOPS, STOPS)
    first = np.where(rng.random(n) < NEW, DAYS * rng.random(n), 2 * scale * rng.exponential(1, n))
    time = np.where(first < DAYS, first, DAYS * rng.random(n))
    who = np.arange(n, dtype=np.int32)
    visits = [(buyers, time)]
    while len(who):
        who = who[rng.random(len(who)) > stops[who]]
        later = time[who] + np.maximum(scale[who] * rng.weibull(GAP_SHAPE, len(who)), 1)
        who, later = who[later < DAYS], later[later < DAYS]
        time[who] = later
        visits.append((buyers[who], later))
    return np.concatenate([who for who, _ in visits]), np.concatenate([time for _, time in visits])


def build(customers: Customers, lines: int, seed: np.random.SeedSequence) -> Visits:
    """Visits of all who buy, with exactly `lines` lines in all.

    The gap between visits is what gives way: it is fitted so that the customers make about that many lines.
    """
    rng_fit, rng = (np.random.default_rng(part) for part in seed.spawn(2))
    buyers = np.flatnonzero(customers.buys).astype(np.int32)
    busy = lines / len(buyers) / FULL_LINES_PER_CUSTOMER
    one_off = float(np.clip(ONE_OFF * (1 - 2.2 * (busy - 1)), 0, 0.9))
    gap = fit_gap(rng_fit, one_off, lines / len(buyers))
    customer, time = simulate(rng, buyers, gap, one_off)
    day = np.searchsorted(np.cumsum(daily_demand()), time)
    key = np.minimum(day, DAYS - 1) * len(customers.buys) + customer
    key.sort()
    key = key[np.r_[True, key[1:] != key[:-1]]]  # a customer has one basket a day
    size = basket_sizes(rng, customers.appetite[key % len(customers.buys)])
    trim(rng, size, lines)
    day, customer = np.divmod(key[size > 0], len(customers.buys))
    return Visits(customer.astype(np.int32), size[size > 0], np.searchsorted(day, np.arange(DAYS + 1)))


def basket_sizes(rng: np.random.Generator, appetite: NDArray[np.float32]) -> NDArray[np.int64]:
    """Lines of each basket: quartiles 1, 2, 4, mean 3.6, at most LARGEST_BASKET."""
    size = np.exp(0.74 + appetite + rng.normal(0, 0.95, len(appetite)))
    return np.clip(size, 1, LARGEST_BASKET).astype(np.int64)


def fit_gap(rng: np.random.Generator, one_off: float, lines_per_buyer: float) -> float:
    """Scale of the gap in days at which a buyer makes that many lines (bisection on 3,000 simulated buyers)."""
    seed, buyers = rng.integers(2**32), np.arange(3000, dtype=np.int32)
    low, high = 2.0, 400.0
    for _ in range(9):
        gap = float(np.sqrt(low * high))
        trial = np.random.default_rng(seed)
        visits = len(simulate(trial, buyers, gap, one_off)[0])
        appetite = trial.normal(0, 0.35, visits).astype(np.float32)
        few = basket_sizes(trial, appetite).sum() < 1.02 * lines_per_buyer * len(buyers)
        low, high = (low, gap) if few else (gap, high)
    return float(np.sqrt(low * high))


def trim(rng: np.random.Generator, size: NDArray[np.int64], lines: int) -> None:
    """Add or take single lines at random baskets, in place, until there are exactly `lines`."""
    while (excess := int(size.sum()) - lines) != 0:
        room = np.flatnonzero(size > 0 if excess > 0 else size < LARGEST_BASKET)
        chosen = rng.choice(room, min(abs(excess), len(room)), replace=False)
        size[chosen] -= np.sign(excess)
