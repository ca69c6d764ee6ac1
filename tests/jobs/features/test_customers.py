"""customer_features: a table computed by hand."""

from __future__ import annotations

from datetime import date

import pytest

from expectations.features import CUSTOMER_FEATURES
from tests.jobs.features.histories import features, rows

AS_OF = date(2020, 9, 16)
LINES = [
    # one line
    (date(2020, 9, 15), "a", "x", 0.5, 2),
    # 31 and exactly 30 days ago, two units on one day, a tie of channels, and a purchase on the as-of date itself
    (date(2020, 9, 10), "b", "x", 2.0, 2),
    (date(2020, 8, 16), "b", "y", 4.0, 1),
    (date(2020, 9, 10), "b", "x", 2.0, 2),
    (date(2020, 8, 17), "b", "x", 1.0, 1),
    (date(2020, 9, 16), "b", "z", 9.0, 1),
    # long ago, one price
    (date(2019, 1, 1), "c", "w", 0.1, 2),
    (date(2019, 1, 1), "c", "w", 0.1, 1),
    (date(2019, 1, 1), "c", "w", 0.1, 2),
    # nothing before the as-of date
    (date(2020, 9, 16), "d", "x", 1.0, 1),
    (date(2020, 9, 20), "d", "x", 1.0, 1),
]


def test_by_hand():
    a, b, c = rows(features("customer", LINES, [AS_OF]))
    assert list(a) == CUSTOMER_FEATURES.column_names
    assert list(a.values()) == [
        *(AS_OF, "a", 1, date(2020, 9, 15), date(2020, 9, 15), 0.5, 0.5, 0.5, None, 0.5, 1, 2, 0, 1.0, 1),
        *(1, 0.5, 0.5),
    ]
    assert list(b.values()) == [
        *(AS_OF, "b", 4, date(2020, 8, 16), date(2020, 9, 10), 2.25, 1.0, 4.0, pytest.approx(1.2583057392117916)),
        *(9.0, 2, 1, 25, 0.16, 6, 3, pytest.approx(5 / 3), 5.0),
    ]
    assert list(c.values()) == [
        *(AS_OF, "c", 3, date(2019, 1, 1), date(2019, 1, 1), pytest.approx(0.1), 0.1, 0.1, pytest.approx(0, abs=1e-9)),
        *(pytest.approx(0.3), 1, 2, 0, 3.0, 624, 0, None, 0.0),
    ]


def test_each_date_sees_its_own_past():
    found = rows(features("customer", LINES, [AS_OF, date(2020, 8, 17), date(2018, 1, 1)]))
    assert [(row["as_of_date"], row["customer_id"], row["transaction_count"]) for row in found] == [
        (date(2020, 8, 17), "b", 1),
        (date(2020, 8, 17), "c", 3),
        (AS_OF, "a", 1),
        (AS_OF, "b", 4),
        (AS_OF, "c", 3),
    ]
