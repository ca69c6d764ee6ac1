"""The audit before every publish: a contract's expectations, run by Great Expectations on Spark or pandas data."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # a check must never call home

import great_expectations as gx
import pyarrow as pa
from great_expectations.data_context.types.base import ProgressBarsConfig

from expectations.contract import Contract
from jobs.platform.errors import ContractError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Sets its own level at import, to tell of each temporary folder.
logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)


def _suite(contract: Contract) -> gx.ExpectationSuite:
    suite = gx.ExpectationSuite(name=contract.name)
    for rule in contract.expectations():
        name = "".join(part.capitalize() for part in rule.type.split("_"))
        suite.add_expectation(getattr(gx.expectations, name)(**rule.kwargs))
    return suite


def _failure(result: Any) -> str:
    """One failed expectation in words: the rule, on how many rows, with examples."""
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


def check(contract: Contract, data: DataFrame | pa.Table) -> None:
    """Raise ContractError, naming every broken rule, unless `data` keeps its contract.

    Args:
        contract: the table's contract.
        data: a Spark DataFrame (persist it: several passes) or an Arrow table.
    """
    columns = data.column_names if isinstance(data, pa.Table) else data.columns
    if list(columns) != contract.column_names:
        raise ContractError(
            f"{contract.path}: nothing published; columns are {list(columns)}, not {contract.column_names}"
        )
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    if isinstance(data, pa.Table):
        # Vectors have no column rules and would only be copied into Python objects.
        rules = [c.name for c in contract.columns if not c.type.startswith("array")]
        source: Any = context.data_sources.add_pandas(name="publish")
        frame: Any = data.select(rules).to_pandas(date_as_object=True)
    else:
        # Great Expectations would cache the whole table first; staged files are read by column, many times as fast.
        source, frame = context.data_sources.add_spark(name="publish", persist=False), data
    asset = source.add_dataframe_asset(name=contract.name)
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch(batch_parameters={"dataframe": frame})
    suite = _suite(contract)
    # Verdicts first: they share one pass over the data. Examples cost a pass per rule, so only a failure pays for them.
    if batch.validate(suite, result_format="BOOLEAN_ONLY").success:
        return
    report = batch.validate(suite, result_format="BASIC")
    failures = [_failure(result) for result in report.results if not result.success]
    raise ContractError(f"{contract.path}: nothing published; " + "; ".join(failures))
