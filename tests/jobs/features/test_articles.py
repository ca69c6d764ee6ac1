"""article_features: a table computed by hand."""

from __future__ import annotations

from datetime import date

import pytest

from expectations.features import ARTICLE_FEATURES
from tests.jobs.features.histories import features, rows

AS_OF = date(2020, 9, 16)
LINES = [
    # exactly 30 days ago, two units on one day; the sale on the as-of date does not count
    (date(2020, 9, 15), "a", "x", 0.5, 2),
    (date(2020, 8, 17), "b", "x", 1.0, 1),
    (date(2020, 9, 10), "b", "x", 2.0, 2),
    (date(2020, 9, 10), "b", "x", 2.0, 2),
    (date(2020, 9, 16), "c", "x", 99.0, 1),
    # 31 days ago, once
    (date(2020, 8, 16), "b", "y", 4.0, 1),
    # exactly 7 and 8 days ago, a tie of channels, an odd number of lines, prices out of order
    (date(2020, 9, 9), "a", "v", 3.0, 3),
    (date(2020, 9, 8), "c", "v", 1.0, 2),
    (date(2020, 1, 1), "d", "v", 2.0, 1),
    # on sale only from the as-of date on
    (date(2020, 9, 16), "a", "z", 1.0, 1),
]


def test_by_hand():
    v, x, y = rows(features("article", LINES, [AS_OF]))
    assert list(v) == ARTICLE_FEATURES.column_names
    assert list(v.values()) == [AS_OF, "v", 3, date(2020, 1, 1), date(2020, 9, 9), 3, 2.0, 1.0, 2.0, 1, 259, 1, 2, 2]
    assert list(x.values()) == [
        *(AS_OF, "x", 4, date(2020, 8, 17), date(2020, 9, 15), 2, 1.375, pytest.approx(0.75), 1.5, 2, 30, 3, 4, 2)
    ]
    assert list(y.values()) == [AS_OF, "y", 1, date(2020, 8, 16), date(2020, 8, 16), 1, 4.0, None, 4.0, 1, 31, 0, 0, 0]
