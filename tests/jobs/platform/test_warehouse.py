"""Publishing: atomic, only its slice, nothing when a rule is broken; rules and comments that every engine sees."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta

import pytest
from deltalake import DeltaTable, write_deltalake

from expectations.contract import RowChange
from expectations.evaluation import EVALUATION_METRICS
from expectations.recommendations import CANDIDATES
from expectations.transactions import TRANSACTIONS
from jobs.platform.errors import ContractError, JobError, TableChangedError
from jobs.platform.gates import Audit
from jobs.platform.schemas import delta_schema
from jobs.platform.warehouse import Warehouse
from tests.jobs.platform.things import DAY, THINGS, WEEK_BEFORE, arrow, day, frame, publish, stored

ENGINES = pytest.mark.parametrize("engine", ["spark", "arrow"])


@ENGINES
def test_only_the_slice_is_replaced(spark, warehouse, engine):
    publish(warehouse, frame(engine, day(DAY, 1.0, 2.0, 3.0), spark), DAY)
    assert publish(warehouse, frame(engine, day(WEEK_BEFORE, 5.0, None), spark), WEEK_BEFORE) == 2
    assert stored(warehouse) == day(WEEK_BEFORE, 5.0, None) + day(DAY, 1.0, 2.0, 3.0)

    publish(warehouse, frame(engine, day(WEEK_BEFORE, 9.0), spark), WEEK_BEFORE)
    assert stored(warehouse) == day(WEEK_BEFORE, 9.0) + day(DAY, 1.0, 2.0, 3.0)


@ENGINES
def test_each_publish_is_one_commit_with_its_stamp(spark, warehouse, engine):
    for again in range(2):
        publish(warehouse, frame(engine, day(DAY, 1.0) + day(WEEK_BEFORE, 2.0), spark), DAY, WEEK_BEFORE)
        assert stored(warehouse) == day(WEEK_BEFORE, 2.0) + day(DAY, 1.0)
        commits = [commit["operation"] for commit in DeltaTable(warehouse.uri(THINGS)).history()]
        assert commits.count("WRITE") == again + 1
    assert warehouse.commit_metadata(THINGS) == {"run_id": "test"}


@ENGINES
@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (day(DAY, 1.0, 11.0), r"gold/things: nothing published; weight: .*1 rows, such as 11.0"),
        (day(DAY, 1.0) + day(DAY, 2.0), r"as_of_date, thing_id: .*unique|1 rows that repeat as_of_date, thing_id"),
        ([], r"expect_table_row_count_to_be_between {'min_value': 1}, found 0"),
    ],
    ids=["limit", "key", "empty"],
)
def test_a_broken_rule_publishes_nothing(spark, warehouse, engine, broken, words):
    publish(warehouse, arrow(day(DAY, 7.0)), DAY)
    version = DeltaTable(warehouse.uri(THINGS)).version()
    with pytest.raises(ContractError, match=words):
        publish(warehouse, frame(engine, broken, spark), DAY)
    assert DeltaTable(warehouse.uri(THINGS)).version() == version
    assert stored(warehouse) == day(DAY, 7.0)


@ENGINES
def test_rows_outside_the_slice_are_refused(spark, warehouse, engine):
    publish(warehouse, arrow(day(WEEK_BEFORE, 7.0)), WEEK_BEFORE)
    with pytest.raises(Exception, match=r"outside the slice"):
        publish(warehouse, frame(engine, day(DAY, 1.0) + day(WEEK_BEFORE, 1.0), spark), DAY)
    assert stored(warehouse) == day(WEEK_BEFORE, 7.0)


def test_wrong_types_and_columns_are_refused(spark, warehouse):
    rows = spark.createDataFrame(day(DAY, 1.0), THINGS.ddl)
    with pytest.raises(ContractError, match="weight is string, not double"):
        publish(warehouse, rows.withColumn("weight", rows.weight.cast("string")), DAY)
    with pytest.raises(ContractError, match="columns are"):
        publish(warehouse, arrow(day(DAY, 1.0)).drop_columns(["kind"]), DAY)
    assert not warehouse.exists(THINGS) or stored(warehouse) == []


def test_comments_are_readable_without_and_with_spark(spark, warehouse):
    publish(warehouse, arrow(day(DAY, 1.0)), DAY)
    table = DeltaTable(warehouse.uri(THINGS))
    assert (table.metadata().name, table.metadata().description) == ("things", THINGS.description)
    assert table.schema() == delta_schema(THINGS)
    assert {f.name: f.metadata["comment"] for f in table.schema().fields} == {
        column.name: column.description for column in THINGS.columns
    }
    publish(warehouse, frame("spark", day(DAY, 2.0), spark), DAY)  # Spark's commit keeps them
    assert DeltaTable(warehouse.uri(THINGS)).schema() == delta_schema(THINGS)
    seen = spark.sql(f"DESCRIBE delta.`{warehouse.uri(THINGS)}`").collect()
    assert ("kind", "string", "Kind of thing") in [tuple(row) for row in seen]


@ENGINES
@pytest.mark.parametrize(
    "row",
    [(DAY, "z", "big", 10.5), (DAY, "z", "big", -0.1), (DAY, None, "big", 1.0)],
    ids=["maximum", "minimum", "null"],
)
def test_the_table_itself_refuses_what_bypasses_the_checks(spark, warehouse, engine, row):
    publish(warehouse, arrow(day(DAY, 0.0, 10.0, None)), DAY)
    with pytest.raises(Exception, match=r"(?i)constraint|check|not.?null|null values|invariant"):
        if engine == "spark":
            nullable = spark.createDataFrame([row], THINGS.ddl)
            nullable.write.format("delta").mode("append").save(warehouse.uri(THINGS))
        else:
            write_deltalake(warehouse.uri(THINGS), arrow([row]), mode="append")
    assert len(stored(warehouse)) == 3


def test_a_creation_that_was_cut_short_is_completed(warehouse):
    DeltaTable.create(warehouse.uri(THINGS), delta_schema(THINGS), partition_by=["as_of_date"])
    publish(warehouse, arrow(day(DAY, 1.0)), DAY)
    assert set(DeltaTable(warehouse.uri(THINGS)).metadata().configuration) == {
        "delta.constraints.weight_minimum",
        "delta.constraints.weight_maximum",
    }


def test_a_table_keeps_its_rules_in_the_contracts_words(tmp_path):
    """Otherwise each publish would have Spark count again what was checked already."""
    warehouse, prefix = Warehouse(str(tmp_path), {}), "delta.constraints."
    for contract in (CANDIDATES, TRANSACTIONS, EVALUATION_METRICS):
        with warehouse.staging(contract):
            configuration = warehouse.newest(contract).metadata().configuration
        rules = {k.removeprefix(prefix): rule for k, rule in configuration.items() if k.startswith(prefix)}
        assert rules == contract.constraints() != {}


def test_rows_that_a_new_rule_forbids_are_named_with_what_removes_them(warehouse):
    """As an older version of Atelier left them."""
    root = warehouse.uri(THINGS)
    write_deltalake(root, arrow(day(DAY, 1.0, float("inf"))), partition_by=["as_of_date"])
    with pytest.raises(JobError, match=r"has rows that break one of weight_minimum, weight_maximum; .*") as error:
        publish(warehouse, arrow(day(WEEK_BEFORE, 1.0)), WEEK_BEFORE)
    (removal,) = re.findall(r'delete\("(.*)"\)', str(error.value))
    DeltaTable(root).delete(removal)
    publish(warehouse, arrow(day(WEEK_BEFORE, 2.0)), WEEK_BEFORE)
    assert stored(warehouse) == day(WEEK_BEFORE, 2.0) + day(DAY, 1.0)


def test_blocks_stream_into_one_commit(spark, warehouse):
    days = [DAY - timedelta(7 * n) for n in range(3)]
    seen = []

    def blocks():
        for when in days:
            seen.append(when)
            yield arrow(day(when, 1.0, 2.0))

    assert warehouse.publish_blocks(THINGS, blocks(), {"as_of_date": days}) == 6
    assert seen == days and len(stored(warehouse)) == 6
    assert [c["operation"] for c in DeltaTable(warehouse.uri(THINGS)).history()].count("WRITE") == 1


def test_a_broken_block_publishes_none(spark, warehouse):
    publish(warehouse, arrow(day(DAY, 7.0)), DAY)

    def blocks():
        yield arrow(day(DAY, 1.0))
        yield arrow(day(WEEK_BEFORE, -1.0))

    with pytest.raises(ContractError, match="weight"):
        warehouse.publish_blocks(THINGS, blocks(), {"as_of_date": [DAY, WEEK_BEFORE]})
    assert stored(warehouse) == day(DAY, 7.0)


@ENGINES
def test_two_slices_at_once_both_land(spark, warehouse, engine):
    publish(warehouse, arrow(day(date(2020, 1, 1), 1.0)), date(2020, 1, 1))
    days = [DAY, WEEK_BEFORE]
    frames = [frame(engine, day(when, 1.0, 2.0), spark) for when in days]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda n: publish(Warehouse(warehouse.root, {}), frames[n], days[n]), range(2)))
    assert stored(warehouse) == [*day(date(2020, 1, 1), 1.0), *day(WEEK_BEFORE, 1.0, 2.0), *day(DAY, 1.0, 2.0)]


@ENGINES
def test_the_same_slice_at_once_leaves_one_result(spark, warehouse, engine):
    publish(warehouse, arrow(day(WEEK_BEFORE, 1.0)), WEEK_BEFORE)
    results = [day(DAY, 1.0, 1.0), day(DAY, 2.0, 2.0)]
    frames = [frame(engine, rows, spark) for rows in results]

    def attempt(n: int) -> Exception | None:
        try:
            publish(Warehouse(warehouse.root, {}), frames[n], DAY)
        except Exception as error:
            return error
        return None

    with ThreadPoolExecutor() as pool:
        failures = [failure for failure in pool.map(attempt, range(2)) if failure]
    assert len(failures) <= 1, failures  # a commit that lost the race ends with code 1, and is retried
    assert not any(isinstance(failure, JobError) for failure in failures)
    assert stored(warehouse) in [day(WEEK_BEFORE, 1.0) + rows for rows in results]


def test_a_table_created_by_two_at_once(warehouse):
    days = [DAY - timedelta(7 * n) for n in range(4)]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda when: publish(Warehouse(warehouse.root, {}), arrow(day(when, 1.0)), when), days))
    assert len(stored(warehouse)) == 4


@ENGINES
def test_a_column_that_the_contract_has_gained_is_added(spark, warehouse, engine):
    """Earlier rows hold null there; new ones keep its rules, and descriptions are the contract's."""
    earlier = replace(
        THINGS,
        description="As it was.",
        columns=tuple(replace(c, description="As it was") for c in THINGS.columns if c.name != "kind"),
    )
    rows = arrow(day(WEEK_BEFORE, 1.0)).drop_columns(["kind"])
    warehouse.publish_arrow(earlier, rows, {"as_of_date": [WEEK_BEFORE]})
    assert warehouse.read_arrow(THINGS)["kind"].to_pylist() == [None], "before its first publish"
    version = warehouse.versions_read.pop("things")
    publish(warehouse, frame(engine, day(DAY, 1.0, 2.0), spark), DAY)
    before = (WEEK_BEFORE, "a", None, 1.0)
    assert stored(warehouse) == [before, *day(DAY, 1.0, 2.0)]
    assert warehouse.changes_since(THINGS, version) == {warehouse.versions_written["things"]}, "new rows, no more"
    table = DeltaTable(warehouse.uri(THINGS))
    assert table.metadata().description == THINGS.description
    comments = {f.name: f.metadata["comment"] for f in table.schema().fields}
    assert comments == {column.name: column.description for column in THINGS.columns}
    with pytest.raises(ContractError, match="kind: expect_column_values_to_not_be_null"):
        publish(warehouse, frame(engine, [(DAY, "a", None, 1.0)], spark), DAY)
    publish(warehouse, frame(engine, day(DAY, 3.0), spark), DAY)  # once is enough
    operations = [commit["operation"] for commit in table.history() + DeltaTable(warehouse.uri(THINGS)).history()]
    assert operations.count("ADD COLUMN") == 2
    assert spark.read.format("delta").load(warehouse.uri(THINGS)).where("kind IS NULL").count() == 1


