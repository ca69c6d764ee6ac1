"""A feed-forward network that predicts a property of an article from its other properties (paper 004, IV)."""

from __future__ import annotations

from collections.abc import Sequence

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_modules.layers import FeatureInput, dense
from lightning_modules.tagging_heads import VectorBatches


class PropertyNetwork(pl.LightningModule):
    """Numbers [n, d] and categories [n, k] -> logits [n, classes].

    Args:
        vocabulary_sizes: number of codes of each category, code 0 (unknown) included.
    """

    def __init__(
        self, numeric_size: int, vocabulary_sizes: Sequence[int], classes: int, learning_rate: float = 2e-3
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.inputs = FeatureInput(numeric_size, vocabulary_sizes)
        self.layers = dense([self.inputs.size, 128, 64, classes], last_activation=False)

    def forward(self, numeric: Tensor, categories: Tensor) -> Tensor:
        return self.layers(self.inputs(numeric, categories))

    def _loss(self, batch: tuple[Tensor, Tensor, Tensor], name: str) -> Tensor:
        numeric, categories, target = batch
        loss = F.cross_entropy(self(numeric, categories), target)
        self.log(name, loss, on_step=False, on_epoch=True, batch_size=len(target))
        return loss

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int) -> Tensor:
        return self._loss(batch, "train/loss")

    def validation_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int) -> None:
        self._loss(batch, "val/loss")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=self.hparams["learning_rate"], weight_decay=0.01)


class Properties(pl.LightningDataModule):
    """Numbers, categories and targets to train on, and such to validate on."""

    def __init__(self, training: tuple[Tensor, ...], validation: tuple[Tensor, ...], batch: int, seed: int) -> None:
        super().__init__()
        self.training, self.validation, self.batch, self.seed = training, validation, batch, seed

    def train_dataloader(self) -> VectorBatches:
        epoch = self.trainer.current_epoch if self.trainer else 0
        return VectorBatches(self.training, self.batch, self.seed + epoch)

    def val_dataloader(self) -> VectorBatches:
        return VectorBatches(self.validation, 4_096, self.seed)
