"""Inputs counted from the history itself: trends, ranks, repurchases, visits, newness, age bands.

Every function sees only the history before the as-of date, and costs a few passes over its lines, once per snapshot.
"""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

from jobs.platform.codes import Ints
from jobs.ranking.histories import Bought
from jobs.retrieval.purchases import Purchases, day_number

Floats = npt.NDArray[np.float32]

#: A rate of repurchase weighs this many pairs of the average rate beside the article's own.
PRIOR_PAIRS = 10
#: First ages of the bands after the youngest; customers of unknown age are a band of their own.
AGE_BANDS = (20, 25, 30, 35, 45, 55, 65)
UNKNOWN_AGE = len(AGE_BANDS) + 1
#: An article's sales within an age band weigh this many units of its sales to everybody beside them.
PRIOR_UNITS = 5
TREND_DAYS, TREND_REFERENCE_WEEKS = 7, 4
BAND_DAYS = 28


def sales(history: Purchases, as_of_date: date, newest: int, oldest: int) -> npt.NDArray[np.int64]:
    """Units of each article on the days from `oldest` to `newest` + 1 before the as-of date."""
    window = history.between(as_of_date - timedelta(days=oldest), as_of_date - timedelta(days=newest))
    return np.bincount(window.article, minlength=len(history.article_ids))


def trend(history: Purchases, as_of_date: date) -> Floats:
    """Log of last week's units over the mean week of the four before, each plus one."""
    now = sales(history, as_of_date, 0, TREND_DAYS)
    before = sales(history, as_of_date, TREND_DAYS, TREND_DAYS * (1 + TREND_REFERENCE_WEEKS))
    return np.log((now + 1) / (before / TREND_REFERENCE_WEEKS + 1)).astype(np.float32)


def rank_within(group: Ints, units: npt.NDArray[np.int64]) -> Floats:
    """Log of one plus the number of articles of the same group that sold more."""
    order = np.lexsort((-units, group))
    groups, sold = group[order], units[order]
    starts_group = np.diff(groups, prepend=-1) != 0
    starts_tie = starts_group | (np.diff(sold, prepend=-1) != 0)
    place = np.arange(len(order))
    group_start = np.maximum.accumulate(np.where(starts_group, place, 0))
    tie_start = np.maximum.accumulate(np.where(starts_tie, place, 0))
    rank = np.empty(len(order), dtype=np.float32)
    rank[order] = np.log1p(tie_start - group_start)
    return rank


def repurchase_rate(bought: Bought, group: Ints) -> Floats:
    """Share of (customer, thing) pairs bought on a second day, smoothed towards the mean rate, (groups,).

    Args:
        group: of each thing.
    """
    groups = int(group.max()) + 1
    of_pair = group[bought.thing]
    pairs = np.bincount(of_pair, minlength=groups)
    again = np.bincount(of_pair, weights=bought.visits > 1, minlength=groups)
    mean = again.sum() / max(pairs.sum(), 1)
    return ((again + PRIOR_PAIRS * mean) / (pairs + PRIOR_PAIRS)).astype(np.float32)


def first_days(history: Purchases) -> Ints:
    """Day of each article's first sale; 0 for one never sold."""
    first = np.zeros(len(history.article_ids), dtype=np.int32)
    first[history.article[::-1]] = history.day[::-1]  # ascending days: the first one stays
    return first


def repeat_share(bought: Bought, customers: int) -> Floats:
    """Share of each customer's purchases (article and day) that repeat an earlier one; NaN without history."""
    visits = np.bincount(bought.customer, weights=bought.visits, minlength=customers)
    distinct = np.bincount(bought.customer, minlength=customers)
    with np.errstate(invalid="ignore"):
        return ((visits - distinct) / visits).astype(np.float32)


def visit_gaps(history: Purchases, as_of_date: date) -> tuple[Floats, Floats]:
    """Log of the mean days between each customer's visits, and of the days since the last one relative to it.

    NaN for customers with fewer than two visits (days with a purchase).
    """
    # Lines are ordered by day and customer, so a visit's lines lie together.
    is_new = (np.diff(history.day, prepend=-1) != 0) | (np.diff(history.customer, prepend=-1) != 0)
    day, customer = history.day[is_new], history.customer[is_new]
    visits = np.bincount(customer, minlength=len(history.customer_ids))
    first, last = np.zeros((2, len(visits)), dtype=np.int32)
    first[customer[::-1]], last[customer] = day[::-1], day  # ascending days: the first, the last one stays
    gap = np.full(len(visits), np.nan, dtype=np.float32)
    np.divide(last - first, visits - 1, out=gap, where=visits > 1)
    mean_gap = np.log1p(gap)
    waited = np.log1p(day_number(as_of_date) - last)
    return mean_gap, (waited - mean_gap).astype(np.float32)


def newness(history: Purchases) -> Floats:
    """Mean over each customer's units of log(1 + days the article had been on sale); NaN without history."""
    size = len(history.customer_ids)
    age = np.log1p(history.day - first_days(history)[history.article])
    with np.errstate(invalid="ignore"):
        mean = np.bincount(history.customer, weights=age, minlength=size) / np.bincount(
            history.customer, minlength=size
        )
    return mean.astype(np.float32)


def age_bands(age: Floats) -> Ints:
    """Band of each age; the last one is that of unknown ages."""
    band = np.digitize(age, AGE_BANDS)
    return np.where(np.isnan(age), UNKNOWN_AGE, band).astype(np.int32)


def age_band_lift(history: Purchases, as_of_date: date, band: Ints) -> Floats:
    """Log of each article's share of a band's units of the last four weeks over its share of everybody's, smoothed.

    Args:
        band: of each customer.

    Returns:
        Shape (articles, bands).
    """
    window = history.between(as_of_date - timedelta(days=BAND_DAYS), as_of_date)
    articles, bands = len(history.article_ids), UNKNOWN_AGE + 1
    key = window.article.astype(np.int64) * bands + band[window.customer]
    units = np.bincount(key, minlength=articles * bands).reshape(articles, bands)
    expected = units.sum(axis=1, keepdims=True) * (units.sum(axis=0) / max(len(window), 1))
    return np.log((units + PRIOR_UNITS) / (expected + PRIOR_UNITS)).astype(np.float32)
