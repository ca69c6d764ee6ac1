"""Each customer's purchases as one list of events."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.platform.errors import JobError
from jobs.recommenders.events import READINGS, events_of
from jobs.retrieval.purchases import day_number
from tests.jobs.retrieval.small import FIRST_DAY, purchases

FIRST = day_number(FIRST_DAY)
LINES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 5)), max_size=40)
each_reading = pytest.mark.parametrize("reading", READINGS)


def test_both_readings_by_hand() -> None:
    # Customer 1 buys article 2 twice on day 0, again on day 3, and article 0 on day 5; customer 2 buys article 1 once.
    bought = purchases([(0, 1, 2), (0, 1, 2), (3, 1, 2), (5, 1, 0), (4, 2, 1)], customers=4, articles=3)
    every = events_of(bought, "every_unit")
    assert every.offsets.tolist() == [0, 0, 4, 5, 5]
    assert every.article.tolist() == [2, 2, 2, 0, 1]
    assert (every.day - FIRST).tolist() == [0, 0, 3, 5, 4]
    assert every.customer.tolist() == [1, 1, 1, 1, 2]
    merged = events_of(bought, "merged_lines")
    assert merged.offsets.tolist() == [0, 0, 3, 4, 4]
    assert merged.article.tolist() == [2, 2, 0, 1]
    assert (merged.day - FIRST).tolist() == [0, 3, 5, 4]
    assert merged.counts.tolist() == [0, 3, 1, 0]


@each_reading
def test_nothing_bought(reading: str) -> None:
    events = events_of(purchases([], customers=3, articles=2), reading)
    assert events.offsets.tolist() == [0, 0, 0, 0] and len(events) == 0


def test_an_unknown_reading_is_named() -> None:
    with pytest.raises(JobError, match="'units' is no reading"):
        events_of(purchases([], customers=1, articles=1), "units")  # type: ignore[arg-type]


@given(LINES)
def test_every_unit_is_an_event_in_the_order_of_days(lines: list[tuple[int, int, int]]) -> None:
    bought = purchases(lines, customers=5, articles=6)
    for reading, expected in (("every_unit", Counter(lines)), ("merged_lines", Counter(set(lines)))):
        events = events_of(bought, reading)
        found = list(zip(*(of.tolist() for of in (events.day - FIRST, events.customer, events.article)), strict=True))
        assert Counter(found) == expected
        assert [(customer, day) for day, customer, _ in found] == sorted((c, d) for d, c, _ in found)
        runs = bool(found) and sum(one != other for one, other in zip([None, *found[:-1]], found, strict=True))
        assert runs == len(set(lines)), "units of a line stay together"


def test_the_order_within_a_day_is_drawn_and_stays() -> None:
    basket = [(day, 0, article) for day in range(40) for article in range(8)]
    events = events_of(purchases(basket, customers=1, articles=8), "every_unit")
    days = events.article.reshape(40, 8)
    upwards = (np.diff(days.astype(int), axis=1) > 0).mean()
    assert 0.4 < upwards < 0.6, "neither rising nor falling codes"
    assert len({tuple(day) for day in days.tolist()}) > 35, "another order each day"
    # Later purchases, other customers and a larger catalogue change nothing of it.
    more = purchases([*basket, (41, 0, 3), (2, 1, 5)], customers=2, articles=8)
    grown = type(more)(
        more.day, more.customer, more.article + 1, more.customer_ids, pa.array(["a", *more.article_ids.to_pylist()])
    )
    assert (events_of(grown, "every_unit").article[:320] - 1).tolist() == events.article.tolist()
