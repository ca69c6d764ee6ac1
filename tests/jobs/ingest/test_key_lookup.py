"""Positions of values: against a dictionary, on ids that share a hash, and on values that come twice."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given
from hypothesis import strategies as st

from jobs.ingest.key_lookup import KeyLookup, Positions


@given(st.lists(st.text(), unique=True), st.lists(st.text() | st.none()))
def test_against_a_dictionary(values: list[str], asked: list[str | None]) -> None:
    place = {value: n for n, value in enumerate(values)}
    found = Positions(pa.array(values, pa.string())).of(pa.array([*asked, *values], pa.string()))
    assert found.tolist() == [place.get(value, -1) if value is not None else -1 for value in [*asked, *values]]


def test_a_value_with_the_hash_of_another_is_not_taken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Positions, "_hashes", lambda self, values: np.array([len(v) for v in values.to_pylist()]))
    assert Positions(pa.array(["a", "bb"])).of(pa.array(["bb", "cc", "a"])).tolist() == [1, -1, 0]


def test_two_values_with_one_hash_get_another_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    def hashes(self: Positions, values: pa.Array) -> np.ndarray:
        return np.array([0 if self._seed == 0 else ord(value) for value in values.to_pylist()])

    monkeypatch.setattr(Positions, "_hashes", hashes)
    assert Positions(pa.array(["a", "b"])).of(pa.array(["b", "a"])).tolist() == [1, 0]


def test_a_value_that_comes_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match="twice"):
        Positions(pa.array(["1", "2", "1"]))


def test_another_table_at_the_same_version_is_told_apart(tmp_path: Path) -> None:
    for ids in (["a", "b"], ["c"]):  # as after a restored backup: same place, same version
        shutil.rmtree(tmp_path / "t", ignore_errors=True)
        write_deltalake(tmp_path / "t", pa.table({"x_id": ids, "x_key": pa.array(range(len(ids)), pa.int32())}))
        lookup = KeyLookup.of(DeltaTable(tmp_path / "t"), "x_id")
        asked = pa.array(["a", "c", None])
        assert lookup.keys(asked).to_pylist() == [0 if text in ids else None for text in asked.to_pylist()]
