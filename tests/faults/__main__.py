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
_HEAD = "| fault | how it should end | it did | last line |\n|---|---|---|---|"
_START, _END = "<!-- faults: written by `make faults` -->", "<!-- end of faults -->"

console = Console(highlight=False, soft_wrap=True)


def cells(result: Result) -> tuple[str, str]:
    """A fault's name, and its row of the table."""
    fault = result.fault
    name = f"{fault.kind}: {fault.name}"
    ended = f"no: {_cell(result.wrong)}" if result.wrong else "yes"
    said = _cell(re.sub(r" \(\d+ s\)$", "", result.said))
    return name, f"| {name} | {fault.end.words} | {ended} | `{said}` |"


def _cell(text: str, longest: int = 160) -> str:
    text = " ".join(text.replace("|", "/").replace("`", "'").split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def write_docs(results: Sequence[Result]) -> None:
    """Put the results into the table of the reliability page; faults that were not injected keep their rows."""
    before, _, rest = PAGE.read_text().partition(_START)
    known, _, after = rest.partition(_END)
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in known.splitlines() if line.startswith("| ")}
    rows |= dict(cells(result) for result in results)
    names = [f"{fault.kind}: {fault.name}" for fault in FAULTS]
    lines = [_HEAD, *(rows[name] for name in names if name in rows)]
    PAGE.write_text(f"{before}{_START}\n\n" + "\n".join(lines) + f"\n\n{_END}{after}")


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
                write_docs([result])
    wrong = sum(bool(result.wrong) for result in results)
    console.print(f"{len(results) - wrong} of {len(results)} faults ended as they should")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    typer.run(main)
