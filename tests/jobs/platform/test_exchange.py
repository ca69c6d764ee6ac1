"""Rows left by some tasks and gathered by others: none lost, none twice, those of one key together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.platform.exchange import Exchange

ROWS = st.lists(st.tuples(st.integers(0, 2**31 - 1), st.floats(allow_nan=False), st.booleans()), max_size=30)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=st.lists(ROWS, max_size=4), buckets=st.sampled_from([1, 3, 16, 300]))
def test_every_row_comes_once_and_with_all_of_its_key(tmp_path: Path, files: list, buckets: int) -> None:
    exchange = Exchange(str(tmp_path / "exchange"), buckets)
    paths = []
    for rows in files:
        keys, prices, flags = zip(*rows, strict=True) if rows else ((), (), ())
        keys = np.array(keys, dtype=np.int32)
        paths.append(exchange.put(keys, {"key": keys, "price": np.array(prices, float), "flag": np.array(flags, bool)}))
    found: list[tuple] = []
    for bucket in range(buckets):
        taken = exchange.take(paths, bucket)
        if not files:
            assert taken == {}
            continue
        assert [values.dtype for values in taken.values()] == [np.int32, np.float64, np.bool_]
        assert (taken["key"] % buckets == bucket).all()
        found += zip(*(values.tolist() for values in taken.values()), strict=True)
    assert sorted(found) == sorted(tuple(row) for rows in files for row in rows)


def test_rows_that_are_marked_keep_their_order_and_what_is_no_number_stays(tmp_path: Path) -> None:
    exchange = Exchange(str(tmp_path / "exchange"), 2)
    first = exchange.put(np.array([4, 1, 2]), {"price": np.array([0.5, np.nan, -0.0])})
    mask = np.array([False, True, True, False])
    second = exchange.put(np.array([0, 0, 3, 3]), {"price": np.array([9.5, 1.5, 2.5, 9.5])}, mask)
    np.testing.assert_array_equal(exchange.take([first, second], 0)["price"], [0.5, -0.0, 1.5])
    np.testing.assert_array_equal(exchange.take([second, first], 1)["price"], [2.5, np.nan])
    exchange.clear()
    assert not (tmp_path / "exchange").exists()
