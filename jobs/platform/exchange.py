"""Rows that tasks of one stage leave for those of the next, gathered by bucket: a shuffle through the table's storage.

Spark's shuffle would take arrays from Python through Java and back, which costs more than all that is computed of them
here. Every machine of a cluster reaches the warehouse, so a file there serves as well: each task writes one, with a
record batch for each bucket, and who gathers a bucket reads that batch of every file.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.ipc

from jobs.platform.data_files import filesystem_of

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Exchange:
    """A folder for such files. Small, so that it can be sent to any process.

    Attributes:
        uri: the folder; who made it removes it.
        buckets: number of buckets.
    """

    uri: str
    buckets: int

    def put(self, keys: Array, columns: Mapping[str, Array], mask: Array | None = None) -> str:
        """Leave rows, each in the bucket of its key; returns the file's path.

        Args:
            keys: integers not below 0, (n,); rows of one key come into one bucket.
            columns: name -> values of the rows, each (n,).
            mask: marks the rows to leave, (n,); None: all.
        """
        marked = None if mask is None else np.flatnonzero(mask)
        keys = keys if marked is None else keys[marked]
        bucket = (keys % np.uint32(self.buckets)).astype(np.min_scalar_type(self.buckets))
        ends = np.cumsum(np.bincount(bucket, minlength=self.buckets))
        order = np.argsort(bucket, kind="stable")  # a radix sort for so small integers
        order = order if marked is None else marked[order]
        rows = pa.RecordBatch.from_pydict({name: values[order] for name, values in columns.items()})
        filesystem, folder = filesystem_of(self.uri)
        filesystem.create_dir(folder)
        path = f"{folder}/{uuid.uuid4()}.arrow"
        with filesystem.open_output_stream(path) as stream, pa.ipc.new_file(stream, rows.schema) as file:
            for start, end in zip([0, *ends[:-1]], ends, strict=True):
                file.write_batch(rows.slice(start, end - start))
        return path

    def take(self, paths: Sequence[str], bucket: int) -> dict[str, Array]:
        """The rows of a bucket, file after file: name -> values, each (n,); nothing if there is no file."""
        filesystem, _ = filesystem_of(self.uri)
        parts = []
        for path in paths:
            with filesystem.open_input_file(path) as file:
                parts.append(pa.ipc.open_file(file).get_batch(bucket))
        names = parts[0].schema.names if parts else []
        arrays = {name: [part[name].to_numpy(zero_copy_only=False) for part in parts] for name in names}
        return {name: np.concatenate(values) for name, values in arrays.items()}

    def clear(self) -> None:
        """Remove the folder."""
        filesystem, folder = filesystem_of(self.uri)
        filesystem.delete_dir(folder)
