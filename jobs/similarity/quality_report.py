"""Writes the comparison of methods in docs/results/similarity.md, from gold/similarity_metrics.

    python -m jobs.similarity.quality_report --as-of-date 2020-09-23 --warehouse warehouse

Not a task of a DAG. The rest of the page is written by hand.
"""

from __future__ import annotations

from collections.abc import Mapping

from expectations.evaluation import SIMILARITY_METRICS
from jobs.evaluation.docs_section import write_section
from jobs.evaluation.protocol import NEW_ARTICLES
from jobs.platform.errors import JobError
from jobs.platform.job import Job, run
from jobs.similarity.likeness import (
    ARTICLES_MEASURED,
    BY_CHANCE,
    COVERAGE,
    HUB_K,
    HUBNESS,
    KS,
    LABELS,
    SLICE,
    WITH_PICKS,
)
from jobs.similarity.methods import METHODS
from jobs.similarity.newness import PLACES, POPULAR, RANDOM

READS, WRITES = (SIMILARITY_METRICS,), ()
SETTINGS = ()

PAGE, SECTION = "similarity.md", "similar articles"
#: (system, slice, metric, k) -> its row of similarity_metrics.
Figures = Mapping[tuple[str, str, str, int], Mapping[str, float | None]]


def _row(name: str, cells: list[str]) -> str:
    return f"| {name} | {' | '.join(cells)} |"


def _likeness(figures: Figures, name: str) -> list[str]:
    """Precision of each label at each cut-off, as far as the method's picks reach."""
    cells = []
    for metric in LABELS:
        found = [figures.get((name, SLICE, metric, k)) for k in KS]
        cells.append(" / ".join("-" if row is None else f"{row['value']:.3f}" for row in found))
    return cells


def _share(row: Mapping[str, float | None] | None) -> str:
    return "-" if row is None else f"{row['value']:.4f}"


def _recall(row: Mapping[str, float | None] | None) -> str:
    if row is None:
        return "-"
    return f"{row['value']:.4f}" + ("" if row["ci_low"] is None else f" ({row['ci_low']:.4f}-{row['ci_high']:.4f})")


def table(rows: list[dict]) -> str:
    """The Markdown table, and a line on what it was measured on."""
    figures = {(row["system"], row["slice"], row["metric"], row["k"]): row for row in rows}
    methods = [name for name in METHODS if (name, SLICE, WITH_PICKS, 0) in figures]
    heads = [metric.replace("_", " ") + " @" + "/".join(map(str, KS)) for metric in LABELS]
    lines = [
        _row("method", [*heads, f"coverage @{HUB_K}", f"hubness @{HUB_K}", f"recall@{PLACES} of new articles"]),
        "|---" * (len(heads) + 4) + "|",
    ]
    for name in methods:
        spread = [_share(figures.get((name, SLICE, metric, HUB_K))) for metric in (COVERAGE, HUBNESS)]
        recall = _recall(figures.get((name, NEW_ARTICLES, "recall", PLACES)))
        lines.append(_row(name, [*_likeness(figures, name), *spread, recall]))
    by_chance = [figures.get((methods[0], SLICE, metric + BY_CHANCE, 0)) for metric in LABELS]
    chance = ["-" if row is None else f"{row['value']:.3f}" for row in by_chance]
    lines.append(_row("by chance", [*chance, "", "", _recall(figures.get((RANDOM, NEW_ARTICLES, "recall", PLACES)))]))
    popular = _recall(figures.get((POPULAR, NEW_ARTICLES, "recall", PLACES)))
    lines.append(_row("best sellers among the new", [*([""] * (len(heads) + 2)), popular]))
    counts = [figures.get((name, SLICE, ARTICLES_MEASURED, 0)) for name in methods]
    count = max(row["value"] or 0 for row in counts if row)
    said = f"As-of date {rows[0]['as_of_date']}, label week from {rows[0]['fold']}; {count:,.0f} articles to pick from"
    if (RANDOM, NEW_ARTICLES, "buyers", 0) in figures:
        new, buyers = (figures[RANDOM, NEW_ARTICLES, metric, 0]["value"] for metric in ("new_articles", "buyers"))
        said += f", {new:,.0f} new ones before the label week, {buyers:,.0f} buyers of those in it"
    return "\n".join([f"{said}.", "", *lines])


def main(job: Job) -> str:
    rows = job.read_arrow(SIMILARITY_METRICS, where={"as_of_date": [job.settings.as_of_date]}).to_pylist()
    if not rows:
        raise JobError(f"{SIMILARITY_METRICS.path} has no rows of {job.settings.as_of_date}; run similarity.quality")
    return f"wrote {write_section(PAGE, SECTION, table(rows))}"


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES, settings=SETTINGS)
