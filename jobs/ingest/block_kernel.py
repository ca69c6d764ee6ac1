"""What Spark's tasks do of the transactions: read a block of a file, judge its rows, write them.

Workers import this module and nothing beyond.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Mapping as Dictionary

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.articles import ARTICLES
from expectations.contract import key_of
from expectations.customers import CUSTOMERS
from expectations.transactions import TRANSACTIONS
from jobs.ingest.key_lookup import KeyLookup
from jobs.ingest.mapping import ShopMapping, TransactionsMapping
from jobs.ingest.plausibility import COUNTS, Counts, Usual, refuse_purchases
from jobs.ingest.quarantine import bad_rows
from jobs.ingest.raw_rows import RawRows
from jobs.ingest.reading import Block
from jobs.ingest.renamed import with_newest_ids
from jobs.ingest.typed import TypedRows, by_text, mask, refuse_ids, typed
from jobs.ingest.values import number_parser, plain_ids
from jobs.platform.staging import Staged

#: Ids -> surrogate keys, null where unknown.
Keys = Callable[[pa.Array], pa.Array]

UNITS = "units"

#: Key column -> the table it must be found in.
PARENTS = {"article_id": ARTICLES, "customer_id": CUSTOMERS}

#: What a task tells of a block, or of a piece of one: the block's position, its file, its rows, the files written of
#: its good and its bad ones, and what the good ones are (plausibility.Counts).
DONE = f"block bigint, source_file string, row_count bigint, good string, refused string, {COUNTS}"


def unknown(column: str) -> str:
    """The reason why a row with an unknown id is refused."""
    return f"{column} is not in {PARENTS[column].path}"


def transform(raw: RawRows, mapping: ShopMapping, keys: Dictionary[str, Keys], usual: Usual | None = None) -> TypedRows:
    """Typed purchases from raw rows, with surrogate keys, and the number of `units` of each.

    Args:
        raw: rows of one file.
        mapping: the retailer's.
        keys: for each column of PARENTS, the surrogate keys of ids, null where unknown.
        usual: what is usual in the file; None: that is not known yet.
    """
    rows = _counted(typed(raw, mapping.transactions), mapping.transactions)
    renamed = mapping.articles.renamed
    rows = rows.with_column("article_id", with_newest_ids(rows.columns["article_id"], renamed))
    refuse_purchases(rows, mapping.transactions, usual)
    for column, parent in (("article_id", mapping.articles), ("customer_id", mapping.customers)):
        ids = rows.columns[column]
        found = keys[column](ids.dictionary).take(ids.indices)
        # A known id was found well-formed when its table was ingested.
        if found.null_count:
            ids = plain_ids(ids, parent.id_width)
            ids = with_newest_ids(ids, renamed) if column == "article_id" else ids
            found = keys[column](ids.dictionary).take(ids.indices)
            is_unknown = mask(found.is_null())
            rows.verdicts.refuse(mask(ids.is_null()), f"{column} is empty")
            refuse_ids(rows.verdicts, column, ids, is_unknown, parent.id_pattern)
            rows.verdicts.refuse(is_unknown, unknown(column))
        rows = rows.with_column(column, ids).with_column(key_of(column), found)
    return rows


def _counted(rows: TypedRows, mapping: TransactionsMapping) -> TypedRows:
    """Adds `units`, and makes `price` that of one unit."""
    if mapping.units is None:
        return rows

    number = number_parser(mapping)

    def units(text: str) -> int | None:
        count = number(text)
        return int(count) if count is not None and count == int(count) and 1 <= count <= mapping.max_units else None

    count = by_text(rows.raw.text(mapping.units), units, pa.int32())
    rows.verdicts.refuse(mask(count.is_null()), f"{mapping.units} is not a number of units, 1 to {mapping.max_units}")
    if mapping.price_is_line_total:
        rows = rows.with_column("price", pc.divide(rows.columns["price"], count.cast(pa.float64())))
    return rows.with_column(UNITS, count)


def purchases(rows: TypedRows) -> pa.Table:
    """The usable rows, one per unit, in the columns of the table that its files hold."""
    good = rows.good()
    if UNITS in rows.columns:
        good = np.repeat(good, rows.columns[UNITS].take(good).to_numpy())
    names = [name for name in TRANSACTIONS.column_names if name not in TRANSACTIONS.partition_by]
    table = pa.table({name: rows.columns[name] for name in names})
    return table if len(good) == len(rows.raw) and UNITS not in rows.columns else table.take(good)


def ingest_blocks(
    blocks: Sequence[Block],
    mapping: ShopMapping,
    lookups: dict[str, KeyLookup],
    files: Staged,
    quarantine: Staged,
    usual: Dictionary[str, Usual],
    tasks: Iterator[pa.RecordBatch],
) -> Iterator[pa.RecordBatch]:
    """Read the blocks whose positions are given and write their rows where they wait for their commit; see DONE."""
    keys = {column: lookup.keys for column, lookup in lookups.items()}
    for position in (row for batch in tasks for row in batch["id"].to_pylist()):
        block = blocks[position]
        for raw in block.read():
            rows = transform(raw, mapping, keys, usual.get(block.file.name))
            bad, good = bad_rows(rows, TRANSACTIONS, block.file), purchases(rows)
            counts = Counts.of(good)
            source = {"source_file": block.file.name, "source_checksum": block.file.checksum}
            refused = {"table_name": TRANSACTIONS.name, "source_file": block.file.name}
            yield pa.RecordBatch.from_arrays(
                [
                    pa.array([position], pa.int64()),
                    pa.array([block.file.name]),
                    pa.array([len(rows.raw)], pa.int64()),
                    pa.array([files.write(good, **source) if good.num_rows else None], pa.string()),
                    pa.array([quarantine.write(bad, **refused) if bad.num_rows else None], pa.string()),
                    *counts.to_lists(),
                ],
                ["block", "source_file", "row_count", "good", "refused", "day", "bin", "units"],
            )