@ENGINES
def test_a_column_that_may_be_null_now(spark, warehouse, engine):
    columns = tuple(replace(c, nullable=False) for c in THINGS.columns)
    warehouse.publish_arrow(
        replace(THINGS, columns=columns), arrow(day(WEEK_BEFORE, 1.0)), {"as_of_date": [WEEK_BEFORE]}
    )
    publish(warehouse, frame(engine, day(DAY, None), spark), DAY)
    assert stored(warehouse) == [*day(WEEK_BEFORE, 1.0), *day(DAY, None)]
    with pytest.raises(ContractError, match="weight"):
        publish(warehouse, frame(engine, day(DAY, -1.0), spark), DAY)


OTHER_COLUMNS = {
    "thing_id": lambda rows: rows.drop_columns(["thing_id"]),  # of the key
    "colour": lambda rows: rows.append_column("colour", rows["kind"]),
    "weight": lambda rows: rows.set_column(3, "weight", rows["weight"].cast("int64")),
}


@ENGINES
@pytest.mark.parametrize("name", OTHER_COLUMNS)
def test_a_table_with_other_columns_is_left_alone(spark, warehouse, engine, name):
    earlier = OTHER_COLUMNS[name](arrow(day(WEEK_BEFORE, 1.0)))
    write_deltalake(warehouse.uri(THINGS), earlier, partition_by=["as_of_date"])
    with pytest.raises(JobError, match=rf"gold/things: made by another version of Atelier, differs in {name}; nothing"):
        publish(warehouse, frame(engine, day(DAY, 1.0), spark), DAY)
    assert DeltaTable(warehouse.uri(THINGS)).version() == 0


