"""Writes docs/reference/tables.md from the contracts and settings.md from the settings; `--check` compares them."""

from __future__ import annotations

import sys
from pathlib import Path

from expectations.contract import GREATEST, Column, Contract
from expectations.registry import CONTRACTS
from jobs.platform import settings_reference

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference"

_HEAD = f"""# Tables

Generated from the contracts in `expectations/` by `make docs`; do not edit. Each table is the Delta folder
`<warehouse>/<layer>/<table>`; the descriptions below are its comments in Delta as well. A value outside its rules is
never published: the run stops and the table stays as it was. The same holds for a gate ([gates.md](gates.md)), and for
a double, alone or in an array, that is not finite or beyond {GREATEST:g} either way.
"""


def _rules(column: Column) -> str:
    rules = ["may be null"] if column.nullable else []
    least, most = column.limits
    if least is not None and least != -GREATEST:
        rules.append(f"≥ {least:g}")
    if most is not None and most != GREATEST:
        rules.append(f"≤ {most:g}")
    if column.allowed:
        rules.append("one of " + ", ".join(f"`{value}`" for value in column.allowed))
    if column.pattern:
        rules.append(f"matches `{column.pattern}`")
    return "; ".join(rules)


def _section(contract: Contract) -> str:
    def names(columns: tuple[str, ...]) -> str:
        return ", ".join(f"`{name}`" for name in columns)

    facts = [f"Key: {names(contract.key)}." if contract.key else "No key: equal rows are legitimate."]
    if contract.partition_by:
        facts.append(f"Partitioned by {names(contract.partition_by)}.")
    table = ["| column | type | meaning | rules |", "|---|---|---|---|"]
    table += [
        f"| `{c.name}` | {c.type} | {c.description} | {_rules(c)} |".replace("|  |", "| |") for c in contract.columns
    ]
    gates = [f"- {gate.description}{' A warning only.' if gate.is_advisory else ''}" for gate in contract.gates()]
    if gates:
        table += ["", "Gates, for each slice:", "", *gates]
    return "\n".join([f"## {contract.path}", "", contract.description, "", " ".join(facts), "", *table, ""])


def page() -> str:
    """The whole page: every table in the order the data flows."""
    return "\n".join([_HEAD, *(_section(contract) for contract in CONTRACTS.values())])


def main(arguments: list[str]) -> int:
    """Write the pages, or with `--check` compare them; returns the exit code."""
    if arguments not in ([], ["--check"]):
        print("usage: python -m jobs.platform.data_dictionary [--check]", file=sys.stderr)
        return 2
    stale = []
    for name, text in {"tables.md": page(), "settings.md": settings_reference.page()}.items():
        path = REFERENCE / name
        if not arguments:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
    if stale:
        print(f"docs/reference/: {', '.join(stale)} out of date: run `make docs`", file=sys.stderr)
    return int(bool(stale))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
