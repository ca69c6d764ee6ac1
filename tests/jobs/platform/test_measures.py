"""Drift in numbers: the index by hand, and what counts as a bin."""

from __future__ import annotations

from math import log

import numpy as np
import pyarrow as pa
import pytest

from jobs.platform.measures import LABEL, LEAST_SHARE, Values, psi


def texts(**counts: int) -> Values:
    return Values(np.repeat(np.array(list(counts), dtype=object), list(counts.values())), 0)


def numbers(*values: float, nulls: int = 0) -> Values:
    return Values(np.array(values, dtype=float), nulls)


def test_shares_by_hand():
    # From 80:20 to 50:50: (0.5 - 0.8) ln(0.5 / 0.8) + (0.5 - 0.2) ln(0.5 / 0.2)
    assert psi(texts(x=80, y=20), texts(x=50, y=50)) == pytest.approx(-0.3 * log(0.625) + 0.3 * log(2.5))


def test_tenths_by_hand():
    before = numbers(*range(100))
    assert psi(before, before) == 0
    # All in the first tenth, with the others' shares at the floor.
    expected = (1 - 0.1) * log(1 / 0.1) + 9 * (LEAST_SHARE - 0.1) * log(LEAST_SHARE / 0.1)
    assert psi(before, numbers(*[1] * 50)) == pytest.approx(expected)


def test_two_normal_curves_are_their_squared_distance_apart():
    rng = np.random.default_rng(1)
    before, now = rng.normal(0, 1, 200_000), rng.normal(0.5, 1, 200_000)
    assert psi(Values(before, 0), Values(now, 0)) == pytest.approx(0.25, abs=0.02)


def test_nulls_are_a_bin():
    # 0 % to 50 %: the nulls, and ten bins that each lose half.
    expected = (0.5 - LEAST_SHARE) * log(0.5 / LEAST_SHARE) + 10 * (0.05 - 0.1) * log(0.5)
    assert psi(numbers(*range(100)), numbers(*range(100), nulls=100)) == pytest.approx(expected)


def test_new_and_rare_values_share_a_bin():
    assert psi(texts(x=100), texts(x=50, new=25, newer=25)) == psi(texts(x=100), texts(x=50, new=50)) > 1


def test_nothing_known_before():
    assert psi(numbers(nulls=10), numbers(nulls=10)) == 0
    assert psi(numbers(nulls=10), numbers(1, 2, 3)) > 1


def test_values_of_a_slice_in_words():
    sample = pa.table(
        {LABEL: ["now", "now", "now", "then"], "price": [1.0, 2.0, None, 9.0], "kind": ["x", "x", "y", "z"]}
    )
    assert str(Values.of(sample, "now", "price")) == "mean 1.5, 33.3% null"
    assert str(Values.of(sample, "now", "kind")) == "x 66.7%, y 33.3%, 0.0% null"
    assert str(numbers(nulls=3)) == "100.0% null"