@pytest.mark.parametrize(("columns", "missing"), [(["as_of_date", "kind"], "kind"), (None, "thing_id")])
def test_a_table_without_a_column_that_is_asked_for(warehouse, columns, missing):
    write_deltalake(warehouse.uri(THINGS), arrow(day(WEEK_BEFORE, 1.0)).drop_columns([missing]))
    advice = "run the task that writes things again, or give another"
    with pytest.raises(JobError, match=rf"gold/things: made by another version .*, has no {missing}; {advice}"):
        warehouse.read_arrow(THINGS, columns)


@ENGINES
def test_gates_compare_again_with_what_another_run_published_meanwhile(spark, warehouse, monkeypatch, engine):
    """A slice that is right beside the one before, and half of what another run puts in its place during the audit."""
    contract = replace(THINGS, row_change=RowChange(0.5, None, "alike"))
    rows = [(WEEK_BEFORE, f"{'x' * n}", "big", 1.0) for n in range(1, 1201)]
    later = [(DAY, f"{'x' * n}", "big", 1.0) for n in range(1, 1101)]
    warehouse.publish_arrow(contract, arrow(rows), {"as_of_date": [WEEK_BEFORE]})
    others = [rows + [(WEEK_BEFORE, f"{'y' * n}", "big", 1.0) for n in range(1, 2401)]]
    audit = Audit.run

    def overtaken(self):
        found = audit(self)
        if others:
            Warehouse(warehouse.root, {}).publish_arrow(THINGS, arrow(others.pop()), {"as_of_date": [WEEK_BEFORE]})
        return found

    monkeypatch.setattr(Audit, "run", overtaken)
    data = frame(engine, later, spark)
    publish = warehouse.publish_arrow if engine == "arrow" else warehouse.publish_spark
    with pytest.raises(ContractError, match=r"row count: 1,100 of 2020-09-16 are 0\.31 times the 3,600"):
        publish(contract, data, {"as_of_date": [DAY]})


