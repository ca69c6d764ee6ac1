"""The comparison of two warehouses' slices."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from benchmarks.increments import _same
from expectations.features import CUSTOMER_FEATURES
from jobs.platform.schemas import arrow_schema

DAY = date(2020, 9, 23)


def write(root: Path, *counts: int) -> Path:
    rows = [{"as_of_date": DAY, "customer_id": str(n), "transaction_count": n} for n in counts]
    nullable = pa.schema([field.with_nullable(True) for field in arrow_schema(CUSTOMER_FEATURES)])
    write_deltalake(str(root / CUSTOMER_FEATURES.path), pa.Table.from_pylist(rows, nullable), partition_by="as_of_date")
    return root


def test_equal_slices_in_a_folder_of_any_name(tmp_path: Path) -> None:
    anew, weekly = write(tmp_path / "anew", 1, 2, 3), write(tmp_path / "week by week", 3, 2, 1)
    assert _same(CUSTOMER_FEATURES, anew, weekly, DAY).endswith("all 3 rows the same in `week by week`.")


def test_a_different_cell(tmp_path: Path) -> None:
    anew, weekly = write(tmp_path / "anew", 1, 2, 3), write(tmp_path / "week by week", 1, 2, 4)
    with pytest.raises(RuntimeError, match="1 of 3 rows differ in week by week"):
        _same(CUSTOMER_FEATURES, anew, weekly, DAY)
