"""The contestants of `make bench-features` that are not Atelier: on a tiny shop, all their cells are equal."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from benchmarks.features import AS_OF, PEERS, TABLES, TINY, _compared, _timed
from benchmarks.shop_files import generated

OTHERS = [name for name in PEERS if name != "duckdb"]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every peer's feature tables."""
    folder = tmp_path_factory.mktemp("contest")
    files = generated(folder / "files", TINY)
    for name in PEERS:
        _timed(name, files, folder / name, AS_OF)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("peer", OTHERS)
def test_the_peers_compute_the_same(work: Path, peer: str) -> None:
    for contract in TABLES:
        expected = duckdb.read_parquet(str(work / "duckdb" / f"{contract.name}.parquet"))
        assert set(expected.columns) == set(contract.column_names)
        total = len(expected)
        assert total > 0
        assert _compared(contract, expected, work, peer) == f"{contract.name}: all {total:,} rows equal {peer}'s."


@pytest.mark.slow
def test_a_different_cell_is_told(work: Path) -> None:
    contract = TABLES[0]
    right = duckdb.read_parquet(str(work / "duckdb" / f"{contract.name}.parquet"))
    wrong = right.project("* REPLACE (total_spend + (row_number() OVER () = 1)::INT AS total_spend)")
    with pytest.raises(RuntimeError, match=r"customer_features: 1 of [\d,]+ rows differ from plain pyspark's"):
        _compared(contract, wrong, work, "plain pyspark")
