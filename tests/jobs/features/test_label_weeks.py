"""How many weeks a model learns from: by hand, and the same whatever is delivered for later days."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from jobs.features.interactions import READS
from jobs.features.label_weeks import ENOUGH, LEAST, MOST, weeks_needed, with_training_weeks
from jobs.platform.job import Job
from jobs.platform.settings import WEEK, Settings
from tests.jobs.evaluation.silver import put_purchases
from tests.jobs.retrieval.small import on

AS_OF = date(2020, 9, 23)
LONG_AGO = AS_OF - 104 * WEEK


def needed(weekly: int, first: date = LONG_AGO, later: int = 0) -> int:
    """For so many buyers a week, who buy twice, and more in the first of the five weeks that judge."""
    end = (AS_OF - date(1970, 1, 1)).days - 7 * 5
    lines = [(end - 1 - 7 * week, c) for week in range(6) for c in range(weekly) for _ in range(2)]
    lines += [(end, c) for c in range(later)]
    day, customer = np.array(lines, dtype=np.int32).reshape(-1, 2).T
    return weeks_needed(day, customer, first, AS_OF)[0]


@pytest.mark.parametrize(
    ("weekly", "weeks"),
    [(ENOUGH, LEAST), (ENOUGH // 10, 20), (ENOUGH // 10 - 1, 22), (ENOUGH // 26, MOST), (80, MOST), (0, MOST)],
)
def test_the_fewer_buyers_a_week_the_more_weeks(weekly: int, weeks: int) -> None:
    assert needed(weekly) == weeks


@pytest.mark.parametrize(("past", "weeks"), [(20, 10), (17, 8), (8, 2), (1, 2), (0, 2)])
def test_a_third_of_the_past_is_left(past: int, weeks: int) -> None:
    """Of what is before the four folds and the validation week."""
    assert needed(80, first=AS_OF - past * WEEK) == weeks


def test_nothing_of_the_weeks_that_judge_counts() -> None:
    assert needed(100, later=100_000) == needed(100)


def settle(folder: Path, as_of: date, backtest_weeks: int = 0, **given: int) -> int:
    settings = Settings(as_of_date=as_of, warehouse=str(folder), **given)
    job = Job("features.interactions", settings, READS, ())
    return with_training_weeks(job, settings, backtest_weeks).training_weeks


def test_from_the_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """50 weeks of three buyers each; thousands come in the 51st, which counts when five weeks have judged."""
    lines = [(7 * week + 3, c, 0) for week in range(50) for c in range(3)]
    rush = [(7 * 50, c, 0) for c in range(3_000)]
    put_purchases(tmp_path, [*lines, *rush], customers=3_000, articles=1)
    quiet = on(7 * 50)
    assert settle(tmp_path, quiet) == 29 == int(2 / 3 * (49 - 4 - 1))
    said = "29 training weeks as of 2021-07-17: 3 buyers a week, of whom the ranker's half should hold 2,500"
    assert said in capsys.readouterr().out
    assert settle(tmp_path, quiet, training_weeks=7) == 7
    busy = quiet + 6 * WEEK
    assert settle(tmp_path, busy) == LEAST
    before = settle(tmp_path, busy - WEEK)
    capsys.readouterr()
    assert before == 32 == settle(tmp_path, busy, backtest_weeks=1), "the model as of a week before needs them"
    assert capsys.readouterr().out.startswith(f"32 training weeks as of {busy - WEEK}: "), "of the dates, the one"
