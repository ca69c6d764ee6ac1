"""Intervals and tests of shares, against figures from elsewhere and against chance itself."""

from __future__ import annotations

import math

import numpy as np
import pytest

from jobs.metrics.rates import NO_SHARED_VISITORS, Comparison, CrossMoments, Moments, compare, wilson


def moments(n: np.ndarray, x: np.ndarray) -> Moments:
    n, x = n.astype(float), x.astype(float)
    return Moments(int((n > 0).sum()), n.sum(), x.sum(), (n * n).sum(), (n * x).sum(), (x * x).sum())


def crossed(na: np.ndarray, xa: np.ndarray, nb: np.ndarray, xb: np.ndarray) -> CrossMoments:
    return CrossMoments(*(float((one * other).sum()) for one, other in ((na, nb), (na, xb), (xa, nb), (xa, xb))))


def test_wilson_by_the_books() -> None:
    """Newcombe, Statistics in Medicine 17 (1998), table I: 81 of 263, and 0 of 20."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0, 0.1611), abs=5e-5)
    assert wilson(29, 29).high == 1


def test_one_impression_a_visitor_is_the_textbook_test_of_two_proportions() -> None:
    a, b = (moments(np.ones(1000), np.arange(1000) < hits) for hits in (100, 130))
    found = compare(a, b)
    error = math.sqrt(0.1 * 0.9 / 999 + 0.13 * 0.87 / 999)
    assert found.difference == pytest.approx(0.03) and found.z == pytest.approx(0.03 / error)
    assert found.p_value == pytest.approx(math.erfc(0.03 / error / math.sqrt(2)))
    assert found.interval == pytest.approx((0.03 - 1.959964 * error, 0.03 + 1.959964 * error))


def test_visitors_needed_find_the_difference_four_times_of_five() -> None:
    """As many visitors as it says in each arm, whose chances differ by as much."""
    rng = np.random.default_rng(1)
    big = [rng.random(200_000) < share for share in (0.10, 0.13)]
    one = np.ones(200_000)
    count = compare(moments(one, big[0]), moments(one, big[1])).visitors_needed
    assert count is not None and 1_500 < count < 2_100  # by the usual formula 1,774
    one = np.ones(count)
    found = [
        compare(moments(one, rng.random(count) < 0.10), moments(one, rng.random(count) < 0.13)).p_value < 0.05
        for _ in range(400)
    ]
    assert 0.73 < np.mean(found) < 0.87


@pytest.mark.parametrize("clicked_both", [0.0, 0.25])
def test_visitors_needed_where_everybody_is_in_both_arms(clicked_both: float) -> None:
    """Of the visitors 30 % click in one arm and 35 % in the other; none of them in both, or most of them."""

    def drawn(count: int, rng: np.random.Generator) -> Comparison:
        one, chance = np.ones(count), rng.random(count)
        a, b = chance < 0.30, (chance >= 0.30 - clicked_both) & (chance < 0.65 - clicked_both)
        return compare(moments(one, a), moments(one, b), crossed(one, a, one, b))

    rng = np.random.default_rng(3)
    count = drawn(200_000, rng).visitors_needed
    assert count is not None
    assert 0.73 < np.mean([drawn(count, rng).p_value < 0.05 for _ in range(400)]) < 0.87


@pytest.mark.parametrize("in_both", [False, True])
def test_without_a_difference_one_test_in_twenty_finds_one(in_both: bool) -> None:
    """Visitors differ in how much they see and click. Were each impression a draw, far more would."""
    rng = np.random.default_rng(2)
    found, naive = [], []
    for _ in range(400):
        taste = rng.beta(0.3, 2.7, (2, 600))
        taste = taste[[0, 0]] if in_both else taste
        n = rng.geometric(0.05, (2, 600))
        x = rng.binomial(n, taste)
        both = crossed(n[0], x[0], n[1], x[1]) if in_both else NO_SHARED_VISITORS
        compared = compare(moments(n[0], x[0]), moments(n[1], x[1]), both)
        found.append(compared.p_value < 0.05)
        p, shown = x.sum() / n.sum(), n.sum(axis=1)
        naive.append(abs(compared.difference) > 1.96 * math.sqrt(p * (1 - p) * (1 / shown[0] + 1 / shown[1])))
    assert 0.02 < np.mean(found) < 0.09
    assert np.mean(naive) > 0.2


def test_too_few_outcomes_are_no_difference() -> None:
    """One of a hundred visitors, or of a thousand, clicks in either arm: most often none does in the smaller one."""
    rng = np.random.default_rng(4)
    found = []
    for count, share in ((50, 0.001), (100, 0.01), (2_000, 0.01)):
        one, other = np.ones(count), np.ones(10_000)
        for _ in range(300):
            arms = moments(one, rng.random(count) < share), moments(other, rng.random(10_000) < share)
            compared = compare(*arms)
            found.append((compared.p_value < 0.05, compared.is_enough))
    few, enough = found[:600], found[600:]
    assert np.mean([is_found for is_found, _ in few]) > 0.3 and not any(is_enough for _, is_enough in few)
    assert np.mean([is_found for is_found, _ in enough]) < 0.09 and all(is_enough for _, is_enough in enough)


def test_many_clicks_of_few_visitors_are_few() -> None:
    """Fifty clicks in each arm: of fifty visitors, or of five."""
    n = np.full(200, 10)
    many, one = (np.arange(200) < 50).astype(int), np.where(np.arange(200) < 5, 10, 0)
    assert compare(moments(n, many), moments(n, many)).is_enough
    assert not compare(moments(n, one), moments(n, one)).is_enough


def test_nothing_to_find() -> None:
    same = moments(np.ones(10), np.zeros(10))
    found = compare(same, same)
    assert (found.z, found.p_value, found.visitors_needed, found.is_enough) == (0, 1, None, False)
    with pytest.raises(ValueError, match="1 and 10 visitors"):
        compare(moments(np.ones(1), np.ones(1)), same)
