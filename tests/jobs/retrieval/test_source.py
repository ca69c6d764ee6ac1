"""Choosing the best articles, against plain Python."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from jobs.platform.codes import NO_ARTICLE, Ints
from jobs.retrieval.source import Floats, TopK, best, best_per_group, best_per_row, dedupe

WIDTH = 9
FINDS = st.lists(st.tuples(st.integers(NO_ARTICLE, 6), st.sampled_from([-2.5, -1.0, 0.0, 0.25, 3.0])), max_size=WIDTH)
BY_GROUP = st.dictionaries(st.tuples(st.integers(0, 3), st.integers(0, 6)), st.sampled_from([0.25, 1.0, 3e9]))
ROWS = st.lists(FINDS, min_size=1, max_size=4)


def matrices(rows: list[list[tuple[int, float]]]) -> tuple[Ints, Floats]:
    """Rows of (article, score), padded."""
    full = [row + [(NO_ARTICLE, float("nan"))] * (WIDTH - len(row)) for row in rows]
    both = np.array(full, dtype=np.float32)
    return both[:, :, 0].astype(np.int32), both[:, :, 1]


def as_lists(found: TopK) -> list[list[tuple[int, float]]]:
    pairs = [zip(*row, strict=True) for row in zip(found.articles.tolist(), found.scores.tolist(), strict=True)]
    return [[(article, score) for article, score in row if article != NO_ARTICLE] for row in pairs]


def falling(finds: dict[int, float], count: int) -> list[tuple[int, float]]:
    return sorted(finds.items(), key=lambda find: (-find[1], find[0]))[:count]


@settings(deadline=None)
@given(ROWS, st.integers(1, 12))
def test_best_of_articles_found_once_or_often(rows: list[list[tuple[int, float]]], count: int) -> None:
    for ufunc, merged in ((np.maximum, max), (np.add, sum)):
        expected = []
        for row in rows:
            scores: dict[int, list[float]] = {}
            for article, score in row:
                if article != NO_ARTICLE:
                    scores.setdefault(article, []).append(score)
            expected.append(falling({article: merged(all_of) for article, all_of in scores.items()}, count))
        found = best(*dedupe(*matrices(rows), ufunc), count)
        assert found.articles.shape == (len(rows), count)
        assert as_lists(found) == expected


@settings(deadline=None)
@given(
    st.dictionaries(st.tuples(st.integers(0, 3), st.integers(0, 6)), st.sampled_from([0.25, 1.0, 3e9])),
    st.integers(1, 4),
)
def test_best_per_row_and_per_group(scores: dict[tuple[int, int], float], count: int) -> None:
    expected = [falling({a: s for (g, a), s in scores.items() if g == group}, count) for group in range(4)]
    group, article = np.array([*scores], dtype=np.int32).reshape(-1, 2).T
    values = np.array([*scores.values()], dtype=np.float32)
    assert as_lists(best_per_group(group, article, values, 4, count)) == expected
    matrix = sparse.csr_matrix((values, (group, article)), shape=(4, 7))
    assert as_lists(best_per_row(matrix, count)) == expected


def test_largest_codes_and_every_kind_of_score_survive() -> None:
    articles = np.array([[2**31 - 1, 5, NO_ARTICLE, 0]], dtype=np.int32)
    scores = np.array([[-np.inf, 1e-40, np.nan, -3e38]], dtype=np.float32)
    found = best(articles, scores, 4)
    assert found.articles.tolist() == [[5, 0, 2**31 - 1, NO_ARTICLE]]
    assert found.scores[0, :3].tolist() == pytest.approx([1e-40, -3e38, -np.inf])
