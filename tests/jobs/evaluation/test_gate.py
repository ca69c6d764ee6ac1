"""The gate: who is promoted, in which words, and what reruns and backfills may not change."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from expectations.evaluation import EVALUATION_METRICS, MODEL_DECISIONS
from jobs.evaluation import gate, registry
from jobs.evaluation.gate import Scores, decide
from jobs.evaluation.protocol import CHALLENGER, CHAMPION, MODEL_VERSION, Figure, figures_table
from jobs.evaluation.registry import champion_as_of, incumbent, version_of_run
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.settings import WEEK, Settings
from jobs.platform.tracking import ModelVersion

BASELINES = {"popularity_7d": 0.01, "own_recent_purchases": 0.02, "own_recent_then_popularity": 0.026}
WEEKS = [date(2020, 9, 2), date(2020, 9, 9), date(2020, 9, 16), date(2020, 9, 23)]


def scores(
    challenger: float, champion: float | None = None, versions: dict[str, str] | None = None, **baselines: float
) -> Scores:
    maps = BASELINES | baselines | {CHALLENGER: challenger} | ({} if champion is None else {CHAMPION: champion})
    difference = {name: (challenger - value, -0.001, 0.009) for name, value in maps.items() if name != CHALLENGER}
    judged = {CHALLENGER: "5"} | ({} if champion is None else {CHAMPION: "3"})
    return Scores(maps, difference, versions or judged)


def test_the_first_model_needs_to_beat_the_baselines() -> None:
    verdict = decide(scores(0.03), "5", None)
    assert verdict.is_promoted
    assert verdict.reason == (
        "MAP@12 0.0300 beats popularity_7d 0.0100, own_recent_purchases 0.0200, own_recent_then_popularity 0.0260;"
        " difference to own_recent_then_popularity +0.0040 (95 % interval -0.0010 to +0.0090)"
    )
    assert (verdict.best_baseline, verdict.best_baseline_map_at_12) == ("own_recent_then_popularity", 0.026)
    assert verdict.incumbent_map_at_12 is None


@pytest.mark.parametrize(
    ("challenger", "champion", "is_promoted"),
    [
        (0.03, 0.029, True),
        (0.03, 0.03, False),  # a tie changes nothing
        (0.03, 0.031, False),
        (0.0259, None, False),
        (0.0259, 0.02, False),  # beats the champion, not the baseline
        (0.026, None, False),
        (0.0, None, False),
    ],
)
def test_only_a_model_that_beats_all_is_promoted(challenger: float, champion: float | None, is_promoted: bool) -> None:
    verdict = decide(scores(challenger, champion), "5", None if champion is None else "3")
    assert verdict.is_promoted == is_promoted
    assert ("does not beat" in verdict.reason) != is_promoted


def test_the_reason_names_who_was_not_beaten() -> None:
    reason = decide(scores(0.025, 0.03), "5", "3").reason
    assert reason.startswith(
        "MAP@12 0.0250 does not beat own_recent_then_popularity, champion (version 3): popularity_7d 0.0100"
    )
    assert "difference to champion (version 3) -0.0050" in reason


def test_a_figure_too_good_for_the_real_data_is_pointed_out() -> None:
    assert "look for a leak first" in decide(scores(0.0451), "5", None).reason
    assert "leak" not in decide(scores(0.045), "5", None).reason
    assert "leak" not in decide(scores(0.5, popularity_7d=0.05), "5", None).reason


@pytest.mark.parametrize("bad", [math.nan, math.inf, None])
@pytest.mark.parametrize("system", [CHALLENGER, CHAMPION, "popularity_7d"])
def test_missing_or_broken_figures_decide_nothing(system: str, bad: float | None) -> None:
    good = scores(0.03, 0.02)
    maps = {name: value for name, value in good.map_at_12.items() if name != system}
    if bad is not None:
        maps[system] = bad
    with pytest.raises(JobError, match=f"no usable MAP@12 of {system}; rerun evaluation.evaluate"):
        decide(Scores(maps, good.difference, good.versions), "5", "3")


@pytest.mark.parametrize(
    "versions", [{CHALLENGER: "4"}, {}, {CHALLENGER: "5", CHAMPION: "2"}, {CHALLENGER: "4", CHAMPION: "3"}]
)
def test_figures_of_another_version_decide_nothing(versions: dict[str, str]) -> None:
    judged = Scores(scores(0.03, 0.02).map_at_12, {}, versions)
    with pytest.raises(JobError, match=r"rerun evaluation\.evaluate"):
        decide(judged, "5", "3")


# ---- whole runs, with the registry's answers given


@pytest.fixture
def week(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs the gate for an as-of date; the alias it sets is kept in `week.alias`."""
    registered: dict[str, str] = {}
    usable: set[str] = set()
    aliases: list[str] = []

    def find_versions(name: str, as_of_date: str | None = None, inputs: str | None = None) -> list[ModelVersion]:
        found = usable if as_of_date is None else {registered[as_of_date]} if as_of_date in registered else set()
        return [ModelVersion(name, version, "r", {}) for version in found]

    monkeypatch.setattr(gate, "use_tracking", lambda settings: None)
    monkeypatch.setattr(gate, "set_champion", lambda name, version: aliases.append(version))
    monkeypatch.setattr(registry, "find_versions", find_versions)

    def run(as_of_date: date, version: str, challenger: float, champion: float | None = None) -> str:
        job = job_of(tmp_path, as_of_date)
        registered[as_of_date.isoformat()] = version
        usable.add(version)
        maps = BASELINES | {CHALLENGER: challenger} | ({} if champion is None else {CHAMPION: champion})
        figures = [Figure(system, "all", "map", 12, value, value, value) for system, value in maps.items()]
        figures.append(Figure(CHALLENGER, "all", MODEL_VERSION, 0, float(version)))
        if champion is not None:
            figures.append(Figure(CHAMPION, "all", MODEL_VERSION, 0, float(incumbent(job) or 0)))
        table = figures_table(
            figures, EVALUATION_METRICS, as_of_date=as_of_date, fold_start=as_of_date - WEEK, run_id="r"
        )
        job.warehouse.publish_arrow(EVALUATION_METRICS, table, {"as_of_date": [as_of_date]})
        return gate.main(job_of(tmp_path, as_of_date))

    run.alias, run.usable = aliases, usable  # type: ignore[attr-defined]
    return run


