"""Surrogate keys looked up by id, and ids by key, in whatever process needs them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
import pyarrow as pa
from deltalake import DeltaTable

from expectations.contract import key_of


@dataclass(frozen=True)
class Lookup:
    """The ids and keys of one version of a table. Sent to a task it is a name; the task's process loads the table once.

    Attributes:
        uri: the table's root.
        version: the table's version.
        id_column: customer_id or article_id.
    """

    uri: str
    version: int
    id_column: str

    def keys(self, ids: pa.Array) -> pa.Array:
        """The surrogate key of each id, int32; null where the table does not know it."""
        index, keys = _by_id(self)
        position = index.get_indexer(ids.to_numpy(zero_copy_only=False))
        return pa.array(keys[position], pa.int32(), mask=position < 0)

    def ids(self, keys: np.ndarray) -> pa.Array:
        """The id of each surrogate key; raises KeyError on a key that the table does not have."""
        sorted_keys, ids = _by_key(self)
        position = np.minimum(np.searchsorted(sorted_keys, keys), len(sorted_keys) - 1)
        if not np.array_equal(sorted_keys[position], keys):
            raise KeyError(f"{self.uri}: no such {key_of(self.id_column)}")
        return ids.take(position)


@lru_cache(maxsize=2)
def _table(lookup: Lookup) -> tuple[pa.Array, np.ndarray]:
    columns = [lookup.id_column, key_of(lookup.id_column)]
    rows = DeltaTable(lookup.uri, version=lookup.version).to_pyarrow_table(columns=columns)
    return rows[0].combine_chunks().cast(pa.string()), rows[1].to_numpy()


@lru_cache(maxsize=2)
def _by_id(lookup: Lookup) -> tuple[pd.Index, np.ndarray]:
    ids, keys = _table(lookup)
    return pd.Index(ids.to_numpy(zero_copy_only=False), dtype=object), keys


@lru_cache(maxsize=2)
def _by_key(lookup: Lookup) -> tuple[np.ndarray, pa.Array]:
    ids, keys = _table(lookup)
    order = np.argsort(keys)
    return keys[order], ids.take(order)
