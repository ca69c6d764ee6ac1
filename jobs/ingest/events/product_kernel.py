"""What Spark's tasks do of files about products: read a block, write its rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from expectations.events import PRODUCT_PRICES
from jobs.ingest.events.kernel import as_table
from jobs.ingest.events.mapping import ProductsMapping
from jobs.ingest.events.product_rows import products
from jobs.ingest.events.reading import frames
from jobs.ingest.reading import Block
from jobs.platform.staging import Staged

#: What a task tells of a piece of a file: its rows, and the files written.
DONE = "source_file string, row_count bigint, prices string, attributes string, refused string"


def read_blocks(
    work: Sequence[Block],
    mapping: ProductsMapping,
    prices: Staged,
    attributes: Staged,
    quarantine: Staged,
    tasks: Iterator[pa.RecordBatch],
) -> Iterator[pa.RecordBatch]:
    """Read the blocks whose positions are given and write their rows where they wait for their commit; see DONE."""
    for position in (row for batch in tasks for row in batch["id"].to_pylist()):
        block = work[position]
        source = {"source_file": block.file.name, "source_checksum": block.file.checksum}
        refused = {"table_name": PRODUCT_PRICES.name, "source_file": block.file.name}
        for raw in frames(block, None):
            found = products(raw, mapping)
            files = [
                staged.write(as_table(rows, staged.contract, **same), **by) if len(rows) else None
                for staged, rows, same, by in (
                    (prices, found.prices, source, source),
                    (attributes, found.attributes, source, source),
                    (quarantine, found.bad, source | refused, refused),
                )
            ]
            values = [block.file.name, len(raw), *files]
            kinds = [pa.string(), pa.int64(), pa.string(), pa.string(), pa.string()]
            names = ["source_file", "row_count", "prices", "attributes", "refused"]
            columns = [pa.array([value], kind) for value, kind in zip(values, kinds, strict=True)]
            yield pa.RecordBatch.from_arrays(columns, names)
