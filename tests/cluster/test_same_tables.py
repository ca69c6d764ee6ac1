"""A cluster writes what one machine writes, to the cell."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.tables import assert_same, rows, tables
from tests.cluster.weekly import RECOMMENDATIONS, TABLES

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]


@pytest.mark.parametrize("name", [*TABLES, RECOMMENDATIONS])
def test_every_cell_is_the_same(name: str, alone: Path, clustered: Path) -> None:
    assert len(rows(clustered / name)) > 0
    assert_same(name, alone, clustered)


def test_so_are_all_other_tables(alone: Path, clustered: Path) -> None:
    assert tables(alone).keys() == tables(clustered).keys()
    for name in tables(alone).keys() - {*TABLES, RECOMMENDATIONS}:
        assert_same(name, alone, clustered)


def test_all_ways_to_recommend_are_used(clustered: Path) -> None:
    sources = set(rows(clustered / RECOMMENDATIONS)["source"])
    assert len(sources) > 3, sources
