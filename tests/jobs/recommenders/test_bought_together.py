"""The system on the rules of baskets, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from jobs.platform.codes import NO_ARTICLE
from jobs.recommenders import bought_together
from tests.jobs.recommenders.shops import AS_OF_DAY, known
from tests.jobs.retrieval.small import found_by, on, purchases

#: Of six baskets two hold 0 and 1; customer 4 bought 0 alone, on the day before the as-of date; 2 and 3 go once.
LINES = [(1, 0, 0), (1, 0, 1), (2, 1, 0), (2, 1, 1), (3, 2, 2), (3, 2, 3), (4, 3, 2), (4, 3, 0), (29, 4, 0), (5, 5, 1)]


def test_by_hand() -> None:
    history = purchases(LINES, customers=7, articles=5)
    source = bought_together.fit(known(history)).at(history, on(AS_OF_DAY), 3)
    # Confidence 2 of 4, lift 2 * 6 / (4 * 3) = 1: no more than by chance. From there on without customer 3's.
    assert found_by(source, 4) == [{}]
    history = purchases([line for line in LINES if line[1] != 3], customers=7, articles=5)
    source = bought_together.fit(known(history)).at(history, on(AS_OF_DAY), 3)
    weight = 2 ** (-1 / 60)
    score = 2 / 3 - 3 / 5
    assert found_by(source, 4, 6) == [{1: pytest.approx(weight * score)}, {}]


def test_rules_are_of_the_last_weeks() -> None:
    old = [(day, c, a) for day, c in ((0, 0), (0, 1)) for a in (0, 1)]
    now = [(200, c, 2) for c in range(4)] + [(200, 4, 0)]
    history = purchases([*old, *now], customers=5, articles=3)
    found = bought_together.fit(known(history, on(201))).at(history, on(201), 3).of(np.array([4], dtype=np.int32))
    assert (found.articles == NO_ARTICLE).all()
    found = bought_together.fit(known(history, on(80))).at(history, on(201), 3).of(np.array([4], dtype=np.int32))
    assert (found.articles == NO_ARTICLE).all()  # all baskets hold both: the lift is 1
