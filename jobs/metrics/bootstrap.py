"""The customer bootstrap: how far a mean over buyers would move had other customers come.

The customer is what is drawn, not the buyer of a week: one who bought in several weeks is drawn with all of them,
because a customer's weeks are alike. A mean is then a ratio, the sum of the drawn customers' figures over their number
of buyer-weeks.
"""

from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_limits

from jobs.metrics.ranking_metrics import Floats
from jobs.platform.codes import Ints

RESAMPLES = 1_000
#: With fewer customers who differ no difference is significant: five of five agree by chance once in sixteen times.
FEWEST_DIFFERING = 6
#: Resamples drawn at once: bounds the memory of the bootstrap at this many floats per customer.
_BLOCK = 50


def bootstrap_means(customers: Ints, values: Floats, seed: int, resamples: int = RESAMPLES) -> Floats:
    """Means of each column over customers drawn with replacement.

    All columns share the draws, so the difference of two columns is a paired bootstrap.

    Args:
        customers: whose figures each row holds, in any order; one row per week that the customer bought in, (n,).
        values: one column per figure, (n, m).

    Returns:
        Shape (resamples, m).
    """
    sums, weeks = _by_customer(customers, values)
    generator = np.random.default_rng(seed)
    size = len(weeks)
    means = []
    with threadpool_limits(1, "blas"):  # where cores are shared, threads that wait for one another cost ten times more
        for start in range(0, resamples, _BLOCK):
            block = min(_BLOCK, resamples - start)
            draws = generator.integers(size, size=(block, size)) + size * np.arange(block)[:, None]
            counts = np.bincount(draws.ravel(), minlength=block * size).reshape(block, size).astype(np.float64)
            means.append((counts @ sums) / (counts @ weeks)[:, None])
    return np.concatenate(means)


def interval(means: Floats) -> Floats:
    """95 % percentile interval of bootstrap means (resamples, m): shape (2, m), low then high."""
    return np.percentile(means, [2.5, 97.5], axis=0)


def widened_where_few_differ(customers: Ints, differences: Floats, limits: Floats) -> Floats:
    """The `interval` (2, m) of paired differences (n, m), up or down to zero where few customers differ.

    Resamples of a handful of customers who agree always agree: the bootstrap alone would find one customer significant.
    """
    is_few = np.count_nonzero(_by_customer(customers, differences)[0], axis=0) < FEWEST_DIFFERING
    low, high = limits
    return np.where(is_few, [np.minimum(low, 0), np.maximum(high, 0)], limits)


def _by_customer(customers: Ints, values: Floats) -> tuple[Floats, Floats]:
    """The sums of each customer's rows, (customers, m), and how many these are, (customers,)."""
    order = np.argsort(customers, kind="stable")
    first = np.flatnonzero(np.diff(customers[order], prepend=-1))
    return np.add.reduceat(values[order], first, axis=0), np.diff(first, append=len(customers)).astype(np.float64)
