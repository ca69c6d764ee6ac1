"""Merging: by hand, and against plain Python."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.platform.codes import NO_ARTICLE
from jobs.retrieval.candidates import SOURCES, Merged, merge
from jobs.retrieval.source import TopK

Lists = dict[str, list[list[int]]]


def found(lists: Lists, width: int) -> dict[str, TopK]:
    """Rows of articles, padded; the score is 100 x the source's place, minus the rank."""
    both = {}
    for name, rows in lists.items():
        articles = np.array([row + [NO_ARTICLE] * (width - len(row)) for row in rows], dtype=np.int32)
        articles = articles.reshape(len(rows), width)
        scores = (100 * SOURCES.index(name) - 1.0 - np.arange(width)).astype(np.float32)
        both[name] = TopK(articles, np.where(articles == NO_ARTICLE, np.float32(np.nan), scores))
    return both


def by_hand(lists: Lists, row: int) -> list[tuple[int, str, dict[str, int]]]:
    """Article, first source, and its rank in every source that found it."""
    merged: dict[int, tuple[int, str, dict[str, int]]] = {}
    for name in SOURCES:
        for rank, article in enumerate(lists.get(name, [[]] * (row + 1))[row], start=1):
            merged.setdefault(article, (article, name, {}))[2][name] = rank
    return list(merged.values())


def as_list(merged: Merged, row: int) -> list[tuple[int, str, dict[str, int]]]:
    rows = []
    for place, article in enumerate(merged.articles[row].tolist()):
        ranks = {name: rank[row, place].item() for name, rank in merged.ranks.items()}
        known = {name: int(rank) for name, rank in ranks.items() if not math.isnan(rank)}
        for name, scores in merged.scores.items():
            expected = 100 * SOURCES.index(name) - known[name] if name in known else math.nan
            np.testing.assert_equal(scores[row, place].item(), expected)
        if article == NO_ARTICLE:
            assert not known
        else:
            rows.append((article, SOURCES[merged.sources[row, place]], known))
    return rows


def test_an_article_is_credited_to_the_first_source_and_known_to_all() -> None:
    merged = merge(found({"popularity": [[7, 3, 5], [3]], "repurchase": [[3, 9], []]}, 3))
    assert merged.articles.tolist() == [[3, 9, 7, 5], [3, -1, -1, -1]]
    own, popular = SOURCES.index("repurchase"), SOURCES.index("popularity")
    assert merged.sources.tolist()[0] == [own, own, popular, popular]
    assert merged.sources[1, 0] == popular
    nan = math.nan
    np.testing.assert_equal(merged.ranks["repurchase"].tolist(), [[1, 2, nan, nan], [nan] * 4])
    np.testing.assert_equal(merged.ranks["popularity"].tolist(), [[2, nan, 1, 3], [1, nan, nan, nan]])
    np.testing.assert_equal(merged.scores["repurchase"].tolist(), [[-1, -2, nan, nan], [nan] * 4])


@settings(deadline=None)
@given(st.data(), st.sets(st.sampled_from(SOURCES), min_size=1), st.integers(0, 4), st.integers(0, 6))
def test_as_plain_python(data: st.DataObject, names: set[str], rows: int, width: int) -> None:
    articles = st.lists(st.sampled_from([0, 1, 2, 3, 4, 5, 105_541]), max_size=width, unique=True)
    lists = {name: data.draw(st.lists(articles, min_size=rows, max_size=rows)) for name in sorted(names)}
    merged = merge(found(lists, width))
    expected = [by_hand(lists, row) for row in range(rows)]
    assert [as_list(merged, row) for row in range(rows)] == expected
    widest = max(map(len, expected), default=0)
    every = [merged.articles, merged.sources, *merged.ranks.values(), *merged.scores.values()]
    assert {part.shape for part in every} == {(rows, widest)}
    assert set(merged.ranks) == set(merged.scores) == names
