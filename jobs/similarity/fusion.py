"""Reciprocal rank fusion (Cormack, Clarke and Buettcher 2009): lists become one, by places alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: The paper's constant: how little the first place counts above the next.
CONSTANT = 60
NONE = -1


def fuse(lists: Sequence[np.ndarray], k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k best of each row of several lists of codes, and their scores.

    A code's score is the sum over the lists of 1 / (60 + its rank); of equal scores the smaller code.

    Args:
        lists: codes by rank, int [n, any], each once in a row; NONE where there are fewer.
        k: codes to keep.

    Returns:
        Codes int64 [n, k] and scores float32 [n, k]; NONE and NaN where there are fewer.
    """
    codes = np.concatenate(lists, axis=1).astype(np.int64)
    weights = np.concatenate([1 / (CONSTANT + 1 + np.arange(some.shape[1])) for some in lists])
    weights = np.where(codes == NONE, 0.0, np.broadcast_to(weights, codes.shape))
    order = np.argsort(codes, axis=1, kind="stable")
    codes, weights = np.take_along_axis(codes, order, axis=1), np.take_along_axis(weights, order, axis=1)
    # Equal codes lie side by side now: all of a run's weight goes to its first.
    is_first = np.ones(codes.shape, bool)
    is_first[:, 1:] = codes[:, 1:] != codes[:, :-1]
    flat = np.flatnonzero(is_first)
    sums = np.zeros(codes.size)
    if len(flat):
        sums[flat] = np.add.reduceat(weights.ravel(), flat)
    sums = np.where(codes == NONE, 0.0, sums.reshape(codes.shape))
    order = np.lexsort((codes, -sums), axis=1)[:, :k]
    codes, sums = np.take_along_axis(codes, order, axis=1), np.take_along_axis(sums, order, axis=1)
    codes, sums = np.where(sums > 0, codes, NONE), np.where(sums > 0, sums, np.nan)
    short = ((0, 0), (0, k - codes.shape[1]))
    if short[1][1] > 0:
        codes = np.pad(codes, short, constant_values=NONE)
        sums = np.pad(sums, short, constant_values=np.nan)
    return codes, sums.astype(np.float32)
