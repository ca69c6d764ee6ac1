"""Baselines on the 13 purchases of the retrieval tests."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.platform.codes import NO_ARTICLE
from jobs.retrieval import baselines
from jobs.retrieval.baselines import BASELINES, first_distinct
from tests.jobs.retrieval.small import on, purchases
from tests.jobs.retrieval.test_sources import AS_OF, HISTORY, ROWS

CUSTOMERS = np.array([0, 2, 3], dtype=np.int32)


def test_baselines_by_hand() -> None:
    lists = {name: baseline(HISTORY, CUSTOMERS, AS_OF, 6).tolist() for name, baseline in BASELINES.items()}
    assert lists == {
        "popularity_7d": [[2, 3, 1, 0, 4, -1]] * 3,
        "own_recent_purchases": [[1, 3, 2, 0, -1, -1], [4, -1, -1, -1, -1, -1], [-1] * 6],
        "own_recent_then_popularity": [[1, 3, 2, 0, 4, -1], [4, 2, 3, 1, 0, -1], [2, 3, 1, 0, 4, -1]],
        "rules": [[1, 3, 2, 0, 4, -1], [4, 2, 3, 1, 0, -1], [2, 3, 1, 0, 4, -1]],  # every article its own product
    }


def test_rules_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of day 500: customer 0 bought 3 lately, 0 within 400 days, 5 before that; the others buy the rest."""
    monkeypatch.setattr(baselines, "POPULAR", 2)
    own = [(480, 0, 3), (200, 0, 0), (50, 0, 5)]
    week = [(496, 1, 7)] * 3 + [(495, 1, 4)] * 2 + [(497, 1, 6)]
    older = [(450, 1, 1), (300, 1, 2), (480, 1, 8)]
    history = purchases([*own, *week, *older], customers=3, articles=9, product=[0, 0, 0, 1, 1, 2, 3, 4, 2])
    found = baselines.rules(history, np.array([0, 2], dtype=np.int32), on(500), 9)
    # 3: lately. 4, then 1: variants; 2 sold too long ago, 8's product was bought too long ago. 7 (and 4): best sellers.
    # 0, 5: other own ones. 6 sold this week, 2 and 8 did not.
    assert found.tolist() == [[3, 4, 1, 7, 0, 5, 6, 2, 8], [7, 4, 6, 0, 1, 2, 3, 5, 8]]


def test_baselines_see_nothing_of_the_label_week() -> None:
    more = purchases([*ROWS, (20, 0, 6), (21, 3, 6), (26, 2, 1)], customers=4, articles=7)
    for baseline in BASELINES.values():
        assert np.array_equal(baseline(more, CUSTOMERS, AS_OF, 30), baseline(HISTORY, CUSTOMERS, AS_OF, 30))


@given(st.lists(st.lists(st.integers(-1, 6), min_size=8, max_size=8), min_size=1, max_size=5), st.integers(1, 8))
def test_first_distinct_equals_the_obvious_loop(rows: list[list[int]], width: int) -> None:
    expected = []
    for row in rows:
        distinct = list(dict.fromkeys(article for article in row if article != NO_ARTICLE))[:width]
        expected.append(distinct + [NO_ARTICLE] * (width - len(distinct)))
    assert first_distinct(np.array(rows, dtype=np.int32), width).tolist() == expected
