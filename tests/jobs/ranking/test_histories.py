"""Histories by hand: last purchases per pair, and recency-weighted shares."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from jobs.ranking.histories import HALF_LIFE_DAYS, LastBought, affinity_weights
from jobs.retrieval.purchases import Purchases, day_number


def ints(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int32)


def test_units_and_last_day_of_each_pair() -> None:
    bought = LastBought.of(ints(0, 0, 1, 0), ints(2, 2, 2, 1), ints(10, 12, 11, 9), size=3)
    units, last_day = bought.look_up(ints(0, 0, 1, 1, 0), ints(2, 1, 2, 1, 0))
    assert units.tolist() == [2, 1, 1, 0, 0]
    assert last_day.tolist() == [12, 9, 11, 0, 0]


def test_looking_up_in_an_empty_history_finds_nothing() -> None:
    none = LastBought.of(ints(), ints(), ints(), size=3)
    units, last_day = none.look_up(ints(0, 1), ints(0, 2))
    assert units.tolist() == last_day.tolist() == [0, 0]


def test_a_purchase_halves_every_half_life() -> None:
    today = date(2020, 9, 16)
    day = day_number(today) - ints(HALF_LIFE_DAYS, 0)
    ids = pa.array(["a", "b"])
    weights = affinity_weights(Purchases(day.astype(np.int32), ints(0, 0), ints(0, 1), ids, ids), today).toarray()
    assert weights[0].tolist() == pytest.approx([1 / 3, 2 / 3])
    assert weights[1].tolist() == [0, 0], "a customer without history has no taste"
