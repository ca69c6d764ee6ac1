"""Rows of a file as they came, by column: nothing is yet believed about their values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

TEXT = pa.dictionary(pa.int32(), pa.string())


@dataclass(frozen=True)
class RawRows:
    """Rows of one file as they came.

    Attributes:
        fields: the file's columns as text, dictionary-encoded; null where empty. Of a block no dictionary holds a text
            twice; of a whole file it may.
        line: where each row starts in the file, header = 1 (row number from 1 for Parquet); in a folder the lines of
            its files are counted on, in order of their names.
        broken: the whole line where it has more or fewer fields than the header or is not UTF-8, else null; its fields
            are null.
    """

    fields: pa.Table
    line: npt.NDArray[np.int64]
    broken: pa.Array

    def __len__(self) -> int:
        return len(self.line)

    def text(self, column: str) -> pa.DictionaryArray:
        """One column of the file."""
        return self.fields[column].chunk(0)

    def after(self, lines: int) -> RawRows:
        """The same rows with so many lines before them."""
        return replace(self, line=self.line + lines) if lines else self

    def with_constants(self, constants: Sequence[tuple[str, str]]) -> RawRows:
        """The same rows with further columns that hold one text each."""
        fields = self.fields
        for name, text in constants:
            indices = pc.if_else(self.broken.is_valid(), None, pa.repeat(pa.scalar(0, pa.int32()), len(self)))
            fields = fields.append_column(name, encoded(pa.DictionaryArray.from_arrays(indices, pa.array([text]))))
        return replace(self, fields=fields)


def encoded(text: pa.Array) -> pa.DictionaryArray:
    """Text dictionary-encoded, null where empty."""
    found = text if pa.types.is_dictionary(text.type) else text.dictionary_encode()
    is_empty = pc.equal(found.dictionary, "")
    if not pc.any(is_empty).as_py():
        return found.cast(TEXT)
    indices = pc.if_else(is_empty.take(found.indices), None, found.indices)
    return pa.DictionaryArray.from_arrays(indices, found.dictionary).cast(TEXT)


def joined(parts: Sequence[RawRows]) -> RawRows:
    """Rows one after another."""
    if len(parts) == 1:
        return parts[0]
    common = [name for name in parts[0].fields.column_names if all(name in part.fields.column_names for part in parts)]
    fields = pa.concat_tables([part.fields.select(common) for part in parts])
    return RawRows(
        pa.table([_one_piece(column) for column in fields.columns], fields.column_names),
        np.concatenate([part.line for part in parts]),
        pa.concat_arrays([part.broken for part in parts]),
    )


def _one_piece(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """The column, its pieces put together.

    Their dictionaries become one without looking for a text in all of them if texts hardly repeat, as ids in a list of
    customers: that would take as long as all else that is done to a file.
    """
    sizes = [len(piece.dictionary) for piece in column.chunks]
    if sum(sizes) < len(column) / 2:
        return column.unify_dictionaries().combine_chunks()
    first = np.cumsum([0, *sizes[:-1]])
    indices = [pc.add(piece.indices, pa.scalar(n, pa.int32())) for piece, n in zip(column.chunks, first, strict=True)]
    return pa.DictionaryArray.from_arrays(
        pa.concat_arrays(indices), pa.concat_arrays([piece.dictionary for piece in column.chunks])
    )
