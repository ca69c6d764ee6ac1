"""The audit: every kind of rule, broken on purpose, is named with its count and examples, in both engines."""

from __future__ import annotations

from dataclasses import replace

import pytest

from expectations.contract import Drift, RowChange
from jobs.platform.checks import check_measures, check_rows
from jobs.platform.errors import ContractError
from tests.jobs.platform.checked import check
from tests.jobs.platform.things import DAY, THINGS, WEEK_BEFORE, arrow, day, frame

ENGINES = pytest.mark.parametrize("engine", ["spark", "arrow"])
RULES = {
    "not null": ((DAY, "f", None, 1.0), r"kind: expect_column_values_to_not_be_null .*fails on 1 rows"),
    "between": ((DAY, "f", "big", -3.5), r"weight: expect_column_values_to_be_between .*fails on 1 rows, such as -3.5"),
    "in set": ((DAY, "f", "huge", 1.0), r"kind: expect_column_values_to_be_in_set .*fails on 1 rows, such as huge"),
    "regex": ((DAY, "F1", "big", 1.0), r"thing_id: expect_column_values_to_match_regex .*fails on 1 rows, such as F1"),
}


@ENGINES
def test_good_rows_pass(spark, engine):
    check(THINGS, frame(engine, day(DAY, 0.0, 10.0, None) + day(WEEK_BEFORE, 1.0), spark))


@ENGINES
@pytest.mark.parametrize("rule", RULES)
def test_a_broken_rule_is_named_with_count_and_examples(spark, engine, rule):
    row, words = RULES[rule]
    with pytest.raises(ContractError, match=words) as caught:
        check(THINGS, frame(engine, [*day(DAY, 1.0, 2.0, None), row], spark))
    assert str(caught.value).count("expect_") == 1, "only the broken rule is reported"
    assert "\n" not in str(caught.value)


def test_a_repeated_key_is_named():
    """Of rows in Spark this is measured (test_measures)."""
    with pytest.raises(ContractError, match=r"as_of_date, thing_id: expect_compound_columns_to_be_unique .* 2 rows"):
        check(THINGS, arrow([*day(DAY, 1.0, 2.0), (DAY, "b", "big", 1.0)]))


@ENGINES
def test_all_broken_rules_are_reported_at_once(spark, engine):
    rows = [*day(DAY, 1.0), (DAY, "F1", "huge", 99.0)]
    with pytest.raises(ContractError) as caught:
        check(THINGS, frame(engine, rows, spark))
    assert str(caught.value).count("expect_") == 3


def test_columns_must_be_the_contracts_in_order():
    rows = arrow(day(DAY, 1.0)).select(THINGS.column_names[::-1])
    with pytest.raises(ContractError, match="nothing published; columns are"):
        check(THINGS, rows)


@ENGINES
def test_every_rule_says_what_it_counted(spark, engine):
    """The pages show these: not "unknown" and "--"."""
    results = check_rows(THINGS, frame(engine, [*day(DAY, 1.0, 2.0), (DAY, "f", "huge", 99.0)], spark))
    by_rule = {(r.expectation_config.type, r.expectation_config.kwargs.get("column")): r.result for r in results}
    assert by_rule["expect_table_row_count_to_be_between", None]["observed_value"] == 3
    weight = by_rule["expect_column_values_to_be_between", "weight"]
    assert (weight["element_count"], weight["unexpected_count"]) == (3, 1)
    assert weight["unexpected_percent"] == pytest.approx(100 / 3)
    assert weight["partial_unexpected_list"] == [99.0]
    assert by_rule["expect_column_values_to_not_be_null", "kind"]["unexpected_count"] == 0


def test_gates_tell_their_measure():
    contract = replace(THINGS, row_change=RowChange(0.5, 2, "as many"), drifts=(Drift("weight", 0.25, "calm"),))
    rows = [{"slice": "a", RowChange.measure: 0.9}, {"slice": "b", RowChange.measure: 2.5}]
    least, most = check_measures(contract, rows)
    assert (least.result["observed_value"], least.success) == (0.9, True)
    assert (most.result["observed_value"], most.success) == (2.5, False)
