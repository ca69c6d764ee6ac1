"""The gate: who is promoted, in which words, and what reruns and backfills may not change."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from expectations.evaluation import EVALUATION_METRICS, MODEL_DECISIONS
from jobs.evaluation import gate, registry, rollback
from jobs.evaluation.figures import figures_table
from jobs.evaluation.funnel import CEILING, MERGED
from jobs.evaluation.gate import Scores, Verdict, decide
from jobs.evaluation.protocol import (
    BUYER_SLICES,
    CHALLENGER,
    CHAMPION,
    MODEL_VERSION,
    PURCHASE_SLICES,
    Figure,
)
from jobs.evaluation.registry import champion_as_of, incumbent, version_of_run
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.settings import WEEK, Settings
from jobs.platform.tracking import ModelVersion

BASELINES = {"popularity_7d": 0.01, "own_recent_purchases": 0.02, "own_recent_then_popularity": 0.026}
WEEKS = [date(2020, 9, 2), date(2020, 9, 9), date(2020, 9, 16), date(2020, 9, 23)]
FOLDS = [date(2020, 8, 5), date(2020, 8, 12), date(2020, 8, 19), date(2020, 8, 26)]
SLICES = ("all", *BUYER_SLICES, *PURCHASE_SLICES)
NOISE = 2**-10  # of exact fractions, so that an interval can touch zero


def figures(
    challenger: float,
    champion: float | None = None,
    *,
    challenger_version: str = "5",
    champion_version: str = "3",
    slices: dict[str, float] | None = None,
    noise: float | dict[str, float] = NOISE,
    coverage: float = 0.3,
    ceiling: float = 0.2,
    **baselines: float,
) -> list[Figure]:
    """Pooled figures: each system the same in every slice, except the challenger's in `slices`.

    `noise` is half the width of every interval, or of those of a slice.
    """
    maps = {CHALLENGER: challenger} | BASELINES | baselines | ({} if champion is None else {CHAMPION: champion})
    found = []
    for group in SLICES:
        values = maps | {CHALLENGER: (slices or {}).get(group, challenger)}
        half = noise.get(group, NOISE) if isinstance(noise, dict) else noise
        for system, value in values.items():
            found.append(Figure(system, group, "map", 12, value, value, value))
            found.append(Figure(system, group, "buyers", 0, 100.0))
            if system != CHALLENGER:
                less = values[CHALLENGER] - value
                found.append(Figure(CHALLENGER, group, f"map_minus_{system}", 12, less, less - half, less + half))
        found.append(Figure(MERGED, group, CEILING, 12, ceiling))
    found += [Figure(system, "all", "coverage", 12, 0.8) for system in BASELINES]
    found.append(Figure(CHALLENGER, "all", "coverage", 12, coverage))
    found.append(Figure(CHALLENGER, "all", MODEL_VERSION, 0, float(challenger_version)))
    if champion is not None:
        found.append(Figure(CHAMPION, "all", MODEL_VERSION, 0, float(champion_version)))
    return found


def rows(found: list[Figure], folds: list[date] = FOLDS, as_of_date: date = WEEKS[0]) -> pa.Table:
    """Rows of evaluation_metrics: these figures pooled, and one of each fold."""
    facts = {"as_of_date": as_of_date, "run_id": "r"}
    tables = [figures_table(found, EVALUATION_METRICS, fold_start=None, **facts)]
    tables += [figures_table(found[:1], EVALUATION_METRICS, fold_start=fold, **facts) for fold in folds]
    return pa.concat_tables(tables)


def judge(*args: float | None, champion: float | None = None, accept_drift: bool = False, **kwargs: Any) -> Verdict:
    """The verdict on figures as `figures` makes them."""
    scores = Scores.of(rows(figures(*args, champion, **kwargs)))
    return decide(scores, "5", None if champion is None else "3", accept_drift)


def test_the_first_model_needs_to_beat_the_baselines() -> None:
    verdict = judge(0.03)
    assert verdict.is_promoted
    assert verdict.reason == (
        "MAP@12 0.0300 over 4 weeks beside popularity_7d 0.0100, own_recent_purchases 0.0200, "
        "own_recent_then_popularity 0.0260; difference to own_recent_then_popularity +0.0040 (95 % interval +0.0030 to "
        "+0.0050)"
    )
    assert (verdict.best_baseline, verdict.best_baseline_map_at_12) == ("own_recent_then_popularity", 0.026)
    assert verdict.best_baseline_difference_ci_low == pytest.approx(0.004 - NOISE)
    assert verdict.incumbent_map_at_12 is verdict.incumbent_difference is None
    assert (verdict.folds, verdict.coverage_at_12, verdict.ceiling_map_at_12) == (4, 0.3, 0.2)
    assert verdict.coverage_at_12_floor == pytest.approx(0.08)


@pytest.mark.parametrize(
    ("challenger", "champion", "is_promoted"),
    [
        (0.032, 0.03, True),
        (2**-5 + NOISE, 2**-5, False),  # the interval touches zero: that may be noise
        (0.0305, 0.03, False),
        (0.03, 0.03, False),
        (0.03, 0.04, False),  # planted worse
        (0.0265, None, False),  # a baseline beaten only by noise
        (0.0259, 0.02, False),  # beats the champion, not the baseline
        (0.0, None, False),
    ],
)
def test_only_a_model_that_beats_all_beyond_doubt_is_promoted(
    challenger: float, champion: float | None, is_promoted: bool
) -> None:
    verdict = judge(challenger, champion=champion)
    assert verdict.is_promoted == is_promoted
    assert ("does not beat" in verdict.reason) != is_promoted


def test_the_reason_names_who_was_not_beaten() -> None:
    verdict = judge(0.025, champion=0.03)
    assert verdict.reason.startswith("does not beat own_recent_then_popularity, champion (version 3) beyond doubt; ")
    assert "difference to champion (version 3) -0.0050" in verdict.reason
    assert verdict.incumbent_difference == pytest.approx(-0.005)
    assert verdict.incumbent_difference_ci_high == pytest.approx(-0.005 + NOISE)


def test_fewer_than_four_weeks_decide_nothing_for_the_challenger() -> None:
    verdict = decide(Scores.of(rows(figures(0.03), FOLDS[1:])), "5", None)
    assert not verdict.is_promoted and verdict.folds == 3
    assert verdict.reason.startswith("judged on 3 weekly folds, not on 4; MAP@12")


@pytest.mark.parametrize("group", [*BUYER_SLICES, *PURCHASE_SLICES])
def test_better_overall_but_one_slice_falls(group: str) -> None:
    verdict = judge(0.035, champion=0.03, slices={group: 0.025})
    assert not verdict.is_promoted
    assert verdict.reason.startswith(f"{group} falls by 17% against champion (version 3): -0.0050")
    assert verdict.worst_slice == group and verdict.worst_slice_change == pytest.approx(-1 / 6)
    # Less than the margin, or so few buyers that it may be chance.
    assert judge(0.035, champion=0.03, slices={group: 0.0275}).is_promoted
    assert judge(0.035, champion=0.03, slices={group: 0.025}, noise={group: 0.006}).is_promoted


def test_the_first_champion_may_share_places_out_among_purchases_but_fails_no_buyers() -> None:
    assert judge(0.03, slices={"repurchase": 0.01}).is_promoted
    verdict = judge(0.03, slices={"older_history": 0.01})
    assert verdict.reason.startswith("older_history falls by 62% against own_recent_then_popularity")


def test_a_slice_in_which_the_other_hits_nothing_cannot_fall() -> None:
    verdict = judge(0.03, champion=0.0, slices={"no_history": 0.0})
    assert verdict.is_promoted and verdict.worst_slice is None


def test_lists_that_show_everybody_the_same_are_refused() -> None:
    verdict = judge(0.03, coverage=0.0799)
    assert not verdict.is_promoted
    assert verdict.reason.startswith("coverage@12 0.0799 is below the floor 0.0800")
    assert judge(0.03, coverage=0.0801).is_promoted


@pytest.mark.parametrize(
    ("popular", "own", "limit"),
    [
        (0.0087, 0.0264, 0.045),  # as on the full H&M data
        (0.087, 0.0264, 0.45),  # a small catalogue, easy for the best sellers
        (0.0087, 0.264, 0.45),  # groceries, easy for own purchases
        (0.00435, 0.0132, 0.0225),
    ],
)
def test_a_planted_leak_is_too_good_to_be_true(popular: float, own: float, limit: float) -> None:
    baselines = {"popularity_7d": popular, "own_recent_then_popularity": own, "own_recent_purchases": 0.001}
    honest = judge(limit - 1e-6, ceiling=0.9, noise=0.0, **baselines)
    assert honest.is_promoted and "believe" not in honest.reason
    leaking = judge(limit + 1e-6, ceiling=0.9, noise=0.0, **baselines)
    assert not leaking.is_promoted
    doubt = f"above {limit:.4f}, which these baselines make hard to believe"
    assert leaking.reason.startswith(f"{doubt}: look for a leak first; MAP@12")
    # Somebody has looked, and found none.
    accepted = judge(limit + 1e-6, ceiling=0.9, noise=0.0, accept_drift=True, **baselines)
    assert accepted.is_promoted and accepted.reason.endswith(f"{doubt}, and accepted")


def test_better_than_the_candidates_allow_is_refused_whatever_is_accepted() -> None:
    verdict = judge(0.03, slices={"older_history": 0.031}, ceiling=0.0305, accept_drift=True)
    assert not verdict.is_promoted
    assert verdict.reason.startswith("older_history: MAP@12 0.0310 is above 0.0305, all that its candidates allow")
    assert judge(0.03, ceiling=0.03).is_promoted
    assert not judge(0.03, slices={"no_history": 0.04}, ceiling=0.035).is_promoted


def without(found: list[Figure], system: str, metric: str, group: str, bad: float | None) -> list[Figure]:
    """The figures with one of them replaced, or left out."""
    hit = [f for f in found if (f.system, f.metric, f.slice) == (system, metric, group)]
    assert len(hit) == 1
    replaced = [] if bad is None else [Figure(system, group, metric, 12, bad, bad, bad)]
    return [f for f in found if f not in hit] + replaced


@pytest.mark.parametrize("bad", [math.nan, math.inf, None])
@pytest.mark.parametrize(
    ("system", "metric", "group"),
    [
        (CHALLENGER, "map", "all"),
        (CHAMPION, "map", "all"),
        ("popularity_7d", "map", "all"),
        (CHALLENGER, "map_minus_champion", "all"),
        (CHALLENGER, "map_minus_popularity_7d", "all"),
        (CHALLENGER, "map_minus_champion", "no_history"),
        (CHAMPION, "map", "repurchase"),
        (CHALLENGER, "coverage", "all"),
        ("own_recent_then_popularity", "coverage", "all"),
        (MERGED, CEILING, "all"),
        (MERGED, CEILING, "older_history"),
    ],
)
def test_missing_or_broken_figures_decide_nothing(system: str, metric: str, group: str, bad: float | None) -> None:
    found = without(figures(0.03, 0.02), system, metric, group, bad)
    with pytest.raises(JobError, match=rf"no usable {metric}@12 of {system} \({group}\); rerun evaluation.evaluate"):
        decide(Scores.of(rows(found)), "5", "3")


def test_a_difference_without_an_interval_decides_nothing() -> None:
    found = without(figures(0.03), CHALLENGER, "map_minus_popularity_7d", "all", None)
    found.append(Figure(CHALLENGER, "all", "map_minus_popularity_7d", 12, 0.02))
    with pytest.raises(JobError, match="no usable map_minus_popularity_7d@12"):
        decide(Scores.of(rows(found)), "5", None)


@pytest.mark.parametrize("versions", [("4", "3"), ("5", "2"), ("5", None)])
def test_figures_of_another_version_decide_nothing(versions: tuple[str, str | None]) -> None:
    mine, champion = versions
    found = figures(0.03, None if champion is None else 0.02, challenger_version=mine, champion_version=champion or "")
    with pytest.raises(JobError, match=r"rerun evaluation\.evaluate"):
        decide(Scores.of(rows(found)), "5", "3")


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

    for module in (gate, rollback):
        monkeypatch.setattr(module, "use_tracking", lambda settings: None)
        monkeypatch.setattr(module, "set_champion", lambda name, version: aliases.append(version))
    monkeypatch.setattr(registry, "find_versions", find_versions)

    def run(as_of_date: date, version: str, challenger: float, champion: float | None = None) -> str:
        job = job_of(tmp_path, as_of_date)
        registered[as_of_date.isoformat()] = version
        usable.add(version)
        found = figures(
            challenger, champion, challenger_version=version, champion_version=incumbent(job) or "", noise=0.0005
        )
        table = rows(found, as_of_date=as_of_date)
        job.warehouse.publish_arrow(EVALUATION_METRICS, table, {"as_of_date": [as_of_date]})
        return gate.main(job_of(tmp_path, as_of_date))

    run.alias, run.usable = aliases, usable  # type: ignore[attr-defined]
    return run


def roll_back(warehouse: Path, as_of_date: date) -> str:
    settings = Settings(as_of_date=as_of_date, warehouse=str(warehouse), run_id="back")
    return rollback.main(Job("evaluation.rollback", settings, rollback.READS, rollback.WRITES))


def job_of(warehouse: Path, as_of_date: date) -> Job:
    settings = Settings(as_of_date=as_of_date, warehouse=str(warehouse), run_id="r")
    return Job("evaluation.gate", settings, gate.READS, gate.WRITES)


def decisions(warehouse: Path) -> list[dict]:
    rows = job_of(warehouse, WEEKS[0]).read_arrow(MODEL_DECISIONS).to_pylist()
    return sorted(rows, key=lambda row: row["as_of_date"])


def test_weeks_reruns_and_backfills(week: Callable[..., str], tmp_path: Path) -> None:
    assert week(WEEKS[1], "1", 0.03).startswith("version 1 promoted: MAP@12 0.0300 over 4 weeks")
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


def test_a_rollback_is_honoured_by_what_runs_next(week: Callable[..., str], tmp_path: Path) -> None:
    week(WEEKS[0], "1", 0.03)
    week(WEEKS[1], "2", 0.04, champion=0.03)
    said = roll_back(tmp_path, WEEKS[1])
    assert said == "version 2 of 2020-09-09 rolled back as of 2020-09-09; champion again: version 1 of 2020-09-02"
    assert week.alias[-1] == "1"  # type: ignore[attr-defined]
    assert champion_as_of(job_of(tmp_path, WEEKS[1])) == incumbent(job_of(tmp_path, WEEKS[2])) == "1"
    row = decisions(tmp_path)[1]
    assert (row["is_promoted"], row["rolled_back_date"], row["run_id"]) == (False, WEEKS[1], "back")
    assert row["reason"].startswith("rolled back as of 2020-09-09; MAP@12 0.0400")

    # Once more: nothing changes, and only one version is taken back.
    before = decisions(tmp_path)
    said = roll_back(tmp_path, WEEKS[1])
    assert said == "version 2 was rolled back as of 2020-09-09 before; champion: version 1 of 2020-09-02"
    assert decisions(tmp_path) == before and week.alias[-1] == "1"  # type: ignore[attr-defined]

    # A rerun of the gate does not bring it back; a model that was trained again is another version.
    assert week(WEEKS[1], "2", 0.04, champion=0.03).startswith("version 2 not promoted: rolled back as of 2020-09-09;")
    assert decisions(tmp_path)[1]["rolled_back_date"] == WEEKS[1] and week.alias[-1] == "1"  # type: ignore[attr-defined]

    # The next week meets the champion that was put back.
    assert week(WEEKS[2], "3", 0.035, champion=0.03).startswith("version 3 promoted")
    assert decisions(tmp_path)[2]["incumbent_version"] == "1"
    assert week(WEEKS[1], "4", 0.038, champion=0.03).startswith("version 4 promoted")
    assert [champion_as_of(job_of(tmp_path, day)) for day in WEEKS] == ["1", "4", "3", "3"]


def test_the_date_says_which_champion_is_taken_back(week: Callable[..., str], tmp_path: Path) -> None:
    for day, version, score, champion in [(0, "1", 0.03, None), (1, "2", 0.032, 0.03), (3, "3", 0.034, 0.032)]:
        week(WEEKS[day], version, score, champion)
    said = roll_back(tmp_path, WEEKS[2])  # version 2 was champion then
    assert said.startswith("version 2 of 2020-09-09 rolled back as of 2020-09-16; champion again: version 1")
    assert said.endswith("the alias champion stays with version 3 of 2020-09-23, a later week")
    assert week.alias[-1] == "3"  # type: ignore[attr-defined]
    assert roll_back(tmp_path, WEEKS[3]).endswith("champion again: version 1 of 2020-09-02")
    assert week.alias[-1] == "1"  # type: ignore[attr-defined]


def test_nothing_to_roll_back_to(week: Callable[..., str], tmp_path: Path) -> None:
    with pytest.raises(JobError, match="nothing to roll back to, no version was promoted by 2020-09-02"):
        roll_back(tmp_path, WEEKS[0])
    week(WEEKS[0], "1", 0.03)
    week(WEEKS[1], "2", 0.02, champion=0.03)
    with pytest.raises(JobError, match="nothing to roll back to, version 1 is the only one promoted by 2020-09-09"):
        roll_back(tmp_path, WEEKS[1])
    assert champion_as_of(job_of(tmp_path, WEEKS[1])) == "1"


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
