"""Shares and how sure they are: Wilson's interval, and the comparison of two shares whose events come by visitor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, NamedTuple

_NORMAL = NormalDist()
#: Of a 95 % interval, and of a test at 5 %.
Z = _NORMAL.inv_cdf(0.975)
#: Chance of finding a difference that is there, for which numbers of visitors are reckoned.
POWER = 0.8
#: So many independent outcomes, and as many without one, each arm needs: with fewer they are not normally distributed.
FEWEST = 10


class Interval(NamedTuple):
    low: float
    high: float


def wilson(successes: float, trials: float) -> Interval:
    """The 95 % interval of a share of independent trials, at least one (Wilson, JASA 22, 1927)."""
    low, high = wilson_bounds(successes, trials)
    return Interval(max(low, 0.0), min(high, 1.0))


def wilson_bounds(successes: Any, trials: Any) -> tuple[Any, Any]:
    """As `wilson`, of numbers, Polars expressions or Spark columns; rounding may leave them just outside [0, 1]."""
    share, shrink = successes / trials, 1 + Z**2 / trials
    centre = (share + Z**2 / (2 * trials)) / shrink
    half = Z / shrink * (share * (1 - share) / trials + Z**2 / (4 * trials**2)) ** 0.5
    return centre - half, centre + half


class Moments(NamedTuple):
    """Sums over visitors of what each of them saw in an arm, n, and of that what had an outcome, x."""

    visitors: int
    n: float
    x: float
    nn: float
    nx: float
    xx: float


class CrossMoments(NamedTuple):
    """Sums over the visitors who were in both arms, a and b."""

    nn: float = 0.0
    nx: float = 0.0
    xn: float = 0.0
    xx: float = 0.0


#: Where no visitor was in both arms.
NO_SHARED_VISITORS = CrossMoments()


@dataclass(frozen=True)
class Comparison:
    """Two shares, b less a.

    Attributes:
        rates: x / n of each arm.
        difference, interval: b less a, with its 95 % interval.
        z, p_value: of the two-sided test that there is no difference.
        visitors_needed: in each arm, to find a difference of this size with POWER; None where there is none.
        detectable: the difference that as many visitors as there were find with POWER.
        is_enough: both arms have FEWEST; where they do not, the test finds differences by chance.
    """

    rates: tuple[float, float]
    difference: float
    interval: Interval
    z: float
    p_value: float
    visitors_needed: int | None
    detectable: float
    is_enough: bool


def compare(a: Moments, b: Moments, both: CrossMoments = NO_SHARED_VISITORS) -> Comparison:
    """The test of two shares when the visitor is what is drawn, not the impression.

    One visitor's impressions are alike, so that a test that takes each for a draw finds differences where there are
    none. The variance of a share of sums is that of the delta method over visitors (Deng, Knoblich and Lu, Applying the
    Delta Method in Metric Analytics, KDD 2018); visitors who were in both arms make these depend on each other.

    Raises ValueError where an arm has fewer than two visitors.
    """
    if min(a.visitors, b.visitors) < 2:
        raise ValueError(f"{a.visitors} and {b.visitors} visitors: each arm needs two")
    rates = a.x / a.n, b.x / b.n
    variances = [_variance(arm, rate) for arm, rate in zip((a, b), rates, strict=True)]
    cross = both.xx - rates[0] * both.nx - rates[1] * both.xn + rates[0] * rates[1] * both.nn
    covariance = cross / (a.n * b.n)
    error, difference = math.sqrt(max(sum(variances) - 2 * covariance, 0.0)), rates[1] - rates[0]
    z = difference / error if error else math.copysign(math.inf, difference) if difference else 0.0
    p_value = math.erfc(abs(z) / math.sqrt(2))
    reach = Z + _NORMAL.inv_cdf(POWER)
    # Of arms of one size, with the same share of visitors in both.
    per_visitor = variances[0] * a.visitors + variances[1] * b.visitors
    per_visitor -= 2 * covariance * math.sqrt(a.visitors * b.visitors)
    needed = math.ceil(reach**2 * max(per_visitor, 0.0) / difference**2) if difference else None
    interval = Interval(difference - Z * error, difference + Z * error)
    is_enough = _independent_outcomes(a, b) >= FEWEST
    return Comparison(rates, difference, interval, z, p_value, needed, reach * error, is_enough)


def _variance(arm: Moments, rate: float) -> float:
    """Of the share of an arm: the visitors' deviations squared over n squared."""
    return _squares(arm, rate) / arm.n**2 * arm.visitors / (arm.visitors - 1)


def _squares(arm: Moments, rate: float) -> float:
    """Sum of the visitors' deviations x - rate n, squared."""
    return max(arm.xx - 2 * rate * arm.nx + rate**2 * arm.nn, 0.0)


def _independent_outcomes(a: Moments, b: Moments) -> float:
    """As many independent impressions with an outcome, or without if these are fewer, say as much as the smaller arm.

    At the rate and the spread over visitors of both arms together: an arm in which nothing happened has none itself.
    """
    seen = a.n + b.n
    rate = (a.x + b.x) / seen
    spread = (_squares(a, rate) + _squares(b, rate)) / seen
    return min(a.n, b.n) * min(rate, 1 - rate) ** 2 / spread if spread else 0.0
