"""Batches of event lists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lightning_modules import sessions
from lightning_modules.sessions import EventDataModule, EventTensors, SessionBatches, WindowBatches

COUNTS = st.lists(st.integers(0, 13), min_size=1, max_size=12)


def events(counts: Sequence[int]) -> EventTensors:
    """Customers with so many events each; every event is an article of its own: its position."""
    offsets = torch.tensor([0, *counts]).cumsum(0)
    return EventTensors(offsets, torch.arange(int(offsets[-1])))


def pairs_of(counts: Sequence[int]) -> Counter[tuple[int, int]]:
    """Every (event, next event) of every customer."""
    lists = torch.arange(sum(counts)).split(list(counts))
    return Counter(pair for some in lists for pair in pairwise(some.tolist()))


def pairs_in(batches: SessionBatches | WindowBatches) -> Counter[tuple[int, int]]:
    """The valid (input, target) pairs of an epoch."""
    both = ((b["inputs"][b["valid"]].tolist(), b["targets"][b["valid"]].tolist()) for b in batches)
    return Counter(pair for inputs, targets in both for pair in zip(inputs, targets, strict=True))


@given(COUNTS, st.integers(1, 5), st.integers(1, 4), st.integers(0, 3))
def test_every_pair_of_every_customer_once_and_none_across(
    counts: list[int], lanes: int, window: int, epoch: int
) -> None:
    of = events(counts)
    for batches in (SessionBatches(of, lanes, window, 7, epoch), WindowBatches(of, lanes, window, 7, epoch)):
        assert pairs_in(batches) == pairs_of(counts)
        assert len(list(batches)) == len(batches)
        assert pairs_in(batches) == pairs_of(counts), "a second pass is the same"


@given(COUNTS, st.integers(1, 5), st.integers(1, 4))
def test_a_lane_runs_through_one_customer_after_the_other(counts: list[int], lanes: int, window: int) -> None:
    batches = list(SessionBatches(events(counts), lanes, window, 7, 0))
    if not batches:
        assert max(counts) < 2
        return
    inputs, targets, reset, valid = (
        torch.cat([b[name] for b in batches], dim=1) for name in ("inputs", "targets", "reset", "valid")
    )
    starts = set(events(counts).offsets[:-1].tolist())
    for lane in range(len(inputs)):
        length = int(valid[lane].sum())
        assert valid[lane, :length].all(), "a lane that has ended does not start again"
        for place in range(length):
            is_first = int(inputs[lane, place]) in starts
            assert bool(reset[lane, place]) == is_first
            assert is_first or inputs[lane, place] == targets[lane, place - 1], "goes on where it was"


def test_two_lanes_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "shuffled", lambda count, *_: torch.arange(count))
    # 3, 2, no and 1 pairs: lane 0 runs through customer 0, lane 1 through customers 1 and 3.
    first, second = SessionBatches(events([4, 3, 1, 2]), lanes=2, window=2, seed=0, epoch=0)
    assert first["inputs"].tolist() == [[0, 1], [4, 5]]
    assert first["targets"].tolist() == [[1, 2], [5, 6]]
    assert first["reset"].tolist() == [[True, False], [True, False]]
    assert first["valid"].all()
    assert second["inputs"][:, 0].tolist() == [2, 8]
    assert second["targets"][:, 0].tolist() == [3, 9]
    assert second["reset"][:, 0].tolist() == [False, True]
    assert second["valid"].tolist() == [[True, False], [True, False]]


def test_lanes_are_equally_long_but_for_their_last_customer() -> None:
    counts = torch.randint(2, 30, (500,), generator=torch.Generator().manual_seed(0)).tolist()
    batches = SessionBatches(events(counts), 20, 5, 7, 0)
    lengths = sum(b["valid"].sum(dim=1) for b in batches)
    mean = sum(c - 1 for c in counts) / 20
    assert (lengths - mean).abs().max() < 30
    assert len(batches) <= (mean + 30) / 5 + 1


def test_epochs_are_in_different_orders_and_come_again() -> None:
    of = events([3] * 40)

    def epoch(number: int, seed: int = 7) -> list[list[int]]:
        return [b["inputs"].flatten().tolist() for b in SessionBatches(of, 4, 2, seed, number)]

    assert epoch(0) == epoch(0) and epoch(1) == epoch(0, seed=8)
    assert epoch(0) != epoch(1)
    windows = [[b["inputs"].tolist() for b in WindowBatches(of, 4, 2, 7, number)] for number in (0, 0, 1)]
    assert windows[0] == windows[1] != windows[2]


def test_windows_by_hand() -> None:
    # Seven events are six pairs: windows of at most four are the last four pairs, and the first two.
    batch = next(iter(WindowBatches(events([7]), 8, 4, 7, 0)))
    rows = {
        tuple(i[v].tolist()): t[v].tolist()
        for i, t, v in zip(batch["inputs"], batch["targets"], batch["valid"], strict=True)
    }
    assert rows == {(2, 3, 4, 5): [3, 4, 5, 6], (0, 1): [1, 2]}


def test_windows_of_a_batch_are_about_equally_long() -> None:
    batches = list(WindowBatches(events([3, 9] * 16), 8, 10, 7, 0))
    assert sorted(b["inputs"].shape[1] for b in batches) == [2, 2, 8, 8]
    assert all(b["valid"].all() for b in batches)


def test_a_data_module_without_trainer_gives_the_first_epoch() -> None:
    data = EventDataModule(events([3]), lambda of, epoch: SessionBatches(of, 1, 2, 7, epoch))
    data.setup("fit")
    (batch,) = data.train_dataloader()
    assert batch["inputs"].tolist() == [[0, 1]] and batch["targets"].tolist() == [[1, 2]]
    assert data.transfer_batch_to_device(batch, torch.device("cpu"), 0) is batch
