"""`make faults`: each known fault on a tiny shop, and a table of what ended how and whether the tables are unharmed."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from tests.faults.campaign import Campaign, Fault, Result
from tests.faults.injected import FAULTS
from tests.faults.shop import ROOT

PAGE = ROOT / "docs" / "reliability.md"
_START, _END = "<!-- faults: written by `make faults` -->", "<!-- end of faults -->"

console = Console(highlight=False, soft_wrap=True)


def table(results: Sequence[Result]) -> str:
    """The results as a Markdown table, one row a fault."""
    head = "| fault | right | last line | so it ended |\n|---|---|---|---|\n"
    return head + "".join(
        f"| {r.fault.kind}: {r.fault.name} | {r.fault.end.words} | `{_cell(r.said)}` |"
        f" {'yes' if not r.wrong else 'no: ' + _cell(r.wrong)} |\n"
        for r in results
    )


def _cell(text: str, longest: int = 160) -> str:
    text = " ".join(text.replace("|", "/").replace("`", "'").split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def write_docs(results: Sequence[Result]) -> None:
    """Put the table into the reliability page, between its marks."""
    before, _, rest = PAGE.read_text().partition(_START)
    after = rest.partition(_END)[2]
    PAGE.write_text(f"{before}{_START}\n\n{table(results)}\n{_END}{after}")


def chosen(only: str) -> list[Fault]:
    """The faults whose kind and name match."""
    return [fault for fault in FAULTS if re.search(only, f"{fault.kind}: {fault.name}")]


def main(
    only: Annotated[str, typer.Option(help="Regular expression: faults whose 'kind: name' it matches")] = "",
    write: Annotated[
        bool, typer.Option("--write-docs", help=f"Also write the table to {PAGE.relative_to(ROOT)}")
    ] = False,
    listing: Annotated[bool, typer.Option("--list", help="Only list the faults")] = False,
) -> None:
    """Inject each fault in turn, each into a fresh copy of a shop of 300 customers, and judge what its jobs make of it.

    Jobs run as processes, as an operator would run them. A fault takes 10 to 40 seconds. The exit code is 1 if any
    fault ended otherwise than it should, or a table was harmed.
    """
    faults = chosen(only)
    if listing or not faults:
        console.print("\n".join(f"{fault.kind}: {fault.name}" for fault in faults) or f"no fault matches {only!r}")
        raise typer.Exit(0 if faults else 2)
    results = []
    with tempfile.TemporaryDirectory(prefix="faults-") as folder, Progress(console=console, transient=True) as progress:
        campaign = Campaign(Path(folder))
        for fault in progress.track(faults, description="faults"):
            result = campaign.judge(fault)
            verdict = f"[red]NOT AS IT SHOULD BE[/] {result.wrong}" if result.wrong else "[green]ok[/]"
            console.print(f"{fault.kind}: {fault.name} ({result.seconds:.0f} s) {verdict}\n    {result.said}")
            results.append(result)
    if write:
        write_docs(results)
    wrong = sum(bool(result.wrong) for result in results)
    console.print(f"{len(results) - wrong} of {len(results)} faults ended as they should")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    typer.run(main)
