"""The heads of a tagger together with the last blocks of EfficientNet-Lite0, trained further on the catalogue's labels.

What the blocks before them give of a picture never changes, so it is computed once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from lightning_modules.layers import EpochMean
from lightning_modules.tagging_heads import LabelErrors, TaggingHeads

#: Length of the tail's features.
FEATURES = 1280


class Lite0Tail(nn.Module):
    """What the trunk gives of pictures, [n, c, h, w] -> pooled features [n, FEATURES], by the last `blocks` blocks.

    The statistics of batch normalisation stay as they were: a few thousand pictures are fewer than ImageNet's.
    """

    def __init__(self, blocks: int) -> None:
        import timm  # takes seconds

        super().__init__()
        network: Any = timm.create_model("tf_efficientnet_lite0", num_classes=0)
        self.blocks = nn.Sequential(*network.blocks[-blocks:])
        self.head = nn.Sequential(network.conv_head, network.bn2)
        self.pool = network.global_pool

    def forward(self, activations: Tensor) -> Tensor:
        return self.pool(self.head(self.blocks(activations)))

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self


class TunedTagger(pl.LightningModule):
    """Activations float16 [n, c, h, w] and vectors [n, d] -> logits [n, classes of all labels].

    The heads take the vectors beside the tail's features.

    Args:
        blocks: of the tail.
        heads: arguments of TaggingHeads.
        steps: optimiser steps of the whole training, for the one-cycle learning rate.
        rate: the highest learning rate of the heads; the tail's is `tail_rate`.
    """

    def __init__(
        self, blocks: int, heads: Mapping[str, Any], steps: int, rate: float = 5e-4, tail_rate: float = 2e-4
    ) -> None:
        super().__init__()
        self.save_hyperparameters(logger=False)
        self.tail, self.heads = Lite0Tail(blocks), TaggingHeads(**heads)
        self.loss_mean, self.errors = EpochMean(), LabelErrors(self.heads.sizes)

    def forward(self, activations: Tensor, vectors: Tensor) -> Tensor:
        return self.heads(torch.cat([vectors, self.tail(activations.float())], dim=1))

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int) -> Tensor:
        activations, vectors, codes = batch
        loss = self.heads.loss(self(activations, vectors), codes)
        self.loss_mean.add(loss, len(vectors))
        return loss

    def on_train_epoch_end(self) -> None:
        self.log("tuning/loss", self.loss_mean.take())

    def validation_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int) -> None:
        activations, vectors, codes = batch
        self.errors.add(self(activations, vectors) - self.heads.log_weight, codes)

    def on_validation_epoch_end(self) -> None:
        self.log("tuning/error", self.errors.take())

    def configure_optimizers(self) -> OptimizerLRScheduler:
        rates = {self.tail: self.hparams["tail_rate"], self.heads: self.hparams["rate"]}
        optimizer = torch.optim.AdamW([{"params": part.parameters()} for part in rates], weight_decay=0.05)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, list(rates.values()), total_steps=self.hparams["steps"], pct_start=0.2
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
