"""Surrogate integer keys of customers and articles: given once, kept for good.

A 64-character customer id is what people and files use; joins and models use its key, which takes four bytes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc


def keys_for(ids: pa.Array, known: pa.Table, next_key: int) -> tuple[npt.NDArray[np.int32], int]:
    """A key for each id: an id of `known` keeps its own, new ones are numbered on from `next_key`, by id.

    Args:
        ids: different ids, in any order.
        known: ids and keys of the table as last published.
        next_key: a number above every key given to ids that are gone: no key changes its owner.

    Returns:
        The keys, and the next `next_key`.
    """
    if known.num_rows:
        next_key = max(next_key, pc.max(known[1]).as_py() + 1)
    position = pc.index_in(ids, value_set=known[0].combine_chunks())
    is_new = position.is_null().to_numpy(zero_copy_only=False)
    keys = known[1].take(position).fill_null(0).to_numpy().astype(np.int32)
    rank = np.empty(int(is_new.sum()), dtype=np.int32)
    rank[pc.sort_indices(ids.filter(position.is_null())).to_numpy()] = np.arange(len(rank), dtype=np.int32)
    keys[is_new] = next_key + rank
    return keys, next_key + len(rank)
