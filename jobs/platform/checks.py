"""Great Expectations: a contract's rules on Spark, Arrow or measured data, and what each broken rule says."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # a check must never call home

import great_expectations as gx
import pandas as pd
import pyarrow as pa
from great_expectations.data_context.types.base import ProgressBarsConfig

from expectations.contract import Contract, Expectation
from jobs.platform.errors import ContractError
from jobs.platform.measures import all_distinct

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Sets its own level at import, to tell of each temporary folder.
logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)

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


def check_rows(contract: Contract, data: DataFrame | pa.Table) -> list[Result]:
    """The result of every rule on the rows alone; a failed one has its count and examples.

    Args:
        contract: the table's contract.
        data: a Spark DataFrame (stored or persisted: several passes) or an Arrow table.

    Raises:
        ContractError: the columns are not the contract's, in its order.
    """
    columns = data.column_names if isinstance(data, pa.Table) else data.columns
    if list(columns) != contract.column_names:
        raise ContractError(
            f"{contract.path}: nothing published; columns are {list(columns)}, not {contract.column_names}"
        )
    if isinstance(data, pa.Table):
        # Vectors have no column rules and would only be copied into Python objects.
        names = [c.name for c in contract.columns if not c.type.startswith("array")]
        batch = _batch(contract.path, data.select(names).to_pandas(date_as_object=True))
        suite = _suite(contract.path, contract.expectations())
    else:
        batch = _batch(contract.path, data)
        # Great Expectations finds repeated keys by sorting all rows: it is asked only where their hashes repeat.
        is_unique = all_distinct(data, contract)
        rules = [rule for rule in contract.expectations() if not (is_unique and rule.is_uniqueness)]
        suite = _suite(contract.path, rules)
    # Verdicts first: they share one pass over the data. Examples cost a pass per rule, so only a failure pays for them.
    verdicts = batch.validate(suite, result_format="BOOLEAN_ONLY")
    if not verdicts.success:
        verdicts = batch.validate(suite, result_format="BASIC")
    return list(verdicts.results)


def check_measures(contract: Contract, measures: Sequence[Mapping[str, Any]]) -> list[Result]:
    """The result of every gate on the measures, one row per slice; an absent or empty measure passes."""
    gates = contract.gates()
    if not gates:
        return []
    frame = pd.DataFrame(measures, columns=["slice", *(str(gate.kwargs["column"]) for gate in gates)])
    numbers = frame.drop(columns="slice").astype(float)
    batch = _batch(f"{contract.path} by slice", pd.concat([frame[["slice"]], numbers], axis=1))
    return list(batch.validate(_suite(contract.path, gates), result_format="BASIC").results)


def check(contract: Contract, data: DataFrame | pa.Table) -> None:
    """Raise ContractError, naming every broken rule, unless the rows alone keep their contract."""
    if failures := [failure(result) for result in check_rows(contract, data) if not result.success]:
        raise ContractError(f"{contract.path}: nothing published; " + "; ".join(failures))


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
