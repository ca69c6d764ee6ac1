"""Trees asked by columns say what LightGBM says row by row, to the bit."""

from __future__ import annotations

import lightgbm as lgb
import numpy as np
import pytest

from jobs.ranking import tree_sums
from jobs.ranking.tree_sums import TreeSums

FEATURES = 6


def split(
    feature: int, threshold: float, left: dict, right: dict, missing: str = "None", none_left: bool = True
) -> dict:
    return {
        "split_feature": feature,
        "threshold": threshold,
        "missing_type": missing,
        "default_left": none_left,
        "left_child": left,
        "right_child": right,
    }


def leaf(value: float) -> dict:
    return {"leaf_value": value}


class Dumped:
    """What a booster says of its trees."""

    def __init__(self, *roots: dict) -> None:
        self._roots = roots

    def dump_model(self) -> dict:
        return {"tree_info": [{"tree_structure": root} for root in self._roots]}


def test_by_hand() -> None:
    inner = split(1, 0.5, leaf(20.0), leaf(30.0), missing="NaN", none_left=False)
    tree = split(0, 1.5, split(1, -1.0, leaf(1.0), leaf(2.0)), inner)
    nan = np.nan
    first = [1.5, 1.0, 1.0, 2.0, 2.0, 2.0, nan]
    second = [-1.0, 0.0, nan, 0.5, 0.6, nan, -2.0]
    rows = np.array([first, second], dtype=np.float32)
    # NaN stands for 0 where a split knows none: second of the third row is above -1, first of the last below 1.5.
    assert TreeSums(Dumped(tree)).of(rows).tolist() == [1.0, 2.0, 2.0, 20.0, 30.0, 30.0, 1.0]
    assert TreeSums(Dumped(leaf(7.0))).of(rows).tolist() == [7.0] * 7
    assert TreeSums(Dumped(tree, leaf(7.0))).of(rows).tolist() == [8.0, 9.0, 9.0, 27.0, 37.0, 37.0, 8.0]


def test_so_few_rows_that_no_split_is_allowed() -> None:
    rows = np.random.default_rng(0).normal(size=(120, FEATURES))
    parameters = {"objective": "lambdarank", "min_data_in_leaf": 200, "verbosity": -1}
    data = lgb.Dataset(rows, np.tile([1, 0, 0], 40), group=[30] * 4, init_score=np.zeros(120))
    trees = TreeSums(lgb.train(parameters, data, num_boost_round=5))
    assert trees.of(rows.T.astype(np.float32)).tolist() == [0.0] * 120


def test_more_leaves_than_bits() -> None:
    comb = leaf(0.0)
    for n in range(63):
        comb = split(0, float(n), leaf(1.0), comb)
    with pytest.raises(ValueError, match="64 leaves: at most 63"):
        TreeSums(Dumped(comb))


def training_rows(rng: np.random.Generator, has_missing: bool) -> np.ndarray:
    """Features of few values and of many, thresholds between neighbouring float32 among them, zeros, and NaN."""
    rows = rng.normal(size=(3_000, FEATURES)).astype(np.float32)
    rows[:, 0] = rng.integers(-3, 4, len(rows))
    rows[:, 1] *= 1e-7
    rows[:, 2] = np.where(rng.random(len(rows)) < 0.6, 0, rows[:, 2])
    if has_missing:
        rows[rng.random(rows.shape) < 0.2] = np.nan
    return rows


@pytest.mark.parametrize("leaves", [2, 8, 15, 31, 63])
@pytest.mark.parametrize("has_missing", [False, True])
def test_equal_to_lightgbm(leaves: int, has_missing: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_sums, "ROWS", 1_000)  # several blocks, the last one not full
    rng = np.random.default_rng(leaves)
    rows = training_rows(rng, has_missing)
    target = np.nan_to_num(rows[:, 0] + rows[:, 2] ** 2) + np.isnan(rows[:, 3]) + rng.normal(size=len(rows))
    parameters = {"num_leaves": leaves, "min_data_in_leaf": 5, "verbosity": -1, "num_threads": 1, "seed": leaves}
    booster = lgb.train(parameters, lgb.Dataset(rows, target), num_boost_round=25)
    asked = training_rows(rng, has_missing=True)
    asked[:1_000] = rows[:1_000]
    splits = booster.trees_to_dataframe().dropna(subset="threshold")
    for feature, thresholds in splits.groupby("split_feature")["threshold"]:  # neither 0 nor infinite to LightGBM
        nearest = np.unique(thresholds[thresholds.abs().between(1e-34, 1e34)].to_numpy(dtype=np.float32))[:1_000]
        asked[1_000 : 1_000 + len(nearest), booster.feature_name().index(feature)] = nearest
    expected = booster.predict(asked, raw_score=True, num_threads=1).astype(np.float32)
    assert np.array_equal(TreeSums(booster).of(np.ascontiguousarray(asked.T)), expected)
    assert len(np.unique(expected)) > leaves


def test_no_row() -> None:
    booster = lgb.train({"verbosity": -1}, lgb.Dataset(np.arange(100.0)[:, None], np.arange(100.0)), num_boost_round=1)
    assert TreeSums(booster).of(np.empty((1, 0), dtype=np.float32)).tolist() == []
