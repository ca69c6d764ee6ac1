"""Predictions of fitted trees for many rows at once, by whole columns.

Source: Lucchese et al., QuickScorer, SIGIR 2015: of each row a tree keeps the set of leaves still in reach, a bit each.
Every split that the row fails takes away the leaves on its left; the leftmost of what remains is the row's. No row
walks a tree, so a split is one comparison of a column: LightGBM's own way takes several times as long, mostly for its
copy of every row and for branches that nothing can predict.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from jobs.ranking.behaviour import Floats

#: Rows compared at a time: few enough for the processor's cache, and enough to make up for each call of numpy.
ROWS = 1 << 15
MAX_LEAVES = 63


class Split(NamedTuple):
    """A split of one feature: rows above the threshold fail it, and rows without a value if `none_fails`."""

    feature: int
    threshold: np.float32
    none_fails: bool
    on_its_left: np.signedinteger[Any]


class Tree(NamedTuple):
    """A tree's splits, and the values of its leaves from left to right, (leaves,)."""

    splits: list[Split]
    leaves: npt.NDArray[np.float64]


class TreeSums:
    """The sum of fitted trees, equal to LightGBM's raw score to the bit.

    Raises ValueError if a tree has more than MAX_LEAVES.
    """

    def __init__(self, booster: lgb.Booster) -> None:
        roots = [tree["tree_structure"] for tree in booster.dump_model()["tree_info"]]
        leaves = [np.array(list(_leaves(root)), np.float64) for root in roots]  # a whole 0 where nothing was split
        most = max(map(len, leaves))
        if most > MAX_LEAVES:
            raise ValueError(f"a tree of {most} leaves: at most {MAX_LEAVES} have a bit each")
        self._bits = np.min_scalar_type(-(1 << most))
        self._trees = [Tree(list(_splits(root, 0, self._bits)), of) for root, of in zip(roots, leaves, strict=True)]

    def of(self, columns: Floats) -> Floats:
        """The trees' sum of each row, (n,).

        Args:
            columns: a row of this array per feature, (features, n) float32; finite, or NaN where unknown.
        """
        columns = np.ascontiguousarray(columns)  # a feature whose values are far apart takes ten times as long
        sums = np.zeros(columns.shape[1])
        # Memory is allocated once: fresh pages for every tree would take longer than the comparisons.
        memory = np.empty((2, ROWS), self._bits), np.empty(ROWS, bool), np.empty(ROWS)
        for start in range(0, columns.shape[1], ROWS):
            some = columns[:, start : start + ROWS]
            (gone, left), failed, value = (array[..., : some.shape[1]] for array in memory)
            for tree in self._trees:
                gone[:] = 0
                for feature, threshold, none_fails, on_its_left in tree.splits:
                    if none_fails:
                        np.less_equal(some[feature], threshold, out=failed)
                        np.logical_not(failed, out=failed)
                    else:
                        np.greater(some[feature], threshold, out=failed)
                    np.multiply(failed, on_its_left, out=left)
                    np.bitwise_or(gone, left, out=gone)
                np.take(tree.leaves, _lowest(np.invert(gone, out=gone), left), out=value, mode="clip")
                sums[start : start + ROWS] += value
        return sums.astype(np.float32)


def _leaves(node: dict[str, Any]) -> Iterator[float]:
    """Values of the leaves below a node, from left to right."""
    if "leaf_value" in node:
        yield node["leaf_value"]
    else:
        yield from _leaves(node["left_child"])
        yield from _leaves(node["right_child"])


def _splits(node: dict[str, Any], first: int, bits: np.dtype[Any]) -> Iterator[Split]:
    """The splits at and below a node whose leftmost leaf is the tree's `first`."""
    if "leaf_value" in node:
        return
    on_left = sum(1 for _ in _leaves(node["left_child"]))
    # A split that saw no NaN takes one for 0, as LightGBM does.
    none_fails = not node["default_left"] if node["missing_type"] == "NaN" else node["threshold"] < 0
    leaves = bits.type(((1 << on_left) - 1) << first)
    yield Split(node["split_feature"], _rounded_down(node["threshold"]), none_fails, leaves)
    yield from _splits(node["left_child"], first, bits)
    yield from _splits(node["right_child"], first + on_left, bits)


def _rounded_down(threshold: float) -> np.float32:
    """The largest float32 not above the threshold: float32 values compare with it as with the threshold itself."""
    with np.errstate(over="ignore"):
        near = np.float32(threshold)
    return near if float(near) <= threshold else np.nextafter(near, np.float32(-np.inf))


def _lowest(bits: npt.NDArray[Any], memory: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """The position of each number's lowest set bit: it is the exponent of the float of that power of two."""
    alone = np.bitwise_and(bits, np.negative(bits, out=memory), out=memory).astype(np.float32).view(np.int32)
    return np.subtract(np.right_shift(alone, 23, out=alone), 127, out=alone)
