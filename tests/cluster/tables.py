"""The tables of two warehouses, compared cell by cell."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import polars as pl
from deltalake import DeltaTable
from polars.testing import assert_frame_equal

#: Columns that tell of the run and not of the shop.
STAMPS = {"run_id", "table_version"}


def tables(warehouse: Path) -> dict[str, Path]:
    """Every Delta table below the folder, by its path there ("silver/articles")."""
    logs = warehouse.rglob("_delta_log")
    return {log.parent.relative_to(warehouse).as_posix(): log.parent for log in logs}


def rows(table: Path) -> pl.DataFrame:
    """All rows as an analyst reads them, without stamps, in an order of their own.

    The files must be those that the table's log tells of.
    """
    log = pl.DataFrame(DeltaTable(table).get_add_actions(flatten=True))
    assert [(table / unquote(path)).stat().st_size for path in log["path"]] == log["size_bytes"].to_list()
    found = pl.from_arrow(DeltaTable(table).to_pyarrow_table())
    assert isinstance(found, pl.DataFrame)
    found = found.drop(STAMPS & set(found.columns))
    return found.sort([name for name, type_ in found.schema.items() if not type_.is_nested()])


def assert_same(name: str, one: Path, other: Path) -> None:
    """The table has the same columns, types, partitions and cells in both warehouses.

    Args:
        name: of the table, as `tables` has it.
        one: warehouse.
        other: warehouse.
    """
    first, second = DeltaTable(one / name), DeltaTable(other / name)
    assert first.schema().to_json() == second.schema().to_json()
    assert first.metadata().partition_columns == second.metadata().partition_columns
    assert_frame_equal(rows(one / name), rows(other / name), check_exact=True)
