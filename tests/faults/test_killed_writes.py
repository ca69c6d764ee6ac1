"""SIGKILL in the middle of each table's write: the last good table stays, and a rerun leaves one result."""

from __future__ import annotations

from pathlib import Path

import pytest

from expectations.contract import Contract
from expectations.registry import CONTRACTS
from tests.faults.runs import (
    WEEK_BEFORE,
    commits,
    data_files,
    ended,
    publish,
    rows_of,
    start,
    stored,
    together,
    wait_for_new_files,
)


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=lambda contract: contract.name)
def test_a_killed_write_leaves_the_last_good_table(tmp_path: Path, contract: Contract) -> None:
    root = tmp_path / "warehouse"
    table = root / contract.path
    good, older = rows_of(contract, seed=1), rows_of(contract, WEEK_BEFORE, seed=2)
    kept = (older,) if contract.partition_by else ()  # a table without partitions is replaced as a whole
    for rows in (*kept, good):
        publish(root, contract, rows)
    before, log = data_files(table), commits(table)

    new = rows_of(contract, seed=3)
    killed = start(root, contract, new, hang=True)
    wait_for_new_files(table, before, killed.is_alive)
    killed.kill()
    killed.join()
    assert commits(table) == log
    assert stored(root, contract) == together(good, *kept)

    assert ended(start(root, contract, new), root) == (0, "")
    assert stored(root, contract) == together(new, *kept)
    assert len(commits(table) - log) == 1
