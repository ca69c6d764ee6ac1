"""Histories by hand: last purchases per pair, and recency-weighted shares."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa
import pytest
from scipy import sparse

from jobs.ranking.histories import HALF_LIFE_DAYS, Bought, affinity_weights
from jobs.retrieval.purchases import Purchases, day_number


def ints(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int32)


def test_units_visits_and_days_of_each_pair() -> None:
    bought = Bought.of(ints(0, 1, 0, 0, 0), ints(1, 2, 2, 2, 2), ints(9, 11, 12, 12, 15), size=3)
    assert list(zip(bought.customer, bought.thing, strict=True)) == [(0, 1), (0, 2), (1, 2)]
    assert bought.units.tolist() == [1, 3, 1]
    assert bought.visits.tolist() == [1, 2, 1]
    assert bought.first_day.tolist() == [9, 12, 11]
    assert bought.last_day.tolist() == [9, 15, 11]
    assert bought.position(ints(0, 1, 0, 1, 2), ints(2, 1, 1, 2, 2)).tolist() == [1, -1, 0, 2, -1]
    assert bought.units_of(ints(0, 1), ints(2, 1)).tolist() == [3, 0]


def test_looking_up_in_an_empty_history_finds_nothing() -> None:
    none = Bought.of(ints(), ints(), ints(), size=3)
    assert none.position(ints(0, 1), ints(0, 2)).tolist() == [-1, -1]
    assert none.units_of(ints(0, 1), ints(0, 2)).tolist() == [0, 0]


def test_a_purchase_halves_every_half_life() -> None:
    today = date(2020, 9, 16)
    day = day_number(today) - ints(HALF_LIFE_DAYS, 0)
    ids = pa.array(["a", "b"])
    weights = affinity_weights(Purchases(day.astype(np.int32), ints(0, 0), ints(0, 1), ids, ids), today).toarray()
    assert weights[0].tolist() == pytest.approx([1 / 3, 2 / 3])
    assert weights[1].tolist() == [0, 0], "a customer without history has no taste"


def test_what_was_looked_at_counts_beside_what_was_bought() -> None:
    today = date(2020, 9, 16)
    day = day_number(today) - ints(HALF_LIFE_DAYS, 0)
    ids = pa.array(["a", "b", "c"])
    looks = sparse.csr_matrix(np.array([[0.5, 0, 1], [0, 0.2, 0], [0, 0, 0]], dtype=np.float32))
    weights = affinity_weights(Purchases(day, ints(0, 0), ints(0, 1), ids, ids), today, looks).toarray()
    assert weights[0].tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3])
    assert weights[1].tolist() == pytest.approx([0, 1, 0]) and weights[2].tolist() == [0, 0, 0]
