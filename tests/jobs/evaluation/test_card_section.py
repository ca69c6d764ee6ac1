"""What the gate writes into a version's card, and the weekly chart: real figures, each where it belongs."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from expectations.evaluation import EVALUATION_METRICS
from jobs.evaluation.card_section import evaluation_section
from jobs.evaluation.protocol import Figure
from jobs.evaluation.weekly_chart import picture, weekly_figures
from jobs.platform.job import Job
from jobs.platform.settings import Settings
from tests.jobs.evaluation.gate_figures import FOLDS, WEEKS, figures, rows


def test_the_section_has_verdict_figures_weeks_and_slices() -> None:
    metrics = rows(figures(0.03, 0.028, slices={"repurchase": 0.05}, noise=0.0005))
    said = evaluation_section(metrics, True, "MAP@12 0.0300", "own_recent_purchases")
    assert said.startswith("**Promoted.** MAP@12 0.0300.\n")
    assert "| this version | 0.0300 (0.0300 to 0.0300) |  |" in said
    assert "| champion | 0.0280 (0.0280 to 0.0280) | +0.0020 (+0.0015 to +0.0025) |" in said
    assert "| popularity_7d | 0.0100 (0.0100 to 0.0100) | +0.0200 (+0.0195 to +0.0205) |" in said
    assert "| 2020-08-05 | 0.0300 |" in said
    assert "| repurchase | 100 | 0.0500 (0.0500 to 0.0500) | 0.0200 (0.0200 to 0.0200) |" in said
    assert evaluation_section(metrics, False, "no", "popularity_7d").startswith("**Not promoted.** no.")


def test_every_week_is_shown_as_the_last_run_judged_it(tmp_path: Path) -> None:
    settings = Settings(as_of_date=WEEKS[2], warehouse=str(tmp_path), run_id="r")
    job = Job("evaluation.evaluate", settings, [], [EVALUATION_METRICS])
    for as_of_date, value in ((WEEKS[0], 0.01), (WEEKS[1], 0.02), (WEEKS[3], 0.04)):
        found = rows(figures(value), folds=FOLDS[:2], as_of_date=as_of_date)
        job.warehouse.publish_arrow(EVALUATION_METRICS, found, {"as_of_date": [as_of_date]})
    own = {FOLDS[1]: [_map("two_stage", 0.03), _map("popularity_7d", 0.01)], None: [_map("two_stage", 0.5)]}
    weeks = weekly_figures(Job("evaluation.evaluate", settings, [], [EVALUATION_METRICS]), own)
    assert {start: found["two_stage"].value for start, found in weeks.items()} == {FOLDS[0]: 0.02, FOLDS[1]: 0.03}
    (axes,) = picture(weeks, "shop").axes
    legend = [text.get_text() for text in axes.figure.legends[0].get_texts()]
    assert legend == ["this run's model", "popularity 7d"]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == [str(day) for day in FOLDS[:2]]


def test_the_first_run_has_no_earlier_weeks(tmp_path: Path) -> None:
    settings = Settings(as_of_date=date(2020, 9, 2), warehouse=str(tmp_path))
    job = Job("evaluation.evaluate", settings, [], [EVALUATION_METRICS])
    assert list(weekly_figures(job, {FOLDS[0]: [_map("two_stage", 0.03)]})) == [FOLDS[0]]


def _map(system: str, value: float) -> Figure:
    return Figure(system, "all", "map", 12, value, value - 0.001, value + 0.001)
