"""Data Docs: one browsable site per run, `<warehouse>/data_docs/<run>/index.html`, a page for each checked table.

The tasks of a run are processes of their own. Each renders the pages of its own tables with Great Expectations'
renderer (50 ms; its site builder would read and render the whole run again), puts the verdict beside it, and lists all
verdicts of the run anew. A rerun of a task replaces its pages.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import uuid
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import pyarrow.fs as pafs
from great_expectations.core.expectation_validation_result import ExpectationSuiteValidationResult
from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
from great_expectations.render.view import DefaultJinjaPageView

from expectations.contract import Contract
from jobs.platform import storage

_INDEX = """<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Data Docs: {run}</title>
<style>body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 60em; padding: 0 1em }}
td, th {{ padding: .3em 1em .3em 0; text-align: left; vertical-align: top }} .stopped {{ color: #b00020 }}
.warned {{ color: #8a5a00 }} .passed {{ color: #1b6e35 }}</style>
<h1>{run}</h1><p>What stood between this run's rows and their tables, one page for each table.</p>
<table><tr><th>verdict<th>table<th>task<th>as of<th>rules<th>said</tr>
{rows}
</table></html>
"""


def site(root: str, run_id: str) -> str:
    """Folder (or URI) of a run's site."""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", run_id).lstrip(".") or "_"
    if name != run_id:  # two run ids are never one folder
        name += "-" + hashlib.sha256(run_id.encode()).hexdigest()[:8]
    return f"{root}/data_docs/{name}"


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
    filesystem, folder = storage.filesystem(site(root, run_id))
    filesystem.create_dir(folder)
    name = f"{contract.layer}.{contract.name}.{job}"  # quarantine has one page for each task that fills it
    facts = {
        "table": contract.path,
        "page": f"{name}.html",
        "job": job,
        "as_of_date": stamp.get("as_of_date", ""),
        "rules": len(results),
        "verdict": verdict,
        "said": list(said),
    }
    _write(filesystem, f"{folder}/{name}.html", _page(contract, results, stamp))
    _write(filesystem, f"{folder}/{name}.json", json.dumps(facts, indent=1))
    listed = None
    while listed != (there := _pages(filesystem, folder)):  # tasks of one run at once: the last one lists all
        _write(filesystem, f"{folder}/index.html", _index(filesystem, there, run_id))
        listed = there


def _pages(filesystem: pafs.FileSystem, folder: str) -> list[str]:
    """The records of all pages so far."""
    found = filesystem.get_file_info(pafs.FileSelector(folder))
    return sorted(info.path for info in found if info.extension == "json" and not info.base_name.startswith("."))


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


def _index(filesystem: pafs.FileSystem, records: Sequence[str], run_id: str) -> str:
    pages = []
    for path in records:
        with filesystem.open_input_stream(path) as stream:
            pages.append(json.loads(stream.read()))
    rows = [
        f'<tr><td class="{page["verdict"]}">{page["verdict"]}<td><a href="{escape(page["page"])}">{page["table"]}</a>'
        f"<td>{escape(page['job'])}<td>{escape(page['as_of_date'])}<td>{page['rules']}"
        f"<td>{'<br>'.join(escape(words) for words in page['said'])}</tr>"
        for page in pages
    ]
    return _INDEX.format(run=escape(run_id), rows="\n".join(rows))


def _write(filesystem: pafs.FileSystem, path: str, text: str) -> None:
    """Write in one step: a reader sees the old file or the new one. (An object is put in one step anyway.)"""
    folder, _, name = path.rpartition("/")
    is_local = isinstance(filesystem, pafs.LocalFileSystem)
    draft = f"{folder}/.{name}.{uuid.uuid4()}" if is_local else path
    with filesystem.open_output_stream(draft) as stream:
        stream.write(text.encode())
    if is_local:
        os.replace(draft, path)
