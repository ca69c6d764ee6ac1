"""Batches of pairs: each once, in an order of the epoch's own, weighted, and chosen."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from lightning_modules.pairs import BatchSlices, PairDataModule
from tests.lightning_modules.small import tensors


def test_an_epoch_holds_every_pair_once_in_an_order_of_its_own() -> None:
    slices = BatchSlices(tensors(), 64, seed=7)
    first = torch.cat([batch["pair"] for batch in slices])
    slices.epoch = 1
    second = torch.cat([batch["pair"] for batch in slices])
    assert len(first) == 400 and not torch.equal(first, second)
    assert torch.equal(first.sort(dim=0).values, second.sort(dim=0).values)
    assert [len(batch["label"]) for batch in slices] == [64] * 6 + [16]


def test_an_epoch_repeats_itself() -> None:
    first, again = (torch.cat([b["pair"] for b in BatchSlices(tensors(), 64, seed=7)]) for _ in range(2))
    assert torch.equal(first, again)


def test_validation_batches_are_mixed_and_always_the_same() -> None:
    pairs = replace(tensors(), label=(torch.arange(400) < 200).float())
    (loader,) = PairDataModule(pairs, pairs, 100, seed=0).val_dataloader()
    shares, again = ([batch["label"].mean().item() for batch in loader] for _ in range(2))
    assert all(0.3 < share < 0.7 for share in shares) and shares == again


def test_weights_are_one_unless_given() -> None:
    pairs, rows = tensors(), torch.tensor([3, 1])
    assert pairs.batch(rows)["weight"].tolist() == [1, 1]
    assert replace(pairs, weight=torch.arange(400.0)).batch(rows)["weight"].tolist() == [3, 1]


def test_chosen_pairs_have_frequencies_of_their_own() -> None:
    pairs = replace(tensors(), weight=torch.arange(400.0))
    chosen = pairs.select(torch.tensor([20, 0, 1]))  # articles 0, 0 and 1
    assert len(chosen) == 3
    assert chosen.log_frequency.tolist() == pytest.approx([math.log(2 / 3), math.log(2 / 3), math.log(1 / 3)])
    batch, same = chosen.batch(torch.arange(3)), pairs.batch(torch.tensor([20, 0, 1]))
    assert all(torch.equal(batch[name], same[name]) for name in batch if name != "log_frequency")
