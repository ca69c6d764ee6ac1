"""The figures of the recommender systems, as two tables and their pictures.

    python -m jobs.evaluation.recommender_report --as-of-date 2020-09-23 --write-docs true

One of each customer's next purchase beside the paper's figures, one of the weekly protocol. Both go to MLflow, and
with `write_docs` into docs/results/recommenders.md, between the markers of the sections. Systems that were not run are
left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import mlflow

from expectations.contract import Contract
from expectations.evaluation import NEXT_PURCHASE_METRICS, POOLED, SYSTEM_METRICS
from jobs.evaluation.docs_section import IMAGES, write_section
from jobs.evaluation.incremental_recall import CANDIDATES
from jobs.evaluation.next_purchase import HIT_RATE, KS, READINGS
from jobs.evaluation.protocol import ALL_BUYERS, BUYER_SLICES, HEADLINE_K
from jobs.platform.errors import JobError
from jobs.platform.job import Job, run
from jobs.platform.tracking import start_run
from jobs.recommenders.registry import SYSTEMS
from jobs.retrieval.baselines import BASELINES, popularity_7d

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

READS, WRITES = (SYSTEM_METRICS, NEXT_PURCHASE_METRICS), ()
SETTINGS = ("write_docs", "mlflow_tracking_uri")

PAGE, NEXT, WEEKLY = "recommenders.md", "next purchases", "systems by week"
NEXT_PICTURE, WEEKLY_PICTURE = "next_purchase.png", "systems.png"
#: Hit rates at KS that "FOR sequence recommender" reports.
PAPER = {
    "als": (0.00052, 0.00095, 0.00115, 0.00236, 0.00512),
    "bpr": (0.00043, 0.00086, 0.00096, 0.00268, 0.00469),
    "logistic_mf": (0.00071, 0.00126, 0.00097, 0.00363, 0.00613),
    "rnn": (0.00128, 0.00353, 0.00436, 0.00909, 0.01389),
    "lstm": (0.00095, 0.00169, 0.00208, 0.00425, 0.00638),
    "gru": (0.00092, 0.00181, 0.00220, 0.00445, 0.00650),
    "rnn_features": (0.00062, 0.00246, 0.00333, 0.00802, 0.01196),
    "lstm_features": (0.00163, 0.00365, 0.00475, 0.00950, 0.01437),
    "gru_features": (0.00089, 0.00226, 0.00315, 0.00769, 0.01143),
}
#: Of the weekly protocol: heading, (slice, metric, k), format; the table gives the intervals of WITH_INTERVAL.
COLUMNS: tuple[tuple[str, tuple[str, str, int], str], ...] = (
    (f"MAP@{HEADLINE_K}", (ALL_BUYERS, "map", HEADLINE_K), ".4f"),
    *((name.replace("_", " "), (name, "map", HEADLINE_K), ".4f") for name in BUYER_SLICES),
    ("less popularity_7d", (ALL_BUYERS, f"map_minus_{popularity_7d.__name__}", HEADLINE_K), "+.4f"),
    ("own places", (ALL_BUYERS, "own_share", HEADLINE_K), ".2f"),
    (f"recall@{CANDIDATES}", (ALL_BUYERS, "recall", CANDIDATES), ".4f"),
    (f"unique recall@{CANDIDATES}", (ALL_BUYERS, "unique_recall", CANDIDATES), ".4f"),
    ("gain", (ALL_BUYERS, "merged_gain", CANDIDATES), "+.4f"),
    ("fit, seconds", (ALL_BUYERS, "fit_seconds", 0), ",.0f"),
    ("peak MiB", (ALL_BUYERS, "peak_mib", 0), ",.0f"),
)
WITH_INTERVAL = (f"MAP@{HEADLINE_K}", "less popularity_7d", "gain")
#: Of the hit rates, the cut-off whose interval the table gives.
INTERVAL_K = 10
_COLOURS = ("#24527a", "#9db8d2", "#7a7a7a", "#c46a1b")


class Row(NamedTuple):
    """A figure of a table, with its interval where it has one."""

    value: float
    low: float | None
    high: float | None

    def __format__(self, number: str) -> str:
        interval = "" if self.low is None else f" ({self.low:{number}} to {self.high:{number}})"
        return f"{self.value:{number}}{interval}"

    @property
    def error(self) -> tuple[list[float], list[float]]:
        """How far the interval reaches below and above, as matplotlib wants it."""
        low, high = (self.value if end is None else end for end in (self.low, self.high))
        return [self.value - low], [high - self.value]


#: (system, slice, metric, k) -> its row.
Rows = Mapping[tuple[str, str, str, int], Row]


def rows_of(job: Job, contract: Contract) -> tuple[Rows, list[str]]:
    """The pooled figures of the run's as-of date, and the label weeks they are of; nothing where there are none."""
    if not job.exists(contract):
        return {}, []
    rows = job.read_arrow(contract, where={"as_of_date": [job.settings.as_of_date]}).to_pylist()
    weeks = sorted({row["fold"] for row in rows} - {POOLED})
    return {
        (row["system"], row["slice"], row["metric"], row["k"]): Row(row["value"], row["ci_low"], row["ci_high"])
        for row in rows
        if row["fold"] == POOLED
    }, weeks


