"""The last week's volume beside the week before, in a table that is not partitioned by a date."""

from __future__ import annotations

from datetime import date, timedelta

import pyarrow as pa
import pytest

from expectations.contract import Column, Contract, WeekChange
from jobs.platform.errors import ContractError
from jobs.platform.warehouse import Warehouse

TICKETS = Contract(
    layer="silver",
    name="tickets",
    description="Tickets, for the tests.",
    columns=(Column("day", "date", "Day"), Column("source_file", "string", "File")),
    partition_by=("source_file",),
    week_change=WeekChange("day", 0.5, 1.9, "weeks are alike"),
)
AS_OF = date(2020, 9, 16)


def tickets(file: str, weeks_ago: int, count: int) -> pa.Table:
    """Rows of the week that ends so many weeks before the as-of date, its first and last day among them."""
    days = [AS_OF - timedelta(7 * weeks_ago + 1 + n % 7) for n in range(count)]
    return pa.table({"day": pa.array(days, pa.date32()), "source_file": [file] * count})


def store(warehouse: Warehouse, *rows: pa.Table) -> int:
    table = pa.concat_tables(rows)
    return warehouse.publish_arrow(TICKETS, table, {"source_file": table["source_file"].unique().to_pylist()})


@pytest.fixture
def warehouse(tmp_path) -> Warehouse:
    """Two whole weeks, in one file, before the last one."""
    warehouse = Warehouse(str(tmp_path), {"as_of_date": str(AS_OF - timedelta(7)), "run_id": "r", "job": "j"})
    store(warehouse, tickets("old", 2, 1400), tickets("old", 1, 1400))
    warehouse.stamp["as_of_date"] = str(AS_OF)
    return warehouse


@pytest.mark.parametrize("count", [700, 2660])
def test_a_week_like_the_one_before_is_published(warehouse: Warehouse, count: int) -> None:
    assert store(warehouse, tickets("new", 0, count)) == count


@pytest.mark.parametrize(("count", "ratio"), [(699, "0.50"), (2661, "1.90")])
def test_a_week_cut_short_or_delivered_twice_is_not(warehouse: Warehouse, count: int, ratio: str) -> None:
    words = rf"row count: {count:,} of the week from 2020-09-09 are {ratio} times the 1,400 of the week before \(at"
    with pytest.raises(ContractError, match=words):
        store(warehouse, tickets("new", 0, count))
    warehouse.accept_drift = True
    assert store(warehouse, tickets("new", 0, count)) == count


def test_files_of_one_week_count_together_and_a_replaced_one_not_at_all(warehouse: Warehouse) -> None:
    store(warehouse, tickets("new", 0, 700))
    with pytest.raises(ContractError, match="row count: 2,800"):
        store(warehouse, tickets("more", 0, 2100))
    assert store(warehouse, tickets("new", 0, 2100)) == 2100


def test_later_rows_do_not_count(warehouse: Warehouse) -> None:
    with pytest.raises(ContractError, match="row count: 600 of the week from 2020-09-09"):
        store(warehouse, tickets("new", 0, 600), tickets("new", -1, 1400))


def test_the_week_that_history_begins_in_is_no_measure(tmp_path) -> None:
    warehouse = Warehouse(str(tmp_path), {"as_of_date": str(AS_OF), "run_id": "r", "job": "j"})
    assert store(warehouse, tickets("first", 1, 1000), tickets("first", 0, 5000)) == 6000
