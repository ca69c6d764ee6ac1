"""Surrogate keys looked up by id, in whatever process needs them."""

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
from jobs.platform import storage
from jobs.platform.data_files import dataset


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
class KeyLookup:
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
    def of(cls, table: DeltaTable, id_column: str) -> KeyLookup:
        files = hashlib.sha256("".join(sorted(table.file_uris())).encode()).hexdigest()
        return cls(table.table_uri, table.version(), id_column, files)

    def keys(self, ids: pa.Array) -> pa.Array:
        """The surrogate key of each id, int32; null where the table does not know it."""
        positions, keys = _loaded(self)
        position = positions.of(ids)
        return pa.array(keys[position], pa.int32(), mask=position < 0)


@lru_cache(maxsize=2)
def _loaded(lookup: KeyLookup) -> tuple[Positions, np.ndarray]:
    options = storage.storage_options(lookup.uri)
    table = DeltaTable(lookup.uri, version=lookup.version, storage_options=options)
    rows = dataset(table).to_table(columns=[lookup.id_column, key_of(lookup.id_column)]).combine_chunks()
    return Positions(rows[0].combine_chunks().cast(pa.string())), rows[1].to_numpy()
