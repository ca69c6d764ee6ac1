"""The one order of the lines, packed or not."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from jobs.features import histories

int32s = st.integers(-(2**31), 2**31 - 1)
near = st.integers(0, 3)
prices = st.floats(0, 1e9).map(abs) | st.sampled_from([0.5, 1.5])


@given(st.lists(st.tuples(near, near, prices)) | st.lists(st.tuples(int32s, int32s, prices)))
@example([(-(2**31), -(2**31), 1.0), (2**31 - 1, 2**31 - 1, 0.5)])  # too far apart to be packed
@example([])
def test_lines_are_ordered_by_entity_then_day_then_price(lines: list[tuple[int, int, float]]) -> None:
    entity, day = (np.array([line[n] for line in lines], dtype=np.int32) for n in (0, 1))
    price = np.array([line[2] for line in lines], dtype=np.float64)
    assert histories._order(entity, day, price).tolist() == np.lexsort((price, day, entity)).tolist()


@given(st.lists(st.tuples(near, near)))
def test_the_first_line_of_each_pair_is_marked(pairs: list[tuple[int, int]]) -> None:
    entity, other = (np.array([pair[n] for pair in pairs], dtype=np.int32) for n in (0, 1))
    found = histories._is_first(entity, other).tolist()
    assert found == [pair not in pairs[:n] for n, pair in enumerate(pairs)]