def job_of(warehouse: Path, as_of_date: date) -> Job:
    settings = Settings(as_of_date=as_of_date, warehouse=str(warehouse), run_id="r")
    return Job("evaluation.gate", settings, gate.READS, gate.WRITES)


def decisions(warehouse: Path) -> list[dict]:
    rows = job_of(warehouse, WEEKS[0]).read_arrow(MODEL_DECISIONS).to_pylist()
    return sorted(rows, key=lambda row: row["as_of_date"])


def test_weeks_reruns_and_backfills(week: Callable[..., str], tmp_path: Path) -> None:
    assert week(WEEKS[1], "1", 0.03).startswith("version 1 promoted: MAP@12 0.0300 beats")
    assert week(WEEKS[2], "2", 0.028, champion=0.029).startswith("version 2 not promoted")
    assert week(WEEKS[3], "3", 0.04, champion=0.03).startswith("version 3 promoted")
    assert week.alias == ["1", "1", "3"]  # type: ignore[attr-defined]
    before = decisions(tmp_path)

    # A rerun of a date: the same verdict, once; it does not meet itself as champion.
    week(WEEKS[3], "3", 0.04, champion=0.03)
    assert decisions(tmp_path) == before

    # A backfill of an older week meets no champion of its future, and does not move the alias back.
    said = week(WEEKS[0], "4", 0.031)
    assert said.startswith("version 4 promoted")
    assert said.endswith("the alias champion stays with version 3 of 2020-09-23, a later week")
    assert week.alias[-1] == "3"  # type: ignore[attr-defined]
    champions = [champion_as_of(job_of(tmp_path, day)) for day in (WEEKS[0] - WEEK, *WEEKS)]
    assert champions == [None, "4", "1", "1", "3"]
    assert [incumbent(job_of(tmp_path, day)) for day in WEEKS] == [None, "4", "1", "1"]

    # Trained again, and worse: the date loses its champion, and the older one is champion again.
    assert week(WEEKS[3], "5", 0.01, champion=0.03).startswith("version 5 not promoted")
    assert champion_as_of(job_of(tmp_path, WEEKS[3])) == "1"
    assert week.alias[-1] == "1"  # type: ignore[attr-defined]


def test_a_champion_that_learnt_from_the_label_week_is_not_met(week: Callable[..., str], tmp_path: Path) -> None:
    week(WEEKS[1], "1", 0.03)
    assert incumbent(job_of(tmp_path, date(2020, 9, 15))) is None
    assert incumbent(job_of(tmp_path, date(2020, 9, 16))) == "1"


def test_a_champion_of_other_inputs_is_passed_over(
    week: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    week(WEEKS[0], "1", 0.03)
    week(WEEKS[1], "2", 0.04, champion=0.03)
    week.usable.discard("2")  # type: ignore[attr-defined]
    assert incumbent(job_of(tmp_path, WEEKS[2])) == champion_as_of(job_of(tmp_path, WEEKS[1])) == "1"
    assert "passing over version 2, trained with other inputs than this code's" in capsys.readouterr().out
    week.usable.clear()  # type: ignore[attr-defined]
    assert champion_as_of(job_of(tmp_path, WEEKS[2])) is None
    assert week(WEEKS[2], "3", 0.03).startswith("version 3 promoted"), "it has only the baselines to beat"


def test_the_newest_version_of_the_date_is_the_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def find(name: str, as_of_date: str) -> list[ModelVersion]:
        asked.append((name, as_of_date))
        return [ModelVersion(name, version, "r", {}) for version in ("9", "4")] if as_of_date == "2020-09-16" else []

    monkeypatch.setattr(registry, "find_versions", find)
    assert version_of_run(Settings(as_of_date=date(2020, 9, 16))) == "9"
    assert asked == [("weekly_recommender", "2020-09-16")]
    with pytest.raises(JobError, match=r"no version of 2020-09-09 is registered; run ranking\.train"):
        version_of_run(Settings(as_of_date=date(2020, 9, 9)))
