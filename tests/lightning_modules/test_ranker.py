"""The ranker: losses by hand, what is logged, and a loss that falls."""

from __future__ import annotations

import math

import pytest
import pytorch_lightning as pl
import torch
from torch.nn import functional as F

from lightning_modules.pairs import PairDataModule
from lightning_modules.ranker import Ranker
from tests.lightning_modules.small import SIZES, tensors


def network() -> Ranker:
    pl.seed_everything(0, verbose=False)
    return Ranker(**SIZES, pair_size=1)


def constant(logit: float) -> Ranker:
    """A ranker that gives every pair the same log-odds."""
    module = network()
    with torch.no_grad():
        for parameter in module.head.parameters():
            parameter.zero_()
        module.head[-1].bias.fill_(logit)  # type: ignore[union-attr]
    return module


def test_loss_by_hand() -> None:
    """Log-odds of 0 among negatives kept at a quarter are those of 4:1 among the pairs; the bought one weighs three."""
    batch = tensors().batch(torch.arange(2)) | {
        "label": torch.tensor([1.0, 0.0]),
        "log_sampling_rate": torch.full((2,), math.log(0.25)),
    }
    loss, logits = constant(0).loss(batch)
    assert logits.tolist() == pytest.approx([math.log(4)] * 2)
    assert loss.item() == pytest.approx((math.log(1.25) + math.log(5)) / 2)
    loss, _ = constant(0).loss(batch | {"weight": torch.tensor([3.0, 1.0])})
    assert loss.item() == pytest.approx((3 * math.log(1.25) + math.log(5)) / 4)


def test_the_join_is_the_head_on_all_parts_side_by_side() -> None:
    module = network()
    customer, article, pair = torch.randn(4, 1, 32), torch.randn(4, 7, 32), torch.randn(4, 7, 1)
    together = torch.cat([customer.expand(4, 7, 32), article, pair], dim=2)
    assert torch.allclose(module.join(customer, article, pair), module.head(together).squeeze(-1), atol=1e-5)


def test_loss_falls_and_metrics_are_of_the_whole_week() -> None:
    module, pairs = network(), tensors()
    whole = pairs.batch(torch.arange(len(pairs)))
    before = module.loss(whole)[0].item()
    trainer = pl.Trainer(
        max_epochs=30, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        reload_dataloaders_every_n_epochs=1, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, PairDataModule(pairs, pairs, batch_size=50, seed=0))
    loss, logits = module.loss(whole)
    assert loss.item() < 0.5 * before
    logged = trainer.callback_metrics
    assert logged["val/ranking_loss"].item() == pytest.approx(loss.item(), abs=1e-5)
    bought, other = logits[pairs.label == 1], logits[pairs.label == 0]
    auc = (bought[:, None] > other).float().mean().item()
    assert logged["val/auc"].item() == pytest.approx(auc, abs=1e-5)
    assert logged["val/recall"].item() == pytest.approx((bought > 0).float().mean().item(), abs=1e-6)
    precision = (bought > 0).sum() / (logits > 0).sum()
    assert logged["val/precision"].item() == pytest.approx(precision.item(), abs=1e-6)
    assert loss.item() == pytest.approx(F.binary_cross_entropy_with_logits(logits, pairs.label).item(), abs=1e-6)
