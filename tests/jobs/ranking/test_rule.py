"""The ranker's start: places of candidates by each rule, and which rule the weeks are for."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from jobs.platform.codes import NO_ARTICLE
from jobs.ranking.rule import RULES, best_rule, log_odds
from jobs.retrieval.candidates import Merged, merge
from jobs.retrieval.source import TopK


def found(*rows: dict[int, float], count: int = 4) -> TopK:
    """Articles with their scores, per customer."""
    articles = np.full((len(rows), count), NO_ARTICLE, dtype=np.int32)
    scores = np.full((len(rows), count), np.nan, dtype=np.float32)
    for row, known in enumerate(rows):
        articles[row, : len(known)], scores[row, : len(known)] = list(known), list(known.values())
    return TopK(articles, scores)


@pytest.fixture
def merged() -> Merged:
    """Of two customers: own articles 1 (3 days ago), 2 (30 days), 3 (31); a variant 5; best sellers 7, 2, 8; 9."""
    return merge(
        {
            "repurchase": found({1: -2.5, 2: -29.5, 3: -30.5}, {}),
            "same_product": found({5: -2.5}, {}),
            "popularity": found({7: 9, 2: 8, 8: 7}, {7: 9, 2: 8, 8: 7}),
            "two_tower": found({9: 1.0}, {9: 1.0, 7: 0.5}),
        }
    )


def places(merged: Merged, rule: str) -> list[dict[int, float]]:
    of = RULES[rule](merged)
    rows = zip(merged.articles.tolist(), of.tolist(), strict=True)
    return [{a: p for a, p in zip(*row, strict=True) if a != NO_ARTICLE} for row in rows]


def test_by_hand(merged: Merged) -> None:
    alone = {7: 1, 2: 2, 8: 3, 9: 4}
    assert places(merged, "own_first") == [{1: 1, 2: 2, 3: 3, 7: 4, 8: 6, 5: 7, 9: 7}, alone]
    # 12 places for best sellers come before what was bought more than 30 days ago.
    assert places(merged, "rules") == [{1: 1, 2: 2, 5: 3, 7: 4, 8: 6, 3: 16, 9: 17}, alone]
    assert places(merged, "popular_first") == [{7: 1, 2: 2, 8: 3, 1: 4, 3: 6, 5: 7, 9: 7}, alone]
    assert np.isnan(RULES["rules"](merged)[merged.articles == NO_ARTICLE]).all()


def test_the_worth_of_a_place_halves_when_it_doubles() -> None:
    assert np.diff(np.exp(log_odds(np.array([1, 2, 4], dtype=np.float32)))) == pytest.approx([-0.5, -0.25])


def test_the_rule_that_has_what_was_bought_ahead_is_chosen() -> None:
    labels = [np.array([0, 1, 1], dtype=np.float32), np.array([1, 0], dtype=np.float32)]
    near, far = ([np.array(p, dtype=np.float32) for p in some] for some in ([[3, 2, 9], [4, 1]], [[1, 3, 13], [4, 1]]))
    for better, worse in pairwise([*RULES, "own_first"]):
        assert best_rule(labels, [{better: n, worse: f} for n, f in zip(near, far, strict=True)]) == better
