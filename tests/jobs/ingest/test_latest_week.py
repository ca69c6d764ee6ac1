"""The newest whole week at hand."""

from __future__ import annotations

from datetime import date

import pytest

from expectations.transactions import TRANSACTIONS
from jobs.ingest import transactions
from jobs.ingest.latest_week import latest_week, main
from jobs.platform.warehouse import Warehouse
from tests.jobs.ingest import retail
from tests.jobs.ingest.retail import TRANSACTIONS_HEADER, purchase, write


@pytest.mark.parametrize(
    ("last", "week"),
    [("2020-09-22", date(2020, 9, 23)), ("2020-09-23", date(2020, 9, 23)), ("2020-09-21", date(2020, 9, 16))],
)
def test_it_ends_on_the_newest_wednesday_before_which_all_days_are_there(spark, tmp_path, capsys, last, week):
    """Of which the day itself is no part: a week is from Wednesday to Tuesday."""
    retail.publish_parents(tmp_path)
    write(tmp_path / "transactions_1.csv", TRANSACTIONS_HEADER, [purchase("2020-09-10"), purchase(last)])
    job = retail.job(transactions, spark, tmp_path)
    transactions.main(job)
    assert job.exists(TRANSACTIONS) and latest_week(job.warehouse) == week
    assert main([str(tmp_path / "warehouse")]) == 0
    assert capsys.readouterr().out == f"{week}\n"


def test_without_transactions_there_is_none(tmp_path, capsys):
    assert latest_week(Warehouse(str(tmp_path), {})) is None
    assert (main([str(tmp_path)]), capsys.readouterr().out) == (0, "")
    assert main([]) == 2
