"""Great Expectations: a contract's rules on Spark, Arrow or measured data, and what each broken rule says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from expectations.contract import Contract, Expectation
from jobs.platform.errors import ContractError
from jobs.platform.extremes import Extremes
from jobs.platform.lean_gx import ProgressBarsConfig, gx
from jobs.platform.measures import all_distinct

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: Great Expectations keeps its context in the process: jobs that share one, as in a benchmark, take turns.
_ONE_AT_A_TIME = Lock()

#: A rule's result, great_expectations' ExpectationValidationResult.
Result = Any


def _suite(name: str, rules: Iterable[Expectation]) -> gx.ExpectationSuite:
    suite = gx.ExpectationSuite(name=name)
    for rule in rules:
        kind = getattr(gx.expectations, "".join(part.capitalize() for part in rule.type.split("_")))
        severity = "warning" if rule.is_advisory else "critical"
        suite.add_expectation(kind(**rule.kwargs, description=rule.description, severity=severity))
    return suite


def _batch(name: str, frame: pd.DataFrame | DataFrame) -> Any:
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    source: Any
    if isinstance(frame, pd.DataFrame):
        source = context.data_sources.add_pandas(name="publish")
    else:
        # Great Expectations would cache the whole table first; staged files are read by column, many times as fast.
        source = context.data_sources.add_spark(name="publish", persist=False)
    asset = source.add_dataframe_asset(name=name)
    return asset.add_batch_definition_whole_dataframe("all").get_batch(batch_parameters={"dataframe": frame})


def check_rows(contract: Contract, rows: pa.Table) -> list[Result]:
    """The result of every rule on the rows alone; a failed one has its count and examples.

    Raises:
        ContractError: the columns are not the contract's, in its order.
    """
    if rows.column_names != contract.column_names:
        raise ContractError(
            f"{contract.path}: nothing published; columns are {rows.column_names}, not {contract.column_names}"
        )
    return check_files(contract, Extremes.of_table(rows), all_distinct(rows, contract), lambda: rows)


def check_files(
    contract: Contract, extremes: Extremes, is_unique: bool, read: Callable[[], DataFrame | pa.Table]
) -> list[Result]:
    """As check_rows, of rows that are only read for rules that what is known of them cannot prove.

    Only when some rule is broken are all rules asked of all rows.

    Args:
        contract: the table's contract.
        extremes: of the rows.
        is_unique: no key comes twice; False: one may.
        read: gives the rows (stored or persisted: several passes).
    """
    results, asked = _proven(contract, extremes, is_unique)
    if asked and all(result.success for result in results):
        names = sorted({name for rule in asked for name in rule.columns}, key=contract.column_names.index)
        results += _verdicts(contract, _frame(read(), names or contract.column_names[:1]), asked, "BOOLEAN_ONLY")
    if all(result.success for result in results):
        return results
    # Vectors have no column rules and would only be copied into Python objects.
    names = [c.name for c in contract.columns if not c.type.startswith("array")]
    return _verdicts(contract, _frame(read(), names), contract.expectations(), "BASIC")


def _proven(contract: Contract, extremes: Extremes, is_unique: bool) -> tuple[list[Result], list[Expectation]]:
    """Results of the rules on which the extremes or the keys have the last word, and the other rules."""
    of_extremes, of_count, asked = list[Expectation](), list[Expectation](), list[Expectation]()
    for rule in contract.expectations():
        if rule.type == "expect_table_row_count_to_be_between":
            of_count.append(rule)
        elif extremes.speaks_of(rule):
            of_extremes.append(rule)
        elif not (is_unique and rule.is_uniqueness):
            asked.append(rule)
    # Great Expectations hashes every row of a frame: one more than the limits tells as much as all of them.
    limits = [rule.kwargs.get(limit) or 0 for rule in of_count for limit in ("min_value", "max_value")]
    count = pd.DataFrame(index=pd.RangeIndex(min(extremes.rows, max(limits, default=0) + 1)))
    results = _verdicts(contract, count, of_count, "BOOLEAN_ONLY")
    if extremes.rows:
        results += _verdicts(contract, extremes.frame(contract), of_extremes, "BOOLEAN_ONLY")
    return results, asked


def _frame(data: DataFrame | pa.Table, columns: list[str]) -> pd.DataFrame | DataFrame:
    selected = data.select(columns)
    return selected.to_pandas(date_as_object=True) if isinstance(selected, pa.Table) else selected


def _verdicts(
    contract: Contract, frame: pd.DataFrame | DataFrame, rules: list[Expectation], detail: str
) -> list[Result]:
    """Verdicts share one pass over the data; examples cost a pass per rule, so only a failure pays for them."""
    with _ONE_AT_A_TIME:
        return list(_batch(contract.path, frame).validate(_suite(contract.path, rules), result_format=detail).results)


def check_measures(contract: Contract, measures: Sequence[Mapping[str, Any]]) -> list[Result]:
    """The result of every gate on the measures, one row per slice; an absent or empty measure passes."""
    gates = contract.gates()
    if not gates:
        return []
    frame = pd.DataFrame(measures, columns=["slice", *(str(gate.kwargs["column"]) for gate in gates)])
    numbers = frame.drop(columns="slice").astype(float)
    return _verdicts(contract, pd.concat([frame[["slice"]], numbers], axis=1), gates, "BASIC")


def failure(result: Result) -> str:
    """One failed expectation on rows in words: the rule, on how many rows, with examples."""
    config, outcome = result.expectation_config, result.result
    # A compound rule names the columns only: its unexpected values are whole rows.
    where = config.kwargs.get("column") or ", ".join(config.kwargs.get("column_list", ())) or "table"
    limits = {
        k: v for k, v in config.kwargs.items() if k not in ("column", "column_list", "batch_id") and v is not None
    }
    if result.exception_info and result.exception_info.get("exception_message"):
        return f"{where}: {config.type} could not run: {result.exception_info['exception_message']}"
    if "unexpected_count" not in outcome:
        return f"{where}: {config.type} {limits}, found {outcome.get('observed_value')}"
    examples = ", ".join(str(value) for value in outcome.get("partial_unexpected_list", [])[:3])
    return f"{where}: {config.type} {limits or ''} fails on {outcome['unexpected_count']:,} rows, such as {examples}"
