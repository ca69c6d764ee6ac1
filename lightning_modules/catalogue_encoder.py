"""An image encoder trained on the catalogue's own labels: a small residual network with one classifier per label.

What the labels say about a picture (garment, colour, pattern) is what its pooled features must hold.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_modules.batches import Batches

#: Pixels of the network's input, height x width: the 2:3 portrait that product pictures are taken in.
HEIGHT, WIDTH = 96, 64
#: Length of the pooled feature vector.
FEATURES = 256
#: Marks a label that the catalogue does not give; it costs nothing.
NO_LABEL = -1


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut; halves height and width with `stride` 2."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(channels)
        self.shortcut = nn.Sequential(nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        y = self.second_norm(self.second(F.relu(self.first_norm(self.first(x)))))
        return F.relu(y + self.shortcut(x))


class CatalogueEncoder(nn.Module):
    """uint8 images [n, 3, HEIGHT, WIDTH] -> features [n, FEATURES], not negative."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 24, 5, 2, 2, bias=False),
            nn.BatchNorm2d(24),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
            ResidualBlock(24, 32, 1),
            ResidualBlock(32, 96, 2),
            ResidualBlock(96, FEATURES, 2),
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.layers((images.float() / 255 - 0.5) / 0.25).mean((2, 3))


class CatalogueEncoderModule(pl.LightningModule):
    """Multi-task classification: the sum of one cross-entropy per label, over the images that carry it.

    Args:
        classes: label -> number of its classes; label columns come in this order.
        steps: optimiser steps of the whole training, for the one-cycle learning rate.
        learning_rate: the highest.
        encoder: images -> features [n, features], trained further at a tenth of that rate; None: a CatalogueEncoder.
        features: length of its features.
    """

    def __init__(
        self,
        classes: Mapping[str, int],
        steps: int,
        learning_rate: float = 3e-3,
        encoder: nn.Module | None = None,
        features: int = FEATURES,
    ) -> None:
        super().__init__()
        self.save_hyperparameters({"classes": dict(classes), "steps": steps, "learning_rate": learning_rate})
        self.encoder = encoder or CatalogueEncoder()
        self.encoder_rate = learning_rate if encoder is None else learning_rate / 10
        self.heads = nn.ModuleDict({label: nn.Linear(features, n) for label, n in classes.items()})

    def forward(self, images: Tensor) -> Tensor:
        return self.encoder(images)

    def _logits(self, images: Tensor) -> dict[str, Tensor]:
        features = self(images)
        return {label: head(features) for label, head in self.heads.items()}

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        images, labels = batch
        losses = [
            F.cross_entropy(logits, target, ignore_index=NO_LABEL, reduction="sum", label_smoothing=0.1)
            / (target != NO_LABEL).sum().clamp(min=1)
            for logits, target in zip(self._logits(images).values(), labels.T, strict=True)
        ]
        loss = torch.stack(losses).sum()
        self.log("train/loss", loss, prog_bar=True, on_step=False, on_epoch=True, batch_size=len(images))
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        images, labels = batch
        for (label, logits), target in zip(self._logits(images).items(), labels.T, strict=True):
            known = target != NO_LABEL
            if known.any():
                hits = (logits.argmax(1) == target)[known].float().mean()
                self.log(f"val/accuracy_{label}", hits, on_epoch=True, batch_size=int(known.sum()))

    def configure_optimizers(self) -> OptimizerLRScheduler:
        rates = {self.encoder: self.encoder_rate, self.heads: self.hparams["learning_rate"]}
        optimizer = torch.optim.AdamW([{"params": part.parameters()} for part in rates], weight_decay=0.02)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, list(rates.values()), total_steps=self.hparams["steps"], pct_start=0.2
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class CatalogueImages(pl.LightningDataModule):
    """Images uint8 [n, 3, HEIGHT, WIDTH] and their labels int64 [n, label], those of `held_out` kept for validation."""

    def __init__(self, images: Tensor, labels: Tensor, held_out: Tensor, batch_size: int, seed: int) -> None:
        super().__init__()
        self.images, self.labels, self.held_out = images, labels, held_out
        self.batch_size, self.seed = batch_size, seed

    def train_dataloader(self) -> Batches:
        return Batches((self.images, self.labels), self.batch_size, ~self.held_out, self.seed)

    def val_dataloader(self) -> Batches:
        return Batches((self.images, self.labels), 4 * self.batch_size, self.held_out)
