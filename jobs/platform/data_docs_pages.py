"""The HTML of Data Docs: results as Great Expectations words them, in pages that need nothing but themselves.

Great Expectations' page template takes style sheets, icons and scripts from the web, which a machine beside a warehouse
often cannot reach, and says passed or failed by icons alone. Here its tables stand in templates of our own
(`data_docs_templates/`), with the style sheet in each page, no script, and words for icons.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from great_expectations.render import RenderedStringTemplateContent
from great_expectations.render.renderer.content_block import ValidationResultsTableContentBlockRenderer
from great_expectations.render.view import DefaultJinjaPageView
from jinja2 import ChoiceLoader, Environment, FileSystemLoader

from expectations.contract import Contract

_TEMPLATES = Path(__file__).with_name("data_docs_templates")

#: Verdicts on a table, the worst first.
_VERDICTS = ("stopped", "warned", "passed")

_TABLE_RULES = "Table"


@dataclass(frozen=True)
class Record:
    """What one page says, in short. Times are UTC, ISO 8601; fields with a default are missing from old records."""

    table: str
    page: str
    job: str
    as_of_date: str
    rules: int
    verdict: str
    said: list[str]
    run_id: str = ""
    time: str = ""
    successful: int = 0
    started: str = ""  # when the job did


@dataclass(frozen=True)
class Run:
    """All pages of one run, and the folder that they are in."""

    folder: str
    records: tuple[Record, ...] = field(default=())

    @property
    def run_id(self) -> str:
        return self.records[0].run_id or self.folder

    @property
    def time(self) -> str:
        """When its last table was checked."""
        return max(record.time for record in self.records)

    @property
    def as_of_dates(self) -> str:
        """Its as-of date; of a run with several (a backtest) the first and the last."""
        dates = sorted({record.as_of_date for record in self.records})
        return dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"

    @property
    def verdict(self) -> str:
        """The worst of its tables."""
        return min((record.verdict for record in self.records), key=_VERDICTS.index)

    @property
    def counts(self) -> str:
        """How many tables have which verdict, in words."""
        counts = Counter(record.verdict for record in self.records)
        return ", ".join(f"{counts[verdict]:,} {verdict}" for verdict in reversed(_VERDICTS) if counts[verdict])

    @property
    def others(self) -> list[Record]:
        """Tables that did not simply pass."""
        return [record for record in self.records if record.verdict != "passed"]

    def to_json(self) -> str:
        return json.dumps([asdict(record) for record in self.records], indent=1)

    @classmethod
    def from_json(cls, folder: str, text: str) -> Run:
        return cls(folder, tuple(Record(**record) for record in json.loads(text)))

    @staticmethod
    def newest_first(runs: Iterable[Run]) -> list[Run]:
        return sorted(runs, key=lambda run: (run.time, run.folder), reverse=True)


def write_index(runs: Sequence[Run]) -> str:
    """The page of all runs, newest first, and of the newest result of each table."""
    newest: dict[str, tuple[Run, Record]] = {}
    for run in runs:
        for record in run.records:
            if record.table not in newest or newest[record.table][1].time < record.time:
                newest[record.table] = (run, record)
    return _render("index.html", runs=runs, tables=[newest[table] for table in sorted(newest)])


def write_run(run: Run) -> str:
    """The page of one run: a line for each table."""
    return _render("run.html", run=run)


def write_table(runs: Sequence[Run], table: str) -> str:
    """The page of one table: a line for each run, the newest as-of date first."""
    found = [(run, record) for run in runs for record in run.records if record.table == table]
    return _render("table.html", table=table, pages=sorted(found, key=_as_of, reverse=True))


def history(runs: Iterable[Run], page: str) -> list[tuple[Run, Record]]:
    """The pages of one table and task, by as-of date and run."""
    return sorted(((run, record) for run in runs for record in run.records if record.page == page), key=_as_of)


def _as_of(page: tuple[Run, Record]) -> tuple[str, str, str]:
    run, record = page
    return record.as_of_date, run.folder, record.page


def with_neighbours(page: str, ordered: Sequence[tuple[Run, Record]], at: int) -> str:
    """The page with links to those before and after it in its history.

    Args:
        page: by `write_validation`, with or without links.
        ordered: its `history`.
        at: its place there.
    """
    links = []
    for beside, words, rel in ((at - 1, "Previous", "prev"), (at + 1, "Next", "next")):
        if 0 <= beside < len(ordered):
            run, record = ordered[beside]
            name, said = escape(run.run_id), escape(record.as_of_date or run.run_id)
            links.append(f'<a rel="{rel}" href="../{run.folder}/{record.page}" title="{name}">{words}: {said}</a>')
    marks = r"(<!--neighbours-->).*?(<!--/neighbours-->)"
    return re.sub(marks, lambda found: found[1] + " ".join(links) + found[2], page, count=1, flags=re.DOTALL)


def write_validation(contract: Contract, results: Sequence[Any], record: Record) -> str:
    """The page of one table of one run: each expectation, what was observed, and examples of what broke it.

    Args:
        contract: the table.
        results: Great Expectations' ExpectationValidationResult of each rule and gate.
        record: the same in short.
    """
    grouped: dict[str, list[Any]] = {_TABLE_RULES: []} | {column.name: [] for column in contract.columns}
    for result in results:  # gates come by the name of their measure, which is no column: after the columns
        grouped.setdefault(result.expectation_config.kwargs.get("column", _TABLE_RULES), []).append(result)
    columns = {column.name: column for column in contract.columns}
    sections = [
        {
            "name": name,
            "column": columns.get(name),
            "failed": sum(not result.success for result in some),
            "table": _results_table(some),
        }
        for name, some in grouped.items()
        if some
    ]
    return _render("validation.html", contract=contract, record=record, sections=sections)


def _results_table(results: list[Any]) -> dict[str, Any]:
    table = _ResultsTable.render(results, include_column_name=False)
    assert table is not None, "there is a row for each result"
    return table.to_json_dict()


class _ResultsTable(ValidationResultsTableContentBlockRenderer):
    """Great Expectations' table of a column's results, with words for icons and the counts that were taken."""

    @classmethod
    def _get_content_block_fn(cls, expectation_type: str, expectation_config: Any = None) -> Any:
        rows_of = super()._get_content_block_fn(expectation_type, expectation_config)
        assert rows_of is not None, "the library has one for every expectation"

        def rows(result: Any = None, **kwargs: Any) -> list[list[Any]]:
            return [
                [_status(result), _plain(_without_statement(expectation)), observed(result)]
                for _, expectation, *_ in rows_of(result=result, **kwargs)
            ]

        return rows


def _status(result: Any) -> RenderedStringTemplateContent:
    if result.success:
        words, style = "✓ passed", "passed"
    elif result.expectation_config.severity == "warning":
        words, style = "! warning", "warned"
    else:
        words, style = "✗ failed", "stopped"
    styling = {"params": {"status": {"classes": ["status", style]}}}
    return RenderedStringTemplateContent(
        string_template={"template": "$status", "params": {"status": words}, "styling": styling}
    )


def _without_statement(cell: Any) -> Any:
    """An expectation without how often it was broken: `observed` says that, and of values, not of rows with nulls."""
    if not isinstance(cell, list):
        return cell
    return [
        part for part in cell if "$unexpected_count" not in getattr(part, "string_template", {}).get("template", "")
    ]


def _plain(cell: Any) -> Any:
    """An expectation with whole numbers as such: Great Expectations makes every limit a float, 0.0 for 0."""
    for part in cell if isinstance(cell, list) else [cell]:
        params = getattr(part, "string_template", {}).get("params", {})
        params |= {k: int(v) for k, v in params.items() if isinstance(v, float) and v.is_integer()}
    return cell


def observed(result: Any) -> str:
    """What an expectation found: a number, or how many values broke it."""
    outcome = result.result
    if (count := outcome.get("unexpected_count")) is None:
        return _number(outcome.get("observed_value"))
    nulls = outcome.get("missing_count") or 0
    if result.expectation_config.type == "expect_column_values_to_not_be_null":
        return f"{count:,} of {outcome['element_count']:,} null ({_percent(count, outcome['element_count'])})"
    values = outcome["element_count"] - nulls
    said = f"{count:,} of {values:,} unexpected ({_percent(count, values)})"
    return said + (f"; {nulls:,} null" if nulls else "")


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if value.is_integer() else f"{value:.4g}"
    return "nothing" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def _percent(count: int, of: int) -> str:
    share = 100 * count / max(of, 1)
    if 0 < share < 0.01:
        return "< 0.01%"
    return f"{share:.2f}".rstrip("0").rstrip(".") + "%"


def _render(template: str, **values: Any) -> str:
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    """Great Expectations' templates and filters, behind our own templates."""
    environment: Environment = DefaultJinjaPageView().env
    assert environment.loader is not None
    environment.loader = ChoiceLoader([FileSystemLoader(_TEMPLATES), environment.loader])
    environment.trim_blocks = environment.lstrip_blocks = True
    environment.filters["when"] = lambda time: time[:16].replace("T", " ")
    return environment
