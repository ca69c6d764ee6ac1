"""Samples of few and of many customers of a full-size shop: the two-stage model beside every baseline, week by week."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.contest import ROOT, machine
from expectations.transactions import TRANSACTIONS
from jobs.evaluation.backtest_report import READS, rows_of
from jobs.evaluation.docs_section import IMAGES, write_section
from jobs.evaluation.protocol import CHALLENGER, HEADLINE_K
from jobs.evaluation.walk_forward import Backtest, backtest_of
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.settings import WEEK, Settings
from jobs.retrieval.baselines import BASELINES

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

PAGE, SECTION, PICTURE = "two_stage.md", "learning-curve", "learning_curve.png"
PREPARE = ("ingest.articles", "ingest.customers", "ingest.transactions")
FEATURES = ("features.customers", "features.articles", "features.interactions")
#: How far below the best rule the model may be, at the interval's lower end.
ALLOWED = -0.0005


def backtest(customers: int, weeks: int, epochs: int, as_of: date, folder: Path) -> Backtest:
    """A sample of so many customers, walked through week by week; weeks that are there are not walked again."""
    data, warehouse = folder / "data", folder / "warehouse"
    flags = [f"--as-of-date={as_of}", f"--warehouse={warehouse}"]

    def run(job: str, *more: str) -> None:
        asked = {"ATELIER_DATA": str(data), "ATELIER_BACKTEST_WEEKS": str(weeks), "ATELIER_MAX_EPOCHS": str(epochs)}
        command = [sys.executable, "-m", f"jobs.{job}", *flags, *more]
        subprocess.run(command, env=os.environ | asked, check=True, cwd=ROOT)

    if not (data / "transactions_train.csv").exists():
        size = ["--scale", "1.0", "--customers", str(customers), "--images", "none", "--event-days", "0"]
        command = [sys.executable, "-m", "sample_data", "generate", *size, "--out", str(data)]
        subprocess.run(command, check=True, cwd=ROOT)
    if not (warehouse / TRANSACTIONS.path / "_delta_log").exists():  # the last one of them: a killed run goes on
        for job in PREPARE:
            run(job)
    for job in FEATURES:
        run(job)
    settings = Settings(as_of_date=as_of, warehouse=str(warehouse))
    starts = [as_of - week * WEEK for week in range(weeks, 0, -1)]
    for week, start in zip(range(weeks, 0, -1), starts, strict=True):
        try:
            rows_of(Job("benchmarks.learning_curve", settings, READS, ()), [start])
        except JobError:
            run("evaluation.backtest", "--backtest-week", str(week))
    return backtest_of(rows_of(Job("benchmarks.learning_curve", settings, READS, ()), starts), settings.seed)


def section(found: Mapping[int, Backtest], facts: str) -> str:
    """The generated section, as Markdown."""
    head = ["customers", "label weeks", "buyer-weeks", CHALLENGER, *BASELINES]
    head += [f"{CHALLENGER} less the best", "kept with age"]
    lines = [facts, "", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for customers, of in found.items():
        values = [f"{of.ap[name].value:.4f}" for name in (CHALLENGER, *BASELINES)]
        age = max(of.ages)
        kept = f"{of.ages[age].to_fresh:.2f} at {age} weeks" if age else ""
        cells = [f"{customers:,}", str(len(of.folds)), f"{of.buyers:,}", *values, f"{of.minus[of.best]:+.4f}", kept]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"![MAP@{HEADLINE_K} by number of customers]({IMAGES}/{PICTURE})"])


def picture(found: Mapping[int, Backtest]) -> Picture:
    """Left: MAP@12 of each system by number of customers. Right: what the model has beyond the best baseline."""
    from matplotlib.figure import Figure as Picture

    drawn = Picture(figsize=(11, 4.4), layout="constrained")
    left, right = drawn.subplots(1, 2)
    sizes, of = list(found), list(found.values())
    colours = dict(zip((CHALLENGER, *BASELINES), ("#24527a", "#c46a1b", "#7a7a7a", "#b5b5b5", "#4f8a5b"), strict=True))
    for name, colour in colours.items():
        left.plot(sizes, [one.ap[name].value for one in of], marker="o", color=colour, label=name)
    left.fill_between(
        sizes, [one.ap[CHALLENGER].low for one in of], [one.ap[CHALLENGER].high for one in of],
        color=colours[CHALLENGER], alpha=0.2, linewidth=0,
    )  # fmt: skip
    left.set(xscale="log", xlabel="customers", ylabel=f"MAP@{HEADLINE_K}", ylim=(0, None))
    drawn.legend(loc="outside lower left", ncols=len(colours), fontsize="small")
    leads = [one.minus[one.best] for one in of]
    errors = [[lead.value - lead.low for lead in leads], [lead.high - lead.value for lead in leads]]
    right.errorbar(sizes, [lead.value for lead in leads], yerr=errors, marker="o", capsize=4, color=colours[CHALLENGER])
    right.axhline(0, color="#7a7a7a", linewidth=0.8)
    right.axhline(ALLOWED, color="#c46a1b", linewidth=0.8, linestyle="--")
    right.set(xscale="log", xlabel="customers", title=f"{CHALLENGER} less the best baseline, 95 % interval")
    for axes in (left, right):
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.minorticks_off()
    return drawn


def run(sizes: Sequence[int], weeks: int, epochs: int, as_of: date, folder: Path) -> None:
    """Walk through samples of these sizes, and write table and picture.

    Args:
        sizes: numbers of customers.
        epochs: at most.
        folder: of the samples' files and warehouses, which are kept.
    """
    found = {size: backtest(size, weeks, epochs, as_of, folder / str(size)) for size in sizes}
    asked = " ".join(map(str, sizes))
    facts = (
        f"As of {as_of}, at most {epochs} epochs, no images, `auto` training weeks. Differences are paired;"
        f" the last column is what a model of that age keeps of the fresh one's MAP@{HEADLINE_K}. Machine: {machine()}."
        f' Command: `make learning-curve CUSTOMERS="{asked}" WEEKS={weeks} EPOCHS={epochs}`.'
    )
    text = section(found, facts)
    write_section(PAGE, SECTION, text, {PICTURE: picture(found)})
    print(text)
