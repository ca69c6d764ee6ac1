"""The joint training of both stages."""

from __future__ import annotations

import pytest
import pytorch_lightning as pl
import torch

from lightning_modules.pairs import PairDataModule
from lightning_modules.two_stage import TwoStageRecommender
from tests.lightning_modules.small import SIZES, tensors


def test_both_stages_learn_from_one_loss() -> None:
    pl.seed_everything(0, verbose=False)
    module = TwoStageRecommender(**SIZES, pair_size=1)
    batch = tensors().batch(torch.arange(100))
    module.log_dict = lambda *args, **kwargs: None  # type: ignore[method-assign]
    loss = module.training_step(batch, 0)
    expected = module.ranker.loss(batch)[0] + module.two_tower.loss(batch)
    assert loss.item() == pytest.approx(expected.item())
    loss.backward()
    assert all(parameter.grad is not None for parameter in module.parameters())


def test_one_step_of_training_and_validation() -> None:
    module = TwoStageRecommender(**SIZES, pair_size=1)
    trainer = pl.Trainer(fast_dev_run=True, enable_progress_bar=False, enable_model_summary=False)
    trainer.fit(module, PairDataModule(tensors(), tensors(100), batch_size=50, seed=0))
    figures = {"train/loss", "val/ranking_loss", "val/retrieval_loss", "val/auc", "val/precision", "val/recall"}
    assert figures <= set(trainer.callback_metrics)
