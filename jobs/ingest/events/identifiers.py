"""Ids of events that have none: a digest of their content, the same in every file, process and version."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

_Lanes = npt.NDArray[np.uint64]
_ODD = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F], np.uint64)
_MIX = np.array([0xBF58476D1CE4E5B9, 0x94D049BB133111EB], np.uint64)
_NOTHING = np.array([0x1D8E4E27C47D124F, 0xEB44ACCAB455D165], np.uint64)


def content_ids(columns: Sequence[pl.Series]) -> pl.Series:
    """32 hexadecimal digits for each row: 128 bits mixed from the row's values, in this order of columns.

    A text's digest is computed once for each different text; numbers are mixed as they are.
    """
    mixed = np.zeros((len(columns[0]), 2), np.uint64)
    for column in columns:
        mixed = _mixed(mixed * _ODD + _lanes(column))
    digits = mixed.astype(">u8").tobytes().hex()
    offsets = np.arange(0, 32 * len(mixed) + 1, 32, dtype=np.int64)
    text = pa.LargeStringArray.from_buffers(len(mixed), pa.py_buffer(offsets), pa.py_buffer(digits.encode()))
    return pl.Series("event_id", text)


def _lanes(column: pl.Series) -> _Lanes:
    """Two words of 64 bits for each value."""
    if column.dtype == pl.String:
        unique = column.unique()
        digests = b"".join(_digest(text) for text in unique)
        table = np.frombuffer(digests, np.uint64).reshape(-1, 2)
        place = pl.DataFrame({"text": unique, "place": np.arange(len(unique), dtype=np.uint32)})
        order = pl.DataFrame({"text": column}).join(
            place, on="text", how="left", nulls_equal=True, maintain_order="left"
        )["place"]
        return table[order.to_numpy()]
    number = column.to_physical().cast(pl.Int64)
    words = number.fill_null(0).to_numpy().view(np.uint64)[:, None] * _ODD + _ODD[::-1]
    return np.where(column.is_null().to_numpy()[:, None], _NOTHING, words)


def _digest(text: str | None) -> bytes:
    return _NOTHING.tobytes() if text is None else blake2b(text.encode(), digest_size=16).digest()


def _mixed(words: _Lanes) -> _Lanes:
    """splitmix64's finaliser on each word, and the words of a row into each other."""
    words = words ^ (words >> np.uint64(30))
    words = words * _MIX
    words = words ^ (words >> np.uint64(27))
    words = words * _MIX[::-1]
    words = words ^ (words >> np.uint64(31))
    return words + words[:, ::-1].copy() * np.array([1, 3], np.uint64)
