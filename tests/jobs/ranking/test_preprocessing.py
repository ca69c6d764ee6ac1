"""Imputation, standardisation and encoding by hand, and that only training rows count."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from jobs.ranking.preprocessing import Preprocessing
from jobs.ranking.snapshot import Columns


def columns(numbers: list[float], texts: list[str | None]) -> Columns:
    return Columns({"price": np.array(numbers, dtype=np.float32)}, {"colour": pa.array(texts, pa.string())})


TRAINING = columns([1.0, np.nan, 3.0, 8.0, 1000.0], ["red", "blue", None, "blue", "never seen"])
ROWS = np.array([0, 1, 2, 3])


@pytest.fixture
def fitted() -> Preprocessing:
    return Preprocessing.fit([(TRAINING, ROWS)])


def test_numbers_take_the_median_and_are_standardised(fitted: Preprocessing) -> None:
    # Known 1, 3, 8: median 3. Filled 1, 3, 3, 8: mean 3.75, deviation sqrt(26.75 / 4).
    assert fitted.medians["price"] == 3.0
    matrix = fitted.numeric(TRAINING, ROWS)[:, 0]
    assert matrix == pytest.approx((np.array([1, 3, 3, 8]) - 3.75) / np.sqrt(26.75 / 4))


def test_categories_take_the_mode_and_the_unknown_code(fitted: Preprocessing) -> None:
    assert fitted.vocabularies["colour"] == ["blue", "red"]
    assert fitted.categories(TRAINING, np.arange(5))[:, 0].tolist() == [2, 1, 1, 1, 0]


def test_rows_outside_training_do_not_count(fitted: Preprocessing) -> None:
    other = columns([1.0, np.nan, 3.0, 8.0, -5.0], ["red", "blue", None, "blue", "green"])
    assert Preprocessing.fit([(other, ROWS)]) == fitted


def test_a_feature_that_never_varies_becomes_zero() -> None:
    same = columns([0.1] * 3, ["red"] * 3)
    matrix = Preprocessing.fit([(same, np.arange(3))]).numeric(same, np.arange(3))
    assert np.abs(matrix).max() < 1e-6


def test_it_survives_json(fitted: Preprocessing) -> None:
    assert Preprocessing.from_dict(json.loads(json.dumps(fitted.to_dict()))) == fitted
