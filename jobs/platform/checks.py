"""Great Expectations: a contract's rules on rows (Spark or Arrow) or on measures, and what each broken rule says."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # a check must never call home

import great_expectations as gx
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from great_expectations.data_context.types.base import ProgressBarsConfig

from expectations.contract import GREATEST, Contract, Expectation
from jobs.platform.errors import ContractError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Sets its own level at import, to tell of each temporary folder.
logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)

#: Great Expectations keeps its context in the process: jobs that share one, as in a benchmark, take turns.
_ONE_AT_A_TIME = Lock()

#: Examples that a broken rule shows.
EXAMPLES = 3

#: A rule's result, great_expectations' ExpectationValidationResult.
Result = Any


def check_rows(contract: Contract, rows: pa.Table | DataFrame) -> list[Result]:
    """The result of every rule on the rows: how many there are, how many break it, and examples of those.

    On Spark all counts are taken in shared passes; examples cost a pass for each rule, so only broken rules are asked
    for them, in a second look.

    Args:
        contract: the table's.
        rows: stored rows (several passes), or an Arrow table.

    Raises:
        ContractError: the columns are not the contract's, in its order.
    """
    names = rows.column_names if isinstance(rows, pa.Table) else rows.columns
    if names != contract.column_names:
        raise ContractError(f"{contract.path}: nothing published; columns are {names}, not {contract.column_names}")
    # Vectors have no column rules and would only be copied into Python objects.
    rows = rows.select([column.name for column in contract.columns if not column.type.startswith("array")])
    rules = contract.expectations()
    if isinstance(rows, pa.Table):
        return _results(contract, rows.to_pandas(date_as_object=True), rules, examples=EXAMPLES)
    # Great Expectations would sort all rows by their key to find one twice: that is measured instead (measures.py).
    results = _results(contract, rows, [rule for rule in rules if not rule.is_uniqueness], examples=0)
    broken = [_rule(result) for result in results if not result.success]
    shown = _results(contract, rows, broken, examples=EXAMPLES) if broken else []
    return [result for result in results if result.success] + shown


def not_finite(contract: Contract, rows: pa.Table | DataFrame) -> list[str]:
    """Columns with numbers that no double may be (expectations.contract.GREATEST), as far as check_rows sees none.

    Those are arrays and, in memory, where the library takes NaN for a missing value, doubles.
    """
    if isinstance(rows, pa.Table):
        columns = [c.name for c in contract.columns if c.type == "double" or c.type.startswith("array")]
        found = {name: _beyond(rows[name]) for name in columns}
    else:
        from pyspark.sql import functions as F

        arrays = {c.name: "x.share" if "struct" in c.type else "x" for c in contract.columns if c.type[:5] == "array"}
        if not arrays:
            return []
        beyond = {name: f"exists({name}, x -> NOT abs({of_x}) <= {GREATEST})" for name, of_x in arrays.items()}
        counts = rows.agg(*(F.count_if(F.expr(rule)).alias(name) for name, rule in beyond.items())).first()
        found = dict(zip(arrays, counts or (), strict=True))
    words = f"that are not finite, or beyond {GREATEST:g}"
    return [f"{name}: numbers {words}, in {count:,} rows" for name, count in found.items() if count]


def _beyond(column: pa.ChunkedArray) -> int:
    """Rows with such numbers."""
    count = 0
    for chunk in column.chunks:
        values, row = chunk, None
        if pa.types.is_list(chunk.type):
            values, row = chunk.flatten(), pc.list_parent_indices(chunk).to_numpy()
        if pa.types.is_struct(values.type):
            values = values.field("share")
        is_beyond = ~(np.abs(values.fill_null(0).to_numpy(zero_copy_only=False)) <= GREATEST)
        count += int(is_beyond.sum()) if row is None else len(np.unique(row[is_beyond]))
    return count


def check_measures(contract: Contract, measures: Sequence[Mapping[str, Any]]) -> list[Result]:
    """The result of every gate on the measures, one row per slice; an absent or empty measure passes."""
    gates = contract.gates()
    if not gates:
        return []
    frame = pd.DataFrame(measures, columns=["slice", *dict.fromkeys(str(gate.kwargs["column"]) for gate in gates)])
    numbers = frame.drop(columns="slice").astype(float)
    with_value = [gate for gate in gates if numbers[gate.kwargs["column"]].notna().any()]
    results = _results(contract, numbers, with_value, examples=EXAMPLES)
    for result in results:  # numpy's floats have another text, which the pages cannot show
        result.result["observed_value"] = float(result.result["observed_value"])
    return results


def _results(contract: Contract, frame: pd.DataFrame | DataFrame, rules: list[Expectation], examples: int) -> list[Any]:
    """The rules' results, in their order; with up to so many examples of values that break each."""
    wanted = {"result_format": "BASIC", "partial_unexpected_count": examples}
    with _ONE_AT_A_TIME:
        return list(_batch(contract.path, frame).validate(_suite(contract.path, rules), result_format=wanted).results)


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


def _rule(result: Result) -> Expectation:
    config = result.expectation_config
    kwargs = {name: value for name, value in config.kwargs.items() if name != "batch_id"}
    return Expectation(config.type, kwargs, config.description, config.severity == "warning")


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
    examples = ", ".join(str(value) for value in outcome.get("partial_unexpected_list", [])[:EXAMPLES])
    return f"{where}: {config.type} {limits or ''} fails on {outcome['unexpected_count']:,} rows, such as {examples}"
