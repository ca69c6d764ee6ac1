"""What the tests of this folder share."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.platform import warehouse as warehouses


@pytest.fixture(autouse=True)
def staged_rows_are_checked_by_spark(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few they are; Arrow tables are still checked in memory."""
    monkeypatch.setattr(warehouses, "ARROW_ROWS", -1)


@pytest.fixture
def warehouse(tmp_path: Path) -> warehouses.Warehouse:
    """An empty one."""
    return warehouses.Warehouse(str(tmp_path / "warehouse"), {"run_id": "test"})
