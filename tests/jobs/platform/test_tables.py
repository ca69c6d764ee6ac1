"""Reading: what a run has read once stays as it was, and only what was asked for is read."""

from __future__ import annotations

import pytest
from deltalake import DeltaTable

from expectations.contract import Reference
from expectations.transactions import TRANSACTIONS
from jobs.platform.errors import JobError
from jobs.platform.measures import _is_unknown, unknown_rows
from jobs.platform.warehouse import Warehouse
from tests.jobs.platform.things import DAY, THINGS, WEEK_BEFORE, arrow, day, publish


def test_reads_are_pinned_and_noted(spark, warehouse):
    publish(warehouse, arrow(day(DAY, 1.0)), DAY)
    assert warehouse.read_arrow(THINGS).num_rows == 1
    publish(Warehouse(warehouse.root, {}), arrow(day(DAY, 1.0, 2.0)), DAY)
    assert warehouse.read_arrow(THINGS).num_rows == warehouse.read_spark(spark, THINGS).count() == 1
    assert warehouse.versions_read == {"things": DeltaTable(warehouse.uri(THINGS)).version() - 1}


def test_reads_only_what_was_asked_for(warehouse):
    publish(warehouse, arrow(day(DAY, 1.0) + day(WEEK_BEFORE, 2.0, 3.0)), DAY, WEEK_BEFORE)
    assert warehouse.read_arrow(THINGS, ["weight"], where={"as_of_date": [DAY]}).to_pydict() == {"weight": [1.0]}
    assert warehouse.read_arrow(THINGS, before={"as_of_date": DAY}).num_rows == 2
    assert warehouse.read_arrow(THINGS, where={"thing_id": ["b"]}, before={"as_of_date": DAY}).num_rows == 1


def test_a_table_that_is_not_there(warehouse, spark):
    assert not warehouse.exists(TRANSACTIONS)
    for read in (warehouse.read_arrow, lambda contract: warehouse.read_spark(spark, contract)):
        with pytest.raises(JobError, match=r"silver/transactions: no such table; run the task that writes"):
            read(TRANSACTIONS)


@pytest.mark.parametrize(("rows_at_most", "is_sent"), [(1, False), (2, True)])
def test_ids_of_few_rows_go_to_every_task_whatever_the_size_of_their_files(
    spark, warehouse, monkeypatch, rows_at_most, is_sent
):
    monkeypatch.setattr("jobs.platform.tables.BROADCAST_ROWS", rows_at_most)
    publish(warehouse, arrow(day(DAY, 1.0, 2.0)), DAY)
    known = warehouse.ids_spark(spark, THINGS, ["thing_id"])
    rows = spark.createDataFrame([("a",), ("z",)], "thing_id string")
    reference = Reference("thing_id", THINGS)
    spark.conf.set("spark.sql.autoBroadcastJoinThreshold", -1)
    try:
        unknown = unknown_rows(rows, reference, known), rows.where(_is_unknown(reference, known))
        plans = [of._jdf.queryExecution().executedPlan().toString() for of in unknown]
        assert [of.collect() for of in unknown] == [[("z",)], [("z",)]]
    finally:
        spark.conf.unset("spark.sql.autoBroadcastJoinThreshold")
    assert ["BroadcastHashJoin" in plan for plan in plans] == [is_sent, is_sent]
