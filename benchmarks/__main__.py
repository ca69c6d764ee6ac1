"""`make bench`: every benchmark beside its peer in the same run; results in docs/benchmarks.md and results/."""

from __future__ import annotations

import typer

from benchmarks import sample_data


def main(
    lines: int = typer.Option(2_000_000, min=100_000, help="Transaction lines of the sample data benchmark"),
) -> None:
    """Run all benchmarks, each contestant in a process of its own on one core."""
    sample_data.run(lines)


if __name__ == "__main__":
    typer.run(main)
