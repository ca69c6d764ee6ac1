"""Surrogate keys: dense, and never changed by what is delivered later."""

from __future__ import annotations

import pyarrow as pa

from expectations.contract import key_of
from jobs.ingest.keys import keys_for


def numbered(known: dict[str, int], next_key: int, *ids: str) -> tuple[dict[str, int], int]:
    table = pa.table([pa.array(known, pa.string()), pa.array(known.values(), pa.int32())], ["id", "key"])
    keys, following = keys_for(pa.array(ids, pa.string()), table, next_key)
    return dict(zip(ids, keys.tolist(), strict=True)), following


def test_a_first_delivery_is_numbered_by_id() -> None:
    assert numbered({}, 0, "c", "a", "b") == ({"a": 0, "b": 1, "c": 2}, 3)


def test_a_known_id_keeps_its_key_whoever_comes_and_goes() -> None:
    assert numbered({"b": 0, "d": 1, "f": 2}, 0, "a", "f", "e", "b") == ({"b": 0, "f": 2, "a": 3, "e": 4}, 5)


def test_the_key_of_one_who_left_is_given_to_nobody() -> None:
    assert numbered({"a": 0}, 7, "a", "new") == ({"a": 0, "new": 7}, 8)


def test_nobody_is_no_trouble() -> None:
    assert numbered({"a": 0}, 1) == ({}, 1)


def test_the_column_is_named_after_the_id() -> None:
    assert key_of("customer_id") == "customer_key"
