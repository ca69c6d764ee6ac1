"""Writes dags/jobs.json: what the DAGs know of the jobs without importing them; `--check` fails when it is out of date.

{"settings": {name: JSON schema, as a field of Airflow's trigger form},
 "jobs": {"ingest.articles": {"settings": names, "files": delivered, "reads": tables, "writes": tables}}}
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from expectations.contract import Contract
from jobs.platform.settings import COMMON, Settings

JOBS = Path(__file__).resolve().parents[1]
PAGE = JOBS.parent / "dags" / "jobs.json"


def form_field(schema: dict[str, Any]) -> dict[str, Any]:
    """A setting's JSON schema as Airflow's form wants it: one list of types, and suggestions for several choices."""
    field = {key: value for key, value in schema.items() if key not in ("title", "anyOf", "format")}
    if options := schema.get("anyOf"):  # this or null
        field["type"] = sorted(option["type"] for option in options)
    if schema.get("format") == "date":
        field["format"] = "date"
    if "enum" in schema.get("items", {}):
        field["examples"] = schema["items"]["enum"]
    return field


def settings() -> dict[str, dict[str, Any]]:
    """Every setting as a field of a form."""
    return {name: form_field(schema) for name, schema in Settings.model_json_schema()["properties"].items()}


def modules() -> Iterable[ModuleType]:
    """Every job's module: those that can be run and declare their settings."""
    for path in sorted(JOBS.rglob("*.py")):
        if "\nSETTINGS = " in path.read_text(encoding="utf-8"):
            yield import_module(".".join(path.relative_to(JOBS.parent).with_suffix("").parts))


def job(module: ModuleType) -> dict[str, Any]:
    """What one job declares."""

    def paths(*declarations: str) -> list[str]:
        tables: list[Contract] = [table for name in declarations for table in getattr(module, name, ())]
        return list(dict.fromkeys(table.path for table in tables))

    return {
        "settings": [*COMMON, *module.SETTINGS],
        "files": list(getattr(module, "FILES", ())),
        "reads": paths("READS", "READS_EARLIER_RUNS"),
        "writes": paths("WRITES"),
    }


def page() -> str:
    """The whole file."""
    jobs = {module.__name__.removeprefix("jobs."): job(module) for module in modules()}
    return json.dumps({"settings": settings(), "jobs": jobs}, indent=1, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    """Write the file, or with `--check` compare it; returns the exit code."""
    if arguments not in ([], ["--check"]):
        print("usage: python -m jobs.platform.dag_interface [--check]", file=sys.stderr)
        return 2
    if not arguments:
        PAGE.write_text(page(), encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page():
        print("dags/jobs.json does not match the jobs: run `make docs`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