def test_what_follows_from_a_table_is_not_committed_after_it_changed(warehouse):
    publish(warehouse, arrow(day(DAY, 1.0)), DAY)
    weights = warehouse.read_arrow(THINGS)["weight"].to_pylist()
    publish(Warehouse(warehouse.root, {}), arrow(day(DAY, 2.0)), DAY)
    version = DeltaTable(warehouse.uri(THINGS)).version()
    derived = arrow(day(WEEK_BEFORE, *weights))
    with pytest.raises(TableChangedError, match=r"gold/things: another run changed it .*; nothing published"):
        warehouse.publish_arrow(THINGS, derived, {"as_of_date": [WEEK_BEFORE]}, derived_from=[THINGS])
    assert DeltaTable(warehouse.uri(THINGS)).version() == version

    warehouse.forget([THINGS])
    assert warehouse.read_arrow(THINGS)["weight"].to_pylist() == [2.0]
    DeltaTable(warehouse.uri(THINGS)).optimize.compact()  # maintenance changes no row
    for _ in range(2):  # nor is what the run wrote itself another's
        warehouse.publish_arrow(THINGS, arrow(day(WEEK_BEFORE, 2.0)), {"as_of_date": [WEEK_BEFORE]}, [THINGS])


def test_batches_are_of_the_rows_that_are_asked_for(warehouse):
    publish(warehouse, arrow(day(DAY, 1.0, 2.0, 3.0) + day(WEEK_BEFORE, 1.0)), DAY, WEEK_BEFORE)
    batches = warehouse.read_batches(THINGS, ["thing_id"], where={"as_of_date": [DAY]}, before={"weight": 3})
    assert sorted(value for batch in batches for value in batch["thing_id"].to_pylist()) == ["a", "b"]
    with pytest.raises(JobError, match="has no colour"):
        next(warehouse.read_batches(THINGS, ["colour"]))
