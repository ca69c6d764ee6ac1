"""What the tests of this folder share."""

from __future__ import annotations

import pytest

from jobs.platform import warehouse


@pytest.fixture(autouse=True)
def staged_rows_are_checked_by_spark(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few they are; Arrow tables are still checked in memory."""
    monkeypatch.setattr(warehouse, "ARROW_ROWS", -1)
