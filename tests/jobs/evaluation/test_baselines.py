"""Baselines on the 13 purchases of the retrieval tests."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from jobs.evaluation.baselines import BASELINES, first_distinct
from jobs.platform.codes import NO_ARTICLE
from tests.jobs.retrieval.small import purchases
from tests.jobs.retrieval.test_sources import AS_OF, HISTORY, ROWS

CUSTOMERS = np.array([0, 2, 3], dtype=np.int32)


def test_baselines_by_hand() -> None:
    lists = {name: baseline(HISTORY, CUSTOMERS, AS_OF, 6).tolist() for name, baseline in BASELINES.items()}
    assert lists == {
        "popularity_7d": [[2, 3, 1, 0, 4, -1]] * 3,
        "own_recent_purchases": [[1, 3, 2, 0, -1, -1], [4, -1, -1, -1, -1, -1], [-1] * 6],
        "own_recent_then_popularity": [[1, 3, 2, 0, 4, -1], [4, 2, 3, 1, 0, -1], [2, 3, 1, 0, 4, -1]],
    }


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
