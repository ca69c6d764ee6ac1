"""Trainings take one device wherever several are."""

from __future__ import annotations

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.accelerators import CUDAAccelerator
from pytorch_lightning.strategies import SingleDeviceStrategy

from jobs.platform.lightning import trainer


@pytest.fixture
def four_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning sees four GPUs; nothing is computed on them."""
    monkeypatch.setattr(CUDAAccelerator, "is_available", staticmethod(lambda: True))
    monkeypatch.setattr(CUDAAccelerator, "auto_device_count", staticmethod(lambda: 4))
    for name in ("num_cuda_devices", "is_cuda_available"):
        value = 4 if name.startswith("num") else True
        monkeypatch.setattr(f"lightning_fabric.accelerators.cuda.{name}", lambda value=value: value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (9, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "GPU")


def test_one_gpu_of_several_trains(four_gpus: None) -> None:
    assert pl.Trainer(logger=False, enable_progress_bar=False).num_devices == 4, "several would be taken"
    found = trainer(logger=False, enable_progress_bar=False)
    assert found.num_devices == 1 and isinstance(found.strategy, SingleDeviceStrategy)
    assert found.strategy.root_device == torch.device("cuda", 0)


def test_without_a_gpu_the_processor_trains() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    found = trainer(logger=False, enable_progress_bar=False)
    assert found.num_devices == 1 and found.strategy.root_device == torch.device("cpu")
