"""Purchase arrays, popularity and repurchase, on 13 purchases that fit in one's head."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from jobs.platform.codes import NO_ARTICLE
from jobs.platform.errors import JobError
from jobs.retrieval.popularity import popular_articles
from jobs.retrieval.purchases import encode, first_per_group, sorted_ids
from jobs.retrieval.repurchase import own_articles
from tests.jobs.retrieval.small import on, purchases

# Day, customer, article. The as-of day is 20, so the last 7 days are 13..19.
ROWS = [
    (1, 0, 0), (1, 0, 0), (1, 1, 0), (2, 0, 1), (12, 2, 4), (12, 2, 4), (12, 2, 4),
    (13, 0, 2), (14, 1, 2), (19, 0, 1), (19, 0, 3), (19, 0, 3), (20, 1, 5),
]  # fmt: skip
AS_OF = on(20)
HISTORY = purchases(ROWS, customers=4, articles=7)


def test_windows_are_half_open() -> None:
    assert len(HISTORY.before(AS_OF)) == 12
    assert HISTORY.between(on(13), on(19)).article.tolist() == [2, 2]
    assert HISTORY.between(on(20), on(27)).article.tolist() == [5]
    assert HISTORY.before(AS_OF).articles_on_sale().tolist() == [True] * 5 + [False, False]


def test_popularity_counts_units_of_the_last_seven_days_then_the_past() -> None:
    # Last 7 days: article 2 twice, 3 twice, 1 once. Ties go to more units ever, then to the smaller code. Day 12 is
    # too early, so 4 and 0 only fill up: 3 units each. Article 5 sells on the as-of day, 6 never.
    assert popular_articles(HISTORY, AS_OF, 10).tolist() == [2, 3, 1, 0, 4]
    assert popular_articles(HISTORY, AS_OF, 2).tolist() == [2, 3]
    # A day later, day 13 has left the window and day 20 has come in.
    assert popular_articles(HISTORY, on(21), 10).tolist() == [3, 1, 2, 5, 0, 4]


def test_recent_purchases_order_is_day_then_units_then_code() -> None:
    ranked = own_articles(HISTORY.before(AS_OF)).of(np.array([2, 0, 3, 1], dtype=np.int32), 4)
    # Customer 0: day 19 brings 3 and 1; 1 has two units ever (days 2 and 19) as 3 has, so the smaller code leads.
    assert ranked.tolist() == [[4, -1, -1, -1], [1, 3, 2, 0], [-1, -1, -1, -1], [2, 0, -1, -1]]


def test_purchases_on_or_after_the_as_of_date_change_nothing() -> None:
    more = purchases([*ROWS, (20, 0, 6), (25, 3, 6), (26, 2, 1)], customers=4, articles=7)
    everyone = np.arange(4, dtype=np.int32)
    for history in (HISTORY, more):
        assert popular_articles(history, AS_OF, 10).tolist() == [2, 3, 1, 0, 4]
        assert own_articles(history.before(AS_OF)).of(everyone, 4)[0].tolist() == [1, 3, 2, 0]


def test_first_per_group_pads() -> None:
    groups, values = np.array([1, 1, 1, 4], dtype=np.int32), np.array([7, 5, 6, 9], dtype=np.int32)
    assert first_per_group(groups, values, [4, 1, 2], 2).tolist() == [[9, NO_ARTICLE], [7, 5], [NO_ARTICLE] * 2]


def test_codes_are_positions_in_the_sorted_ids() -> None:
    ids = sorted_ids(pa.chunked_array([["b", "c"], ["a"]]))
    assert encode(pa.chunked_array([["c", "a"]]), ids, "article").tolist() == [2, 0]
    with pytest.raises(JobError, match="1 rows name an unknown article, such as z"):
        encode(pa.chunked_array([["c", "z"]]), ids, "article")
