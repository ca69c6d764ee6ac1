"""What a system adds to the candidates, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from jobs.evaluation import incremental_recall as worth
from jobs.evaluation.figures import figures_of
from jobs.evaluation.incremental_recall import add_candidates, measure, take_turns
from jobs.evaluation.protocol import LabelWeek
from jobs.platform.codes import NO_ARTICLE, Ints
from jobs.retrieval.source import TopK
from tests.jobs.retrieval.small import on, purchases

_ = NO_ARTICLE


def lists(*rows: list[int]) -> Ints:
    return np.array(rows, dtype=np.int32)


def test_lists_take_turns_and_name_an_article_once() -> None:
    one, two = lists([1, 2, 3], [4, _, _]), lists([2, 5], [_, _])
    assert take_turns([one, two]).tolist() == [[1, 2, 5, 3, _], [4, _, _, _, _]]


class Sources:
    """Two sources; customer c's lists are the rows c."""

    FOUND = (lists([1, 2], [2, 0], [8, _]), lists([2, _], [4, _], [8, _]))

    def of(self, customers: Ints) -> dict[str, TopK]:
        return {str(i): TopK(found[customers], found[customers]) for i, found in enumerate(self.FOUND)}


def worth_of(own: Ints) -> dict[tuple[str, int], float]:
    """Three buyers of {1, 5}, {2, 6, 7} and {8}; every article is on sale."""
    history = purchases([(0, c, a) for a in range(10) for c in (0, 1, 2)], customers=3, articles=10)
    labels = purchases([(10, 0, 1), (10, 0, 5), (11, 1, 2), (11, 1, 6), (12, 1, 7), (16, 2, 8)], 3, 10)
    week = LabelWeek(history, labels, on(10))
    week.add("als", own)
    add_candidates(week, own, Sources())  # type: ignore[arg-type]
    figures = figures_of([week], 0, measure)[None]
    return {(f.metric, f.k): f.value for f in figures if (f.system, f.slice) == ("als", "all")}


def test_unique_recall_and_gain() -> None:
    found = worth_of(lists([5, 0], [2, 6], [3, _]))
    assert found["own_recall", 100] == pytest.approx((1 / 2 + 2 / 3) / 3)
    assert found["unique_recall", 100] == pytest.approx((1 / 2 + 1 / 3) / 3)  # 2 is a candidate already
    assert found["merged_recall", 100] == pytest.approx((1 / 2 + 1 / 3 + 1) / 3)
    assert found["merged_recall_with", 100] == pytest.approx((1 + 2 / 3 + 1) / 3)
    assert found["merged_gain", 100] == pytest.approx((1 / 2 + 1 / 3) / 3)


def test_in_as_many_places_a_system_may_crowd_out_what_others_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worth, "CANDIDATES", 2)
    # The sources' turns 1, 2 and 2, 4 leave the system no place; of the third's one article it takes the second.
    assert worth_of(lists([5, 0], [2, 6], [3, _]))["merged_gain", 2] == pytest.approx(0)
    monkeypatch.setattr(worth, "CANDIDATES", 3)
    found = worth_of(lists([5, 0], [6, 7], [3, _]))
    # 1, 2, 5 and 2, 4, 6: one more each.
    assert found["merged_gain", 3] == pytest.approx((1 / 2 + 1 / 3) / 3)
    assert found["unique_recall", 3] == pytest.approx((1 / 2 + 2 / 3) / 3)