def judged(rows: Rows) -> list[str]:
    """The systems with figures, in the order of the registry, then the baselines."""
    there = {system for system, *_ in rows}
    return [system for system in (*SYSTEMS, *BASELINES) if system in there]


def line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def cell(rows: Rows, key: tuple[str, str, str, int], number: str, has_interval: bool) -> str:
    if key not in rows:
        return ""
    return f"{rows[key]:{number}}" if has_interval else f"{rows[key].value:{number}}"


def next_purchases(rows: Rows) -> str:
    """The table of hit rates: of each system the paper's, then those under each reading."""
    lines = []
    for system in judged(rows):
        if system in PAPER:
            lines.append(line(system, "the paper's", *(f"{value:.5f}" for value in PAPER[system])))
        for reading in READINGS:
            rates = [cell(rows, (system, reading, HIT_RATE, k), ".5f", k == INTERVAL_K) for k in KS]
            lines.append(line(system, reading, *rates))
    counts = {key[1]: row.value for key, row in rows.items() if key[2] == "customers"}  # the same for every system
    judged_on = ", ".join(f"{counts[reading]:,.0f} ({reading})" for reading in READINGS)
    return "\n".join(
        [
            f"Share of the customers whose hidden purchase is among the first k; customers judged: {judged_on}.",
            "",
            line("system", "what is hidden", *(f"@{k}" for k in KS)),
            "|---" * (2 + len(KS)) + "|",
            *lines,
            "",
            f"![Hit rate@10 beside the paper's]({IMAGES}/{NEXT_PICTURE})",
        ]
    )


def by_week(rows: Rows, weeks: Sequence[str]) -> str:
    """The table of the weekly protocol: MAP@12, by slice of customers, incremental recall and cost."""
    systems = judged(rows)
    lines = [
        line(system, *(cell(rows, (system, *key), number, head in WITH_INTERVAL) for head, key, number in COLUMNS))
        for system in systems
    ]
    buyers = rows[systems[0], ALL_BUYERS, "buyers", 0].value
    merged = next(row.value for key, row in rows.items() if key[1:] == (ALL_BUYERS, "merged_recall", CANDIDATES))
    return "\n".join(
        [
            f"{len(weeks)} label weeks from {weeks[0]}, {buyers:,.0f} buyer-weeks. The candidate sources that need no "
            f"model have recall@{CANDIDATES} {merged:.4f} together, taking turns.",
            "",
            line("system", *(heading for heading, *_ in COLUMNS)),
            "|---" * (1 + len(COLUMNS)) + "|",
            *lines,
            "",
            f"![MAP@{HEADLINE_K}, and what a system adds for what it costs]({IMAGES}/{WEEKLY_PICTURE})",
        ]
    )


