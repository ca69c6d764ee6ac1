"""A cluster writes what one machine writes, to the cell."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.tables import assert_same, rows, tables
from tests.cluster.weekly import TABLES

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]


@pytest.mark.parametrize("name", TABLES)
def test_every_cell_is_the_same(name: str, alone: Path, clustered: Path) -> None:
    assert len(rows(clustered / name)) > 0
    assert_same(name, alone, clustered)


def test_so_are_all_other_tables(alone: Path, clustered: Path) -> None:
    assert tables(alone).keys() == tables(clustered).keys()
    for name in tables(alone).keys() - set(TABLES):
        assert_same(name, alone, clustered)
