"""Batches hold what they should, in the order they should."""

from __future__ import annotations

import pytest
import torch

from lightning_modules.batches import Batches


@pytest.mark.parametrize("seed", [None, 7])
def test_batches_hold_every_chosen_row_once_with_its_label(seed: int | None) -> None:
    images = torch.arange(12, dtype=torch.uint8).reshape(-1, 1, 1, 1).expand(12, 3, 4, 4)
    labels = torch.arange(12).reshape(-1, 1)
    chosen = torch.arange(12) >= 2
    batches = Batches((images, labels), 4, chosen, seed)
    assert len(batches) == 3
    first, second = list(batches), list(batches)
    assert [len(rows) for _, rows in first] == [4, 4, 2]
    for pixels, rows in first:
        assert torch.equal(pixels[:, 0, 0, 0].long(), rows[:, 0])
        assert pixels.is_contiguous(memory_format=torch.channels_last)
    order = torch.cat([rows for _, rows in first]).flatten().tolist()
    assert sorted(order) == list(range(2, 12))
    assert (order == list(range(2, 12))) == (seed is None)
    assert (order == torch.cat([rows for _, rows in second]).flatten().tolist()) == (seed is None)


def test_mirroring_leaves_the_source_alone() -> None:
    images = torch.arange(4, dtype=torch.uint8).expand(16, 3, 2, 4).clone()
    original = images.clone()
    ((mirrored,),) = list(Batches((images,), 16, torch.ones(16, dtype=torch.bool), 3))
    assert torch.equal(images, original)
    assert {tuple(row) for row in mirrored[:, 0, 0].tolist()} == {(0, 1, 2, 3), (3, 2, 1, 0)}
