"""The funnel on the label week of the protocol's tests: three buyers, five purchases, three sources."""

from __future__ import annotations

import numpy as np
import pytest

from expectations.evaluation import EVALUATION_METRICS
from jobs.evaluation.figures import figures_of, figures_table
from jobs.evaluation.funnel import CEILING, MERGED, RANKED, hit_shares, in_words, measure, picture, round_robin
from jobs.evaluation.protocol import Figure, LabelWeek
from jobs.platform.errors import JobError
from tests.jobs.evaluation.test_protocol import FOLD, HISTORY, LABELS, MODEL, OTHER
from tests.jobs.platform.checked import check
from tests.jobs.retrieval.small import on

# Buyers 0, 1, 2 bought {4, 6}, {1}, {0, 5}; 6 was not on sale yet.
SOURCES = {
    "own": [[4, 3, 0], [2, 1, -1], [-1, -1, -1]],
    "near": [[4, 5, 2], [3, 4, 5], [5, 1, 2]],
    "top": [[3, 4, 0], [3, 4, 0], [3, 4, 0]],
}
# The sources take turns: own's first, near's first, top's first, own's second, ...
UNLEARNED = [[4, 3, 5, 0, 2, -1], [2, 3, 1, 4, 5, 0], [5, 3, 1, 4, 2, 0]]
BEST = [[4, 3, 5, 0, 2, -1], [1, 2, 3, 4, 5, 0], [0, 5, 3, 1, 4, 2]]


def ranks() -> tuple[np.ndarray, list[np.ndarray]]:
    """The merged candidates by code, and each one's rank in every source."""
    merged = np.tile(np.arange(6, dtype=np.int32), (3, 1))
    places = [np.full((3, 6), np.nan, dtype=np.float32) for _ in SOURCES]
    for place, lists in zip(places, SOURCES.values(), strict=True):
        for row, articles in enumerate(lists):
            for rank, article in enumerate(articles, start=1):
                if article >= 0:
                    place[row, article] = rank
    merged[np.all(np.isnan(places), axis=0)] = -1
    return merged, places


def figures(ranked: list[list[int]] = BEST) -> list[Figure]:
    week = LabelWeek(HISTORY, LABELS, on(FOLD))
    week.add("model", MODEL)
    week.add("other", OTHER)
    for source, lists in SOURCES.items():
        week.add(f"candidates/{source}", np.array(lists, dtype=np.int32))
    week.add(MERGED, round_robin(*ranks()))
    week.add(RANKED, np.array(ranked, dtype=np.int32))
    found = figures_of([week], seed=1, measure=measure)[on(FOLD)]
    return found + hit_shares(found)


def values(found: list[Figure], group: str = "all") -> dict[tuple[str, str, int], float]:
    return {(f.system.removeprefix("candidates/"), f.metric, f.k): f.value for f in found if f.slice == group}


def test_the_sources_take_turns() -> None:
    assert round_robin(*ranks()).tolist() == UNLEARNED


def test_what_each_source_finds_and_no_other() -> None:
    value = values(figures())
    # own: 4 of {4, 6}; 1; nothing. near: 4; nothing; 5. top: 4; nothing; 0.
    assert value["own", "candidate_recall", 0] == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert value["near", "candidate_recall", 0] == pytest.approx((1 / 2 + 0 + 1 / 2) / 3)
    assert value["top", "candidate_recall", 0] == pytest.approx((1 / 2 + 0 + 1 / 2) / 3)
    # All three found buyer 0's article 4.
    assert value["own", "unique_recall", 0] == pytest.approx((0 + 1 + 0) / 3)
    assert value["near", "unique_recall", 0] == pytest.approx((0 + 0 + 1 / 2) / 3)
    assert value["merged", "candidate_recall", 0] == pytest.approx((1 / 2 + 1 + 1) / 3)
    # Four purchases found in all; own found 4 and 1, near 4 and 5.
    assert value["own", "hit_share", 0] == value["near", "hit_share", 0] == pytest.approx(2 / 4)
    assert value["own", "candidates_per_customer", 0] == pytest.approx(5 / 3)
    assert value["merged", "candidates_per_customer", 0] == pytest.approx(17 / 3)
    assert values(figures(), "no_history")["own", "hit_share", 0] == 0


def test_the_ceiling_and_the_ranker_on_the_same_candidates() -> None:
    value = values(figures())
    # Unlearned: 4 first of two; 1 third; 5 first and 0 sixth.
    unlearned = (1 / 2 + 1 / 3 + (1 + 2 / 6) / 2) / 3
    ceiling = (1 / 2 + 1 + 1) / 3  # article 6 was no candidate
    assert value["merged", "map", 12] == pytest.approx(unlearned)
    assert value["merged", CEILING, 12] == pytest.approx(ceiling)
    assert value["ranked", "map", 12] == pytest.approx(ceiling)
    assert value["ranked", "map_minus_candidates/merged", 12] == pytest.approx(ceiling - unlearned)
    # A ranker that changes nothing has no lift.
    assert values(figures(UNLEARNED))["ranked", "map_minus_candidates/merged", 12] == 0


def test_the_systems_are_judged_as_without_candidates() -> None:
    value = values(figures())
    assert value["model", "map", 12] == pytest.approx((1 / 2 + 1 / 2 + 5 / 6) / 3)
    assert value["model", "map_minus_other", 12] == pytest.approx((1 / 4 - 1 / 2 + 5 / 6) / 3)
    assert not [metric for _, metric, _ in value if metric.startswith("map_minus_candidates/own")]


def test_recall_at_the_cut_offs_a_source_is_wide_enough_for() -> None:
    week = LabelWeek(HISTORY, LABELS, on(FOLD))
    wide = np.full((3, 60), -1, dtype=np.int32)
    wide[:, :3] = SOURCES["own"]
    wide[1, 10] = 4  # below place 10, and no purchase
    wide[0, 1:12] = -1
    lists = {"model": MODEL, "candidates/own": wide, MERGED: wide, RANKED: wide}
    for system, ranked in lists.items():
        week.add(system, ranked)
    value = values(figures_of([week], seed=1, measure=measure)[on(FOLD)])
    assert value["own", "recall", 10] == value["own", "recall", 50] == pytest.approx((1 / 2 + 1) / 3)
    assert ("own", "recall", 100) not in value


def test_a_source_that_has_seen_the_future_is_refused() -> None:
    week = LabelWeek(HISTORY, LABELS, on(FOLD))
    with pytest.raises(JobError, match=r"candidates/near: 1 picks .* such as a06"):
        week.add("candidates/near", np.array([[6, 4], [1, 2], [3, 4]], dtype=np.int32))


def test_picture_words_and_rows() -> None:
    found = figures()
    drawn = picture(found, "weeks from 2020-09-20")
    recalls, maps = drawn.axes
    assert [label.get_text() for label in recalls.get_yticklabels()] == ["top", "near", "own", "merged"]
    assert [bar.get_width() for bar in recalls.containers[0]] == pytest.approx([1 / 3, 1 / 3, 1 / 2, 5 / 6])
    assert [bar.get_height() for bar in maps.containers[0]] == pytest.approx([1 / 2, 5 / 6, 5 / 6])
    assert in_words(found) == (
        "candidates: 6 a buyer hold 0.833 of the purchases (own alone 0.500); MAP@12 0.5000 unranked, 0.8333 ranked,"
        " 0.8333 at best"
    )
    check(EVALUATION_METRICS, figures_table(found, EVALUATION_METRICS, as_of_date=on(57), fold_start=None, run_id="r"))
