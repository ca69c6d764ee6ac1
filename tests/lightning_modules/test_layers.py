"""The mean of a loss over an epoch."""

from __future__ import annotations

import pytest
import torch

from lightning_modules.layers import EpochMean


def test_mean_of_an_epoch_by_hand() -> None:
    """Batches of three and one: (3 x 2 + 1 x 6) / 4; then a new epoch; a batch of nothing counts for nothing."""
    mean = EpochMean()
    mean.add(torch.tensor(2.0, requires_grad=True), 3)
    mean.add(torch.tensor(6.0), 1)
    assert mean.take().item() == pytest.approx(3)
    mean.add(torch.tensor(5.0), 2)
    assert mean.take().item() == pytest.approx(5)
    assert mean.take().item() == 0
    assert not mean.state_dict()
