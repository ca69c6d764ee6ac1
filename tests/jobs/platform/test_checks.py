"""The audit: every kind of rule, broken on purpose, is named with its count and examples, in both engines."""

from __future__ import annotations

import subprocess
import sys

import pytest

from jobs.platform.errors import ContractError
from tests.jobs.platform.checked import check
from tests.jobs.platform.things import DAY, THINGS, WEEK_BEFORE, arrow, day, frame

ENGINES = pytest.mark.parametrize("engine", ["spark", "arrow"])
RULES = {
    "not null": ((DAY, "f", None, 1.0), r"kind: expect_column_values_to_not_be_null .*fails on 1 rows"),
    "between": ((DAY, "f", "big", -3.5), r"weight: expect_column_values_to_be_between .*fails on 1 rows, such as -3.5"),
    "in set": ((DAY, "f", "huge", 1.0), r"kind: expect_column_values_to_be_in_set .*fails on 1 rows, such as huge"),
    "regex": ((DAY, "F1", "big", 1.0), r"thing_id: expect_column_values_to_match_regex .*fails on 1 rows, such as F1"),
    "key": ((DAY, "b", "big", 1.0), r"as_of_date, thing_id: expect_compound_columns_to_be_unique .*fails on 2 rows"),
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


def test_what_no_contract_needs_is_loaded_when_it_is_used():
    script = (
        "import sys; import jobs.platform.checks\n"
        "early = {'altair.vegalite', 'scipy.stats._stats_py', 'scipy.sparse._base'} & set(sys.modules)\n"
        "import great_expectations.expectations.core.expect_column_kl_divergence_to_be_less_than as theirs\n"
        "import altair.vegalite.v6.theme, scipy.sparse.linalg\n"
        "from scipy import sparse, stats\n"
        "print(early, theirs.alt.Chart is altair.Chart, altair.vegalite.v6.theme.__name__)\n"
        "print(theirs.stats.norm.cdf(0), stats.norm.cdf(0), scipy.sparse.eye(3).sum(), sparse.linalg.svds.__name__)\n"
    )
    done = subprocess.run([sys.executable, "-"], input=script, capture_output=True, text=True, check=False)
    assert done.stdout == "set() True altair.vegalite.v6.theme\n0.5 0.5 3.0 svds\n", done.stderr
