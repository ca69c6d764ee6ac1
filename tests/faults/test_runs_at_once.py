"""Two runs that publish a table at the same moment, in processes of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from expectations.articles import ARTICLES
from expectations.contract import Contract
from expectations.recommendations import RECOMMENDATIONS
from tests.faults.runs import (
    DAY,
    PROCESSES,
    WEEK_BEFORE,
    commits,
    data_files,
    ended,
    publish,
    rows_of,
    start,
    stored,
    together,
)

ROUNDS = 5


@pytest.mark.parametrize("is_first", [True, False], ids=["first", "later"])
@pytest.mark.parametrize("contract", [ARTICLES, RECOMMENDATIONS], ids=lambda contract: contract.name)
def test_two_runs_of_one_date_leave_one_result(tmp_path: Path, contract: Contract, is_first: bool) -> None:
    """`is_first`: the runs also create the table."""
    for n in range(ROUNDS):
        root = tmp_path / f"round{n}" / "warehouse"
        root.mkdir(parents=True)
        kept = () if is_first or not contract.partition_by else (rows_of(contract, WEEK_BEFORE),)
        for rows in kept:
            publish(root, contract, rows)
        results = [rows_of(contract, DAY, seed=seed, count=count) for seed, count in ((1, 5), (2, 4))]
        barrier = PROCESSES.Barrier(2)
        runs = [start(root, contract, rows, before_commit=barrier) for rows in results]
        assert [ended(run, root) for run in runs] == [(0, "")] * 2
        assert stored(root, contract) in [together(rows, *kept) for rows in results]


def test_two_dates_at_once_are_both_there(tmp_path: Path) -> None:
    for n in range(ROUNDS):
        root = tmp_path / f"round{n}" / "warehouse"
        root.mkdir(parents=True)
        days = [rows_of(RECOMMENDATIONS, day) for day in (DAY, WEEK_BEFORE)]
        barrier = PROCESSES.Barrier(2)
        runs = [start(root, RECOMMENDATIONS, rows, before_commit=barrier) for rows in days]
        assert [ended(run, root) for run in runs] == [(0, "")] * 2
        assert stored(root, RECOMMENDATIONS) == together(*days)
        table = root / RECOMMENDATIONS.path
        assert len(data_files(table)) == 2 and commits(table)
