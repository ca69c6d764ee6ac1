"""Extremes of tables and files: never narrower than the rows, and silent where nobody says."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from expectations.contract import Expectation
from jobs.platform.extremes import Extremes
from tests.jobs.platform.things import THINGS, arrow, day

DAY = date(2020, 9, 16)
WEIGHTS = st.lists(st.none() | st.floats(-5, 20, allow_nan=False), min_size=1, max_size=6)
BETWEEN = Expectation("expect_column_values_to_be_between", {"column": "weight", "min_value": 0})
NOT_NULL = Expectation("expect_column_values_to_not_be_null", {"column": "weight"})
REGEX = Expectation("expect_column_values_to_match_regex", {"column": "thing_id", "regex": "^[a-z]+$"})


@given(parts=st.lists(WEIGHTS, min_size=1, max_size=4), group=st.integers(1, 3))
def test_files_together_say_what_their_rows_do(tmp_path_factory, parts: list[list[float | None]], group: int) -> None:
    folder: Path = tmp_path_factory.mktemp("files")
    found = []
    for n, weights in enumerate(parts):
        pq.write_table(arrow(day(DAY, *weights)).drop_columns(["as_of_date"]), folder / f"{n}", row_group_size=group)
        found.append(Extremes.of_file(pq.read_metadata(folder / f"{n}"), {"as_of_date": DAY}))
    extremes = Extremes.joined(found)
    weights = [weight for part in parts for weight in part]
    known = [weight for weight in weights if weight is not None]
    assert extremes.rows == len(weights)
    assert extremes.nulls["weight"] == len(weights) - len(known)
    assert extremes.bounds["weight"] == ((min(known), max(known)) if known else (None, None))
    assert extremes.bounds["as_of_date"] == (DAY, DAY)
    assert extremes.nulls["as_of_date"] == extremes.nulls["thing_id"] == 0


def test_tables_say_the_same_as_their_files(tmp_path: Path) -> None:
    rows = arrow(day(DAY, 3.0, None, -1.0))
    pq.write_table(rows, tmp_path / "f")
    of_file = Extremes.of_file(pq.read_metadata(tmp_path / "f"), {})
    assert of_file == Extremes.of_table(rows)
    frame = of_file.frame(THINGS)
    assert frame["weight"].tolist() == [-1.0, 3.0, None]
    assert frame["kind"].tolist() == ["big", "big", "big"]


def test_a_file_without_statistics_proves_nothing(tmp_path: Path) -> None:
    rows = arrow(day(DAY, 3.0))
    pq.write_table(rows, tmp_path / "silent", write_statistics=False)
    pq.write_table(rows, tmp_path / "told")
    told, silent = (Extremes.of_file(pq.read_metadata(tmp_path / name), {}) for name in ("told", "silent"))
    assert told.speaks_of(BETWEEN) and told.speaks_of(NOT_NULL)
    assert not told.speaks_of(REGEX)
    both = Extremes.joined([told, silent])
    assert not both.speaks_of(BETWEEN) and not both.speaks_of(NOT_NULL)
