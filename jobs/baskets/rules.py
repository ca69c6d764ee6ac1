"""Association rules X -> y from frequent itemsets, and the measures of how much one says about the other.

N baskets; of them n(X) hold all of X, n(y) hold y, n(X, y) both.

- support n(X, y) / N, confidence n(X, y) / n(X), lift = confidence / (n(y) / N): 1 by chance. The paper's three
  (Agrawal, Imielinski and Swami, SIGMOD 1993; lift: Brin, Motwani, Ullman and Tsur, SIGMOD 1997).
- leverage n(X, y) / N - n(X) / N * n(y) / N (Piatetsky-Shapiro 1991): baskets more than by chance, as a share.
- conviction (1 - n(y) / N) / (1 - confidence) (Brin et al.): how much oftener the rule would fail by chance; NaN
  where it never fails.
- p_value: Fisher's exact test, one-sided: so many baskets with both, or more, if X and y had nothing to do with one
  another; times the number of rules that could be formed (Bonferroni), at most 1.
- score, the order of lists: confidence * (1 - 1 / lift), which is confidence - n(y) / N: of the baskets with X the
  share that hold y and would not by chance ("added value", Sahar and Mansour, SPIE 3695, 1999). Confidence alone puts
  best sellers beside everything, lift alone what was bought a few times (docs/results/baskets.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import comb

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from jobs.baskets.itemsets import Itemsets, Longs, Mined
from jobs.platform.codes import Ints

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Rules:
    """Rules with as many items on the left as one another.

    Attributes:
        antecedent: item codes, ascending within a rule, (r, items on the left); none: the rule says what is bought
            anyway.
        consequent: item code, (r,).
        itemset: place of the rule's itemset in `of`, (r,).
        of: the itemsets that the rules are made of.
        antecedent_count, consequent_count: baskets that hold either side, (r,).
        measures: by name, (r,) each.
    """

    antecedent: Ints
    consequent: Ints
    itemset: Longs
    of: Itemsets
    antecedent_count: Longs
    consequent_count: Longs
    measures: dict[str, Floats]

    def __len__(self) -> int:
        return len(self.consequent)


def rules_of(mined: Mined, min_confidence: float = 0.0, min_lift: float = 0.0, min_items: int = 2) -> Iterator[Rules]:
    """Every rule with one item on the right, from the smallest itemsets to the largest.

    Args:
        mined: frequent itemsets.
        min_confidence, min_lift: the least of either.
        min_items: of both sides together; with 1, as in R's arules, there are rules {} -> y, whose confidence is the
            share of baskets with y.
    """
    single = mined.by_size[0].basket_count
    for size, itemsets in enumerate(mined.by_size, start=1):
        if size < min_items:
            continue
        for right in range(size):
            left = np.delete(itemsets.items, right, axis=1)
            last = itemsets.items[:, right]
            of_left = (
                mined.by_size[size - 2].basket_count[mined.place(left)]
                if size > 1
                else np.full(len(itemsets), mined.baskets)
            )
            both, of_right = itemsets.basket_count, single[last]
            kept = np.flatnonzero(
                (both / of_left >= min_confidence) & (lift(both, of_left, of_right, mined.baskets) >= min_lift)
            )
            counts = both[kept], of_left[kept], of_right[kept]
            yield Rules(
                mined.codes[left[kept]],
                mined.codes[last[kept]],
                kept,
                itemsets,
                *counts[1:],
                measures(*counts, mined.baskets, formable(mined.sold, size)),
            )


def formable(items: int, size: int) -> float:
    """How many rules of this size so many items can form: X -> y and y -> X are one test, so pairs count once."""
    return float(comb(items, size) * (size if size > 2 else 1))


def both_in_words(customers: int) -> str:
    """What a row says to a shopper."""
    return f"{customers:,} customers bought both"


def lift(both: Longs, left: Longs, right: Longs, baskets: int) -> Floats:
    """The lift of rules; arguments as for `measures`."""
    return both * float(baskets) / (left.astype(np.float64) * right)


def measures(both: Longs, left: Longs, right: Longs, baskets: int, tests: float) -> dict[str, Floats]:
    """The measures of rules; see the module.

    Args:
        both, left, right: n(X, y), n(X), n(y) of each rule, (r,).
        baskets: N.
        tests: rules that could be formed.
    """
    total = float(max(baskets, 1))
    confidence, share = both / left, right / total
    ratio = lift(both, left, right, baskets)
    fails = 1 - confidence
    return {
        "support": both / total,
        "confidence": confidence,
        "lift": ratio,
        "leverage": both / total - left / total * share,
        "conviction": np.divide(1 - share, fails, where=both < left, out=np.full(len(both), np.nan)),
        "p_value": np.minimum(chance(both, left, right, baskets) * tests, 1.0),
        "score": confidence - share,
    }


def chance(both: Longs, left: Longs, right: Longs, baskets: int) -> Floats:
    """Probability of so many baskets with both sides, or more, if these are independent: Fisher's exact test.

    The hypergeometric tail is summed on the side where its terms fall: scipy's takes a second for some hundred rules
    of product types, whose counts are large.
    """
    rest = baskets - left - right
    is_above = both * float(baskets) >= left * right.astype(np.float64)
    first = np.where(is_above, both, np.maximum(both - 1, 0))
    with np.errstate(invalid="ignore"):
        log_first = _log_choose(left, first) + _log_choose(baskets - left, right - first) - _log_choose(baskets, right)
    tail = np.exp(log_first)
    for side, step in ((is_above, 1), (~is_above, -1)):
        tail[side] *= _falling_terms(first[side], left[side], right[side], rest[side], step)
    is_sure = ~is_above & (both - 1 < np.maximum(0, -rest))
    return np.clip(np.where(is_above, tail, np.where(is_sure, 1.0, 1 - tail)), 0, 1)


def _log_choose(n: Longs | int, k: Longs) -> Floats:
    return np.asarray(gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0))


def _falling_terms(k: Longs, left: Longs, right: Longs, rest: Longs, step: int) -> Floats:
    """Hypergeometric probabilities from k on, upwards or downwards, over that of k: their sum, (r,)."""
    total, term, active = np.ones(len(k)), np.ones(len(k)), np.arange(len(k))
    sides, place = np.array([left, right, rest], dtype=np.float64), k.astype(np.float64)
    while len(active):
        x, y, none = sides
        if step > 0:
            term = term * (x - place) * (y - place) / ((place + 1) * (none + place + 1))
        else:
            term = term * place * (none + place) / ((x - place + 1) * (y - place + 1))
        total[active] += term
        goes_on = term > 1e-17 * total[active]
        active, term, sides, place = active[goes_on], term[goes_on], sides[:, goes_on], place[goes_on] + step
    return total
