"""The gate: who is promoted, and in which words."""

from __future__ import annotations

import math
from typing import Any

import pytest

from jobs.evaluation.funnel import CEILING, MERGED
from jobs.evaluation.gate import Scores, Verdict, decide
from jobs.evaluation.protocol import (
    BUYER_SLICES,
    CHALLENGER,
    CHAMPION,
    PURCHASE_SLICES,
    Figure,
)
from jobs.platform.errors import JobError
from tests.jobs.evaluation.gate_figures import FOLDS, NOISE, figures, rows


def judge(*args: float | None, champion: float | None = None, accept_drift: bool = False, **kwargs: Any) -> Verdict:
    """The verdict on figures as `figures` makes them."""
    scores = Scores.of(rows(figures(*args, champion, **kwargs)))
    return decide(scores, "5", None if champion is None else "3", accept_drift)


def test_the_first_model_needs_to_beat_the_baselines() -> None:
    verdict = judge(0.03)
    assert verdict.is_promoted
    assert verdict.reason == (
        "MAP@12 0.0300 over 4 weeks beside popularity_7d 0.0100, own_recent_purchases 0.0200, "
        "own_recent_then_popularity 0.0260, rules 0.0250; difference to own_recent_then_popularity +0.0040 "
        "(95 % interval +0.0030 to +0.0050)"
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
def test_only_a_model_whose_lead_over_all_is_significant_is_promoted(
    challenger: float, champion: float | None, is_promoted: bool
) -> None:
    verdict = judge(challenger, champion=champion)
    assert verdict.is_promoted == is_promoted
    assert ("does not beat" in verdict.reason) != is_promoted


def test_the_reason_names_who_was_not_beaten() -> None:
    verdict = judge(0.025, champion=0.03)
    assert verdict.reason.startswith(
        "does not beat own_recent_then_popularity, rules, champion (version 3) significantly; "
    )
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
    others = {"own_recent_purchases": 0.001, "rules": 0.001}
    baselines = others | {"popularity_7d": popular, "own_recent_then_popularity": own}
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
    found = figures(0.03, None if champion is None else 0.02)
    with pytest.raises(JobError, match=r"rerun evaluation\.evaluate"):
        decide(Scores.of(rows(found, challenger_version=mine, champion_version=champion or "")), "5", "3")


# ---- whole runs, with the registry's answers given