def next_picture(rows: Rows) -> Picture:
    """Hit rate@10 of each system under each reading, beside the paper's; logarithmic."""
    from matplotlib.figure import Figure as Picture

    systems = judged(rows)[::-1]
    drawn = Picture(figsize=(9, 1.5 + 0.32 * len(systems)), layout="constrained")
    axes = drawn.subplots()
    for shift, (reading, colour) in enumerate(zip(READINGS, _COLOURS, strict=False)):
        found = [(y, rows[name, reading, HIT_RATE, 10]) for y, name in enumerate(systems)]
        for y, row in found:
            axes.errorbar(row.value, y + 0.15 * (shift - 1), xerr=row.error, color=colour, fmt="o", markersize=4)
        axes.plot([], [], "o", color=colour, label=reading)
    paper = [(PAPER[name][KS.index(10)], y) for y, name in enumerate(systems) if name in PAPER]
    axes.plot(*(zip(*paper, strict=True) if paper else ([], [])), "x", color=_COLOURS[-1], label="the paper's")
    axes.set(xlabel="hit rate@10 (95 % intervals)", yticks=range(len(systems)), yticklabels=systems)
    axes.set_xscale("symlog", linthresh=1e-3)
    axes.set_xlim(left=0)
    drawn.legend(loc="outside lower center", ncols=4, fontsize="small")
    return drawn


def weekly_picture(rows: Rows) -> Picture:
    """Left: MAP@12 of all buyers, and of those without history. Right: what a system adds, and its fit's seconds."""
    from matplotlib.figure import Figure as Picture

    systems = judged(rows)[::-1]
    drawn = Picture(figsize=(12, 1.8 + 0.32 * len(systems)), layout="constrained")
    left, right = drawn.subplots(1, 2, sharey=True)
    for name, colour in zip((ALL_BUYERS, BUYER_SLICES[-1]), (_COLOURS[0], _COLOURS[3]), strict=True):
        for y, system in enumerate(systems):
            if row := rows.get((system, name, "map", HEADLINE_K)):
                left.errorbar(row.value, y, xerr=row.error, color=colour, fmt="o", markersize=4)
        left.plot([], [], "o", color=colour, label=f"{name.replace('_', ' ')} buyers")
    left.set(xlabel=f"MAP@{HEADLINE_K} (95 % intervals)", yticks=range(len(systems)), yticklabels=systems)
    left.set_xlim(left=0)
    drawn.legend(loc="outside lower left", ncols=2, fontsize="small")
    for y, system in enumerate(systems):
        if row := rows.get((system, ALL_BUYERS, "unique_recall", CANDIDATES)):
            right.errorbar(row.value, y, xerr=row.error, color=_COLOURS[0], fmt="o", markersize=4)
            seconds = f"{rows[system, ALL_BUYERS, 'fit_seconds', 0].value:,.0f} s"
            right.annotate(seconds, (row.value, y), xytext=(0, 4), textcoords="offset points", fontsize=8, ha="center")
    right.set(xlabel=f"unique recall@{CANDIDATES} (95 % intervals), and how long the fit took")
    right.set_xlim(left=0)
    return drawn


def main(job: Job) -> str:
    settings = job.settings
    purchases, _ = rows_of(job, NEXT_PURCHASE_METRICS)
    weekly, weeks = rows_of(job, SYSTEM_METRICS)
    if not purchases and not weekly:
        raise JobError(
            f"no system was judged as of {settings.as_of_date};"
            " run evaluation.weekly_protocol or evaluation.next_purchase"
        )
    sections: dict[str, tuple[str, str, Picture]] = {}
    if purchases:
        sections[NEXT] = next_purchases(purchases), NEXT_PICTURE, next_picture(purchases)
    if weekly:
        sections[WEEKLY] = by_week(weekly, weeks), WEEKLY_PICTURE, weekly_picture(weekly)
    with start_run(settings, job.name):
        for name, (text, file, drawn) in sections.items():
            mlflow.log_text(text, f"{name}.md")
            mlflow.log_figure(drawn, file)
    if settings.write_docs:
        for name, (text, file, drawn) in sections.items():
            write_section(PAGE, name, text, {file: drawn})
    judged_by_table = {
        name: [system for system in judged(rows) if system in SYSTEMS]
        for name, rows in ((NEXT, purchases), (WEEKLY, weekly))
    }
    return "; ".join(f"{name}: {', '.join(systems) or 'none'}" for name, systems in judged_by_table.items())


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES, settings=SETTINGS)
