"""Surrogate keys looked up by id, and ids by key, in whatever process needs them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from expectations.contract import key_of


class Positions:
    """Where each of some different texts stands: found by its 64-bit hash, then compared.

    Args:
        values: no null, and none twice.

    Raises:
        ValueError: a value comes twice.
    """

    def __init__(self, values: pa.Array) -> None:
        self._values = values
        for self._seed in range(5):  # with another seed other texts share a hash, if ever two do
            self._index = pd.Index(self._hashes(values))
            if self._index.is_unique:
                return
        raise ValueError("a value comes twice")

    def of(self, values: pa.Array) -> np.ndarray:
        """The position of each value, -1 where it is not among them or null."""
        found = self._index.get_indexer(self._hashes(values))
        same = pc.equal(self._values.take(pa.array(found, mask=found < 0)), values).fill_null(False)
        return np.where(same.to_numpy(zero_copy_only=False), found, -1)

    def _hashes(self, values: pa.Array) -> np.ndarray:
        return pl.Series(values).hash(self._seed).to_numpy()


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
        position = _by_id(self).of(ids)
        return pa.array(_table(self)[1][position], pa.int32(), mask=position < 0)

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
def _by_id(lookup: Lookup) -> Positions:
    return Positions(_table(lookup)[0])


@lru_cache(maxsize=2)
def _by_key(lookup: Lookup) -> tuple[np.ndarray, pa.Array]:
    ids, keys = _table(lookup)
    order = np.argsort(keys)
    return keys[order], ids.take(order)
