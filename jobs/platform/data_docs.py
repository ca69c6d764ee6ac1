"""Data Docs: one browsable site per run, `<warehouse>/data_docs/<run>/index.html`, a page for each checked table.

The tasks of a run are processes of their own. Each renders the pages of its own tables with Great Expectations'
renderer (50 ms; its site builder would read and render the whole run again), puts the verdict beside it, and lists all
verdicts of the run anew. A rerun of a task replaces its pages.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from great_expectations.core.expectation_validation_result import ExpectationSuiteValidationResult
from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
from great_expectations.render.view import DefaultJinjaPageView

from expectations.contract import Contract

_LOG = logging.getLogger(__name__)
_INDEX = """<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Data Docs: {run}</title>
<style>body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 60em; padding: 0 1em }}
td, th {{ padding: .3em 1em .3em 0; text-align: left; vertical-align: top }} .stopped {{ color: #b00020 }}
.warned {{ color: #8a5a00 }} .passed {{ color: #1b6e35 }}</style>
<h1>{run}</h1><p>What stood between this run's rows and their tables, one page for each table.</p>
<table><tr><th>verdict<th>table<th>task<th>as of<th>rules<th>said</tr>
{rows}
</table></html>
"""


def site(root: str, run_id: str) -> Path | None:
    """Folder of a run's site; None where the warehouse is no local folder."""
    if "://" in root:
        return None
    name = re.sub(r"[^A-Za-z0-9._-]", "_", run_id).lstrip(".") or "_"
    if name != run_id:  # two run ids are never one folder
        name += "-" + hashlib.sha256(run_id.encode()).hexdigest()[:8]
    return Path(root) / "data_docs" / name


def write_page(
    root: str, stamp: Mapping[str, str], contract: Contract, results: Sequence[Any], verdict: str, said: Sequence[str]
) -> None:
    """Add a table's results to the site of its run, or replace them.

    Args:
        root: the warehouse.
        stamp: run_id, job and as_of_date of the run, as far as known.
        contract: the table.
        results: what Great Expectations found, rule by rule.
        verdict: passed, warned or stopped.
        said: the failures and warnings in words.
    """
    run_id, job = stamp.get("run_id", "manual"), stamp.get("job", "manual")
    folder = site(root, run_id)
    if folder is None:
        _LOG.info("%s: no Data Docs, they are kept in local warehouses only", contract.path)
        return
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{contract.layer}.{contract.name}.{job}"  # quarantine has one page for each task that fills it
    page = _page(contract, results, stamp)
    facts = {
        "table": contract.path,
        "page": f"{name}.html",
        "job": job,
        "as_of_date": stamp.get("as_of_date", ""),
        "rules": len(results),
        "verdict": verdict,
        "said": list(said),
    }
    with open(folder / ".lock", "w") as lock:  # tasks of one run at once: the last one lists all
        fcntl.flock(lock, fcntl.LOCK_EX)
        _replace(folder / f"{name}.html", page)
        _replace(folder / f"{name}.json", json.dumps(facts, indent=1))
        _replace(folder / "index.html", _index(folder, run_id))


def _page(contract: Contract, results: Sequence[Any], stamp: Mapping[str, str]) -> str:
    passed = sum(bool(result.success) for result in results)
    report = ExpectationSuiteValidationResult(
        success=passed == len(results),
        results=list(results),
        suite_name=contract.path,
        statistics={
            "evaluated_expectations": len(results),
            "successful_expectations": passed,
            "unsuccessful_expectations": len(results) - passed,
            "success_percent": 100 * passed / max(len(results), 1),
        },
        meta={"batch_spec": dict(stamp)},
    )
    document = ValidationResultsPageRenderer(run_info_at_end=True).render(report)
    return DefaultJinjaPageView().render(document, show_how_to_buttons=False)


def _index(folder: Path, run_id: str) -> str:
    pages = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    rows = [
        f'<tr><td class="{page["verdict"]}">{page["verdict"]}<td><a href="{escape(page["page"])}">{page["table"]}</a>'
        f"<td>{escape(page['job'])}<td>{escape(page['as_of_date'])}<td>{page['rules']}"
        f"<td>{'<br>'.join(escape(words) for words in page['said'])}</tr>"
        for page in pages
    ]
    return _INDEX.format(run=escape(run_id), rows="\n".join(rows))


def _replace(path: Path, text: str) -> None:
    """Write in one step: a reader sees the old file or the new one."""
    draft = path.with_name(f".{path.name}")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, path)
