"""Contracts: bad ones are refused, and what is derived from a good one is right."""

from __future__ import annotations

import re

import pytest

from expectations.contract import (
    Column,
    Contract,
    Drift,
    Expectation,
    Freshness,
    Reference,
    RowChange,
    contracts_by_name,
)
from expectations.registry import CONTRACTS

ID = Column("thing_id", "string", "Thing")
WEIGHT = Column("weight", "double", "Weight", nullable=True, minimum=0, maximum=10)


def contract(*columns: Column, **facts: object) -> Contract:
    return Contract(layer="gold", name="things", description="Things.", columns=columns, **facts)


@pytest.mark.parametrize(
    "bad",
    [
        lambda: Column("price", "float", "Price"),
        lambda: contract(ID, ID),
        lambda: contract(ID, key=("other_id",)),
        lambda: contract(ID, partition_by=("day",)),
        lambda: contracts_by_name([contract(ID), contract(WEIGHT)]),
        lambda: contract(ID, drifts=(Drift("weight", 0.25, "why"),)),
        lambda: contract(ID, references=(Reference("weight", contract(ID, key=("thing_id",))),)),
        lambda: contract(ID, references=(Reference("thing_id", contract(ID)),)),
    ],
    ids=["type", "column twice", "key", "partition", "table twice", "drift", "reference", "no key"],
)
def test_bad_contracts_are_refused(bad):
    with pytest.raises(ValueError):
        bad()


def test_derived_schema_and_constraints():
    things = contract(ID, WEIGHT, Column("day_of_week", "int", "Day", minimum=1))
    assert things.path == "gold/things"
    assert things.ddl == "`thing_id` string, `weight` double, `day_of_week` int"
    assert things.constraints() == {
        "weight_minimum": "weight IS NULL OR weight >= 0",
        "weight_maximum": "weight IS NULL OR weight <= 10",
        "day_of_week_minimum": "day_of_week >= 1",
    }


def test_derived_expectations():
    kind = Column("kind", "string", "Kind", allowed=("big", "small"), pattern="^[a-z]+$")
    assert contract(ID, WEIGHT, kind, key=("thing_id", "kind"), min_rows=3).expectations() == [
        Expectation("expect_table_row_count_to_be_between", {"min_value": 3}),
        Expectation("expect_column_values_to_not_be_null", {"column": "thing_id"}),
        Expectation("expect_column_values_to_be_between", {"column": "weight", "min_value": 0, "max_value": 10}),
        Expectation("expect_column_values_to_not_be_null", {"column": "kind"}),
        Expectation("expect_column_values_to_be_in_set", {"column": "kind", "value_set": ["big", "small"]}),
        Expectation("expect_column_values_to_match_regex", {"column": "kind", "regex": "^[a-z]+$"}),
        Expectation("expect_compound_columns_to_be_unique", {"column_list": ["thing_id", "kind"]}),
    ]
    unique = contract(ID, key=("thing_id",)).expectations()[-1]
    assert unique == Expectation("expect_column_values_to_be_unique", {"column": "thing_id"})


def test_derived_gates():
    sold = Column("sold_date", "date", "Day")
    gated = contract(
        ID,
        WEIGHT,
        sold,
        partition_by=("sold_date",),
        references=(Reference("thing_id", contract(ID, key=("thing_id",))),),
        row_change=RowChange(0.5, 1.9, "alike"),
        drifts=(Drift("weight", 0.25, "calm", is_advisory=True),),
        freshness=Freshness("sold_date", 7, "daily"),
    )
    assert (gated.slice_date, contract(ID).slice_date) == ("sold_date", None)
    assert [(gate.kwargs, gate.description, gate.is_advisory) for gate in gated.gates()] == [
        (
            {"column": "thing_id not in gold/things", "max_value": 0},
            "thing_id not in gold/things: at most 0 (every one is listed there).",
            False,
        ),
        (
            {"column": "days from the newest sold_date to the as-of date", "max_value": 7},
            "days from the newest sold_date to the as-of date: at most 7 (daily).",
            False,
        ),
        (
            {"column": "rows for each row before", "min_value": 0.5},
            "rows for each row before: at least 0.5 (alike).",
            False,
        ),
        (
            {"column": "rows for each row before", "max_value": 1.9},
            "rows for each row before: at most 1.9 (alike).",
            False,
        ),
        (
            {"column": "weight drift (PSI)", "max_value": 0.25},
            "weight drift (PSI): at most 0.25 (calm).",
            True,
        ),
    ]


@pytest.mark.parametrize("table", CONTRACTS.values(), ids=CONTRACTS)
def test_every_contract_keeps_the_house_rules(table):
    assert table.layer in ("silver", "gold", "ops")
    assert table.description.endswith(".")
    by_name = {column.name: column for column in table.columns}
    for column in table.columns:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", column.name)
        assert column.description and "|" not in column.description
        assert (column.type == "boolean") == column.name.startswith(("is_", "has_")), column.name
        assert (column.type == "date") == (column.name == "t_dat" or column.name.endswith("_date")), column.name
    for name in (*table.key, *table.partition_by):
        assert not by_name[name].nullable
