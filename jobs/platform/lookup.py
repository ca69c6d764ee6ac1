"""Surrogate keys looked up by id, and ids by key, in whatever process needs them."""

from __future__ import annotations

import hashlib
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
        files: digest of the names of its files, which tells apart what a restored table has at the same version.
    """

    uri: str
    version: int
    id_column: str
    files: str

    @classmethod
    def of(cls, table: DeltaTable, id_column: str) -> Lookup:
        files = hashlib.sha256("".join(sorted(table.file_uris())).encode()).hexdigest()
        return cls(table.table_uri, table.version(), id_column, files)

    def has(self, values: pa.ChunkedArray) -> np.ndarray:
        """Marks those of the values, ids or surrogate keys, that the table has, and nulls."""
        if pa.types.is_integer(values.type):
            is_known = np.isin(values.fill_null(0).to_numpy(), _keys(self))
        else:
            is_known = _by_id(self).of(values.combine_chunks()) >= 0
        return is_known | values.is_null().to_numpy()

    def keys(self, ids: pa.Array) -> pa.Array:
        """The surrogate key of each id, int32; null where the table does not know it."""
        position = _by_id(self).of(ids)
        return pa.array(_keys(self)[position], pa.int32(), mask=position < 0)

    def ids(self, keys: np.ndarray) -> pa.Array:
        """The id of each surrogate key; raises KeyError on a key that the table does not have."""
        sorted_keys, ids = _by_key(self)
        position = np.minimum(np.searchsorted(sorted_keys, keys), len(sorted_keys) - 1)
        if not np.array_equal(sorted_keys[position], keys):
            raise KeyError(f"{self.uri}: no such {key_of(self.id_column)}")
        return ids.take(position)

    def column(self, name: str) -> pa.Array:
        """One column of the table, in the order of its rows."""
        return DeltaTable(self.uri, version=self.version).to_pyarrow_table(columns=[name])[0].combine_chunks()


@lru_cache(maxsize=2)
def _ids(lookup: Lookup) -> pa.Array:
    return lookup.column(lookup.id_column).cast(pa.string())


@lru_cache(maxsize=2)
def _keys(lookup: Lookup) -> np.ndarray:
    return lookup.column(key_of(lookup.id_column)).to_numpy()


@lru_cache(maxsize=2)
def _by_id(lookup: Lookup) -> Positions:
    return Positions(_ids(lookup))


@lru_cache(maxsize=2)
def _by_key(lookup: Lookup) -> tuple[np.ndarray, pa.Array]:
    keys = _keys(lookup)
    order = np.argsort(keys)
    return keys[order], _ids(lookup).take(order)
