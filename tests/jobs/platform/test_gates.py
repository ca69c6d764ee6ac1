"""The gates before a commit, each broken on purpose through a publish: the message, and a table that has not moved."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from expectations.contract import Column, Contract, Drift, Freshness, Reference, RowChange
from expectations.transactions import TRANSACTIONS
from jobs.platform.data_docs import site
from jobs.platform.errors import ContractError, JobError
from jobs.platform.schemas import arrow_schema
from jobs.platform.warehouse import Warehouse

SHOPS = Contract(
    layer="silver",
    name="shops",
    description="Shops.",
    columns=(Column("shop_id", "string", "Shop"),),
    key=("shop_id",),
    row_change=RowChange(0.9, None, "shops do not vanish"),
)
SALES = Contract(
    layer="gold",
    name="sales",
    description="Sales, for the tests.",
    columns=(
        Column("week_start_date", "date", "Week"),
        Column("shop_id", "string", "Shop"),
        Column("price", "double", "Price", nullable=True),
        Column("till", "string", "Kind of till"),
    ),
    partition_by=("week_start_date",),
    references=(Reference("shop_id", SHOPS),),
    row_change=RowChange(0.5, 1.9, "weeks are alike", first_is_partial=True),
    drifts=(Drift("price", 0.25, "prices stay"), Drift("till", 0.25, "told only", is_advisory=True)),
    freshness=Freshness("week_start_date", 7, "no week is silent"),
)
DAY = date(2020, 9, 9)
WEEKS = [DAY - timedelta(7 * n) for n in (3, 2, 1, 0)]
ENGINES = pytest.mark.parametrize("engine", ["spark", "arrow"])


def sales(
    week: date, count: int = 1200, price: float = 1.0, shop: str = "a", till: str = "staffed", nulls: int = 0
) -> pa.Table:
    """Sales of one week with `count` prices evenly from 0 to 2 * price, of which `nulls` are null."""
    prices = pa.array(np.linspace(0, 2 * price, count), mask=np.arange(count) % 1200 < nulls)
    columns = [pa.array([value] * count) for value in (week, shop, till)]
    schema = pa.schema([field.with_nullable(True) for field in arrow_schema(SALES)])
    return pa.table([columns[0], columns[1], prices, columns[2]], schema=schema)


def store(warehouse: Warehouse, engine: str, spark, *weeks: pa.Table, replace: list[date] | None = None) -> int:
    rows = pa.concat_tables(weeks)
    days = replace or sorted(set(rows["week_start_date"].to_pylist()))
    if engine == "arrow":
        return warehouse.publish_arrow(SALES, rows, {"week_start_date": days})
    return warehouse.publish_spark(SALES, spark.createDataFrame(rows, SALES.ddl), {"week_start_date": days})


def opened(tmp_path, **facts) -> Warehouse:
    stamp = {"run_id": "manual__2020-09-16T00:00:00+00:00", "job": "sell.sales", "as_of_date": "2020-09-16"}
    return Warehouse(str(tmp_path / "warehouse"), stamp, **facts)


@pytest.fixture
def warehouse(tmp_path) -> Warehouse:
    """Three weeks of sales, and the week before the last as its measure."""
    warehouse = opened(tmp_path)
    warehouse.publish_arrow(SHOPS, pa.table({"shop_id": ["a", "b"]}), {})
    warehouse.stamp["as_of_date"] = "2020-09-09"
    store(warehouse, "arrow", None, *(sales(week) for week in WEEKS[:3]))
    warehouse.stamp["as_of_date"] = "2020-09-16"
    return warehouse


def verdict(warehouse: Warehouse, page: str = "gold.sales.sell.sales") -> dict:
    folder = Path(site(warehouse.root, warehouse.stamp["run_id"]))
    assert f'href="{page}.html"' in (folder / "index.html").read_text()
    assert "Expectations" in (folder / f"{page}.html").read_text()
    return json.loads((folder / f"{page}.json").read_text())


BROKEN = {
    "reference": (
        [sales(DAY), sales(DAY, 2, shop="zz")],
        r"shop_id: 2 rows of 2020-09-09 have one that is not in silver/shops, such as zz, zz; deliver",
    ),
    "fewer rows": ([sales(DAY, 599)], r"row count: 599 of 2020-09-09 are 0.50 times the 1,200 of .*2020-09-02"),
    "more rows": (
        [sales(DAY, 2400)],
        r"row count: 2,400 .* 2.00 times .*at most 1.9: weeks are alike\); mend the data",
    ),
    "no rows": ([sales(DAY)], r"row count: 0 of 2020-09-02 are 0.00 times the 1,200 of week_start_date 2020-08-26"),
    "other prices": ([sales(DAY, price=1.5)], r"price: moved by PSI \S+ from .*\(mean 1, 0.0% null\).*\(mean 1.5,"),
    "nulls": ([sales(DAY, nulls=240)], r"price: moved by PSI .* to 2020-09-09 \(mean 1\.\d+, 20.0% null\)"),
}


@ENGINES
@pytest.mark.parametrize("gate", BROKEN)
def test_a_broken_gate_publishes_nothing_and_says_why(spark, warehouse, engine, gate):
    weeks, words = BROKEN[gate]
    version = DeltaTable(warehouse.uri(SALES)).version()
    with pytest.raises(ContractError, match=words) as caught:
        store(warehouse, engine, spark, *weeks, replace=[WEEKS[2], DAY] if gate == "no rows" else None)
    assert "\n" not in str(caught.value) and str(caught.value).count(";") <= 2, "one gate, one line"
    assert DeltaTable(warehouse.uri(SALES)).version() == version
    assert verdict(warehouse)["verdict"] == "stopped"


@ENGINES
def test_an_ordinary_week_passes(spark, warehouse, engine):
    assert store(warehouse, engine, spark, sales(DAY, 1500, price=1.1)) == 1500
    assert verdict(warehouse) | {"said": []} == verdict(warehouse)
    assert verdict(warehouse)["verdict"] == "passed"


@ENGINES
def test_rows_with_a_flag_do_not_count(spark, tmp_path, engine):
    """Neither among the new ones nor among those that they replace."""
    change = RowChange(0.9, None, "shops do not vanish", unless="is_closed")
    columns = (*SHOPS.columns, Column("is_closed", "boolean", "Closed for good"))
    shops = replace(SHOPS, columns=columns, row_change=change)
    warehouse = opened(tmp_path)

    def publish(closed: int) -> None:
        flags = [n < closed for n in range(2000)]
        rows = pa.table({"shop_id": [f"{n}" for n in range(2000)], "is_closed": flags}, arrow_schema(shops))
        if engine == "arrow":
            warehouse.publish_arrow(shops, rows, {})
        else:
            warehouse.publish_spark(shops, spark.createDataFrame(rows, shops.ddl), {})

    publish(0)
    publish(200)
    with pytest.raises(ContractError, match=r"1,600 of all are 0.89 times the 1,800 of the rows it replaces"):
        publish(400)
    publish(380)


def test_a_late_file_is_noticed(warehouse):
    warehouse.stamp["as_of_date"] = "2020-09-17"
    with pytest.raises(
        ContractError, match="newest is 2020-09-09, 8 days before the as-of date 2020-09-17, more than 7"
    ):
        store(warehouse, "arrow", None, sales(DAY))


def test_a_backfill_is_compared_with_its_own_past_only(warehouse):
    """The week before, which is like it, decides; not the week after, which is not."""
    warehouse.stamp["as_of_date"] = "2020-08-19"
    store(warehouse, "arrow", None, sales(date(2020, 8, 5), 2400), sales(date(2020, 8, 12), 2400))
    warehouse.stamp["as_of_date"] = "2020-08-26"
    assert store(warehouse, "arrow", None, sales(WEEKS[0], 2300)) == 2300
    with pytest.raises(ContractError, match=r"row count: 1,100 of 2020-08-19 .* 2020-08-12"):
        store(warehouse, "arrow", None, sales(WEEKS[0], 1100))


@ENGINES
def test_slices_of_one_publish_are_compared_with_each_other(spark, warehouse, engine):
    with pytest.raises(ContractError, match=r"price: moved .* from week_start_date 2020-09-02 .* to 2020-09-09"):
        store(warehouse, engine, spark, sales(WEEKS[2]), sales(DAY, price=3))


def test_the_first_slice_and_small_ones_are_compared_with_nothing(tmp_path):
    warehouse = opened(tmp_path)
    warehouse.publish_arrow(SHOPS, pa.table({"shop_id": ["a"]}), {})
    store(warehouse, "arrow", None, sales(DAY, 999))
    assert verdict(warehouse)["said"] == [
        "nothing to compare with: no earlier slice, or one of the two has fewer than 1,000 rows"
    ]
    warehouse.stamp["as_of_date"] = "2020-09-23"
    assert store(warehouse, "arrow", None, sales(date(2020, 9, 16), 100_000, price=9)) == 100_000


def test_a_partial_first_week_is_no_measure_of_rows(tmp_path):
    warehouse = opened(tmp_path)
    warehouse.publish_arrow(SHOPS, pa.table({"shop_id": ["a"]}), {})
    assert store(warehouse, "arrow", None, sales(WEEKS[2], 1200), sales(DAY, 4000)) == 5200


@ENGINES
def test_an_accepted_change_is_published_logged_and_recorded(spark, warehouse, engine, caplog):
    version = DeltaTable(warehouse.uri(SALES)).version()
    warehouse.accept_drift = True
    store(warehouse, engine, spark, sales(DAY, 3000, price=2))
    assert DeltaTable(warehouse.uri(SALES)).version() == version + 1
    assert "published although row count: 3,000" in caplog.text and "published although price: moved" in caplog.text
    assert warehouse.commit_metadata(SALES)["accepted"].startswith("row count: 3,000")
    assert verdict(warehouse)["verdict"] == "warned"


def test_what_is_no_drift_cannot_be_accepted(warehouse):
    warehouse.accept_drift = True
    with pytest.raises(ContractError, match="not in silver/shops") as caught:
        store(warehouse, "arrow", None, sales(DAY, 3000, shop="zz"))
    assert "row count" not in str(caught.value)


def test_an_advisory_drift_is_told_and_stops_nothing(warehouse, caplog):
    assert store(warehouse, "arrow", None, sales(DAY, till="self-service")) == 1200
    assert "till: moved by PSI" in caplog.text and "(staffed 100.0%, 0.0% null)" in caplog.text


@ENGINES
def test_a_list_that_was_cut_short_does_not_replace_the_whole_one(spark, tmp_path, engine):
    warehouse = opened(tmp_path)
    rows = [pa.table({"shop_id": [str(n) for n in range(count)]}) for count in (2000, 1799)]
    warehouse.publish_arrow(SHOPS, rows[0], {})
    with pytest.raises(
        ContractError, match=r"row count: 1,799 of all are 0.90 times the 2,000 of the rows it replaces"
    ):
        if engine == "arrow":
            warehouse.publish_arrow(SHOPS, rows[1], {})
        else:
            warehouse.publish_spark(SHOPS, spark.createDataFrame(rows[1]), {})
    assert DeltaTable(warehouse.uri(SHOPS)).to_pyarrow_table().num_rows == 2000


def test_a_missing_parent_is_named(tmp_path):
    with pytest.raises(JobError, match=r"silver/shops: no such table; run the task that writes shops first"):
        store(opened(tmp_path), "arrow", None, sales(DAY))


def test_ids_are_those_of_the_version_that_the_run_read(warehouse):
    warehouse.read_arrow(SHOPS)
    opened_later = Warehouse(warehouse.root, {})
    opened_later.publish_arrow(SHOPS, pa.table({"shop_id": ["b", "c"]}), {})
    assert store(warehouse, "arrow", None, sales(DAY)) == 1200
    with pytest.raises(ContractError, match="such as c"):
        store(warehouse, "arrow", None, sales(DAY, shop="c"))


def test_blocks_are_judged_together(spark, warehouse):
    halves = [sales(DAY, 600, price=0.5), sales(DAY, 600)]
    replace = {"week_start_date": [DAY]}
    with pytest.raises(ContractError, match=r"row count: 2,400 of 2020-09-09"):
        warehouse.publish_blocks(SALES, [*halves, *halves], replace)
    assert warehouse.publish_blocks(SALES, [sales(DAY, 600), sales(DAY, 600)], replace) == 1200


@ENGINES
def test_the_page_shows_what_was_measured(spark, warehouse, engine):
    store(warehouse, engine, spark, sales(DAY, 1500))
    page = Path(site(warehouse.root, warehouse.stamp["run_id"]), "gold.sales.sell.sales.html").read_text()
    assert "unknown %" not in page and ">--<" not in page
    shown = [re.sub(r"<.*?>", "", cell).strip() for cell in re.findall(r"<td.*?>(.*?)</td>", page, re.DOTALL)]
    assert {"1,500", "1.25"} <= set(shown), "rows, and rows for each row before"


@ENGINES
def test_a_key_belongs_to_the_id_beside_it(spark, tmp_path, engine):
    """A key that the parent has, but for another id."""
    columns = (Column("shop_id", "string", "Shop"), Column("shop_key", "int", "Its key"))
    shops = Contract("silver", "shops", "Shops.", columns, key=("shop_id",))
    visits = Contract(
        "silver", "visits", "Visits.", columns, references=(Reference("shop_key", shops, id_column="shop_id"),)
    )
    warehouse = opened(tmp_path)
    schema = pa.schema([("shop_id", pa.string()), ("shop_key", pa.int32())])
    warehouse.publish_arrow(shops, pa.table([["a", "b"], [0, 1]], schema=schema), {})

    def visit(ids: list[str], keys: list[int]) -> int:
        rows = pa.table([ids, keys], schema=schema)
        if engine == "arrow":
            return warehouse.publish_arrow(visits, rows, {})
        return warehouse.publish_spark(visits, spark.createDataFrame(rows, visits.ddl), {})

    assert visit(["a", "b", "a"], [0, 1, 0]) == 3
    for ids, keys in ((["a", "b", "a"], [0, 0, 1]), (["a", "c", "d"], [0, 2, 3])):
        with pytest.raises(ContractError, match=r"shop_key: 2 rows of all have another than their shop_id has in silv"):
            visit(ids, keys)


def test_purchases_are_held_to_both_their_parents():
    pairs = {(r.column, r.id_column, r.parent.name) for r in TRANSACTIONS.references}
    assert pairs == {("customer_key", "customer_id", "customers"), ("article_key", "article_id", "articles")}
