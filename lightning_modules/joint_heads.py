"""One space for pictures and texts: a small head on the frozen features of each, trained by contrast.

ALIGN (Jia et al. 2021, section 4.1) trains an EfficientNet and a BERT by the symmetric loss of a batch's pairs, with a
learned temperature. Here both are trained already, and their features are given; only the heads are learned.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_modules.layers import EpochMean

HIDDEN, DIMENSIONS = 512, 256
#: Shares of the features, and of the hidden layer, that are dropped in training.
DROP_INPUT, DROP_HIDDEN = 0.1, 0.4
#: The temperature at first, as in CLIP, and the least it may become.
TEMPERATURE, MIN_TEMPERATURE = 0.07, 0.01
#: A feature counts for no less than this share of the widest one when features are scaled.
LEAST_SCALE = 0.05
#: How often a pair's text is all that is said of it, and not a short one.
FULL_TEXT = 0.4
LEARNING_RATE, WEIGHT_DECAY = 1e-3, 0.05
NONE = -1


class Head(nn.Module):
    """Features [n, size] -> vectors [n, DIMENSIONS] of length 1: a linear map and what a hidden layer adds to it."""

    mean: Tensor
    scale: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))
        self.direct = nn.Linear(size, DIMENSIONS)
        self.deep = nn.Sequential(
            nn.Linear(size, HIDDEN), nn.GELU(), nn.Dropout(DROP_HIDDEN), nn.Linear(HIDDEN, DIMENSIONS)
        )

    def set_scale(self, features: Tensor) -> None:
        """Take mean and deviation of each feature from these [n, size]."""
        deviation = features.std(dim=0, correction=0)
        self.mean = features.mean(dim=0)
        self.scale = deviation.clamp(min=max(LEAST_SCALE * float(deviation.max()), 1e-6))

    def forward(self, features: Tensor) -> Tensor:
        scaled = F.dropout((features - self.mean) / self.scale, DROP_INPUT, self.training)
        return F.normalize(self.direct(scaled) + self.deep(scaled), dim=-1)


@dataclass(frozen=True)
class Pairs:
    """Articles that have a picture and a text.

    Attributes:
        images: features of the pictures, [n, di].
        texts: features of all wordings, [m, dt]; articles share them.
        wordings: rows of `texts` for each article, [n, w]: all that is said of it, then short ones, NONE for none.
        product: code of each article's product, [n].
    """

    images: Tensor
    texts: Tensor
    wordings: Tensor
    product: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def of(self, rows: Tensor) -> Pairs:
        """The articles of these rows."""
        chosen = {name: getattr(self, name)[rows] for name in ("images", "wordings", "product")}
        return replace(self, **chosen)

    def to(self, device: torch.device) -> Pairs:
        """The same on a device."""
        return Pairs(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})


@dataclass(frozen=True)
class Batch:
    """Pairs of a step: features [n, di] and [n, dt], and codes [n] of product and wording."""

    images: Tensor
    texts: Tensor
    product: Tensor
    wording: Tensor


class PairBatches:
    """Batches of pairs; in training shuffled anew in each epoch, with a wording drawn for each article.

    Order and wordings follow from seed and epoch alone, so that a resumed fit repeats them.

    Args:
        shuffle: else the order is kept, and an article's wordings take turns from batch row to batch row.
    """

    def __init__(self, pairs: Pairs, batch_size: int, seed: int, shuffle: bool) -> None:
        self.pairs, self.batch_size, self.seed, self.shuffle = pairs, batch_size, seed, shuffle

    def __len__(self) -> int:
        return -(-len(self.pairs) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(self.seed)
        count, device = len(self.pairs), self.pairs.images.device
        order = torch.randperm(count, generator=generator) if self.shuffle else torch.arange(count)
        wording = drawn_wordings(self.pairs.wordings, generator)
        for rows in order.to(device).split(self.batch_size):
            if len(rows) > 1 or count == 1:  # one pair alone has nothing to be contrasted with
                chosen = wording[rows]
                yield Batch(self.pairs.images[rows], self.pairs.texts[chosen], self.pairs.product[rows], chosen)


def drawn_wordings(wordings: Tensor, generator: torch.Generator) -> Tensor:
    """One wording of each row [n]: the first with probability FULL_TEXT, or where there is no other, else a short one.

    A short one says only a part, as queries do; what is left out differs from epoch to epoch.
    """
    draws = torch.rand(wordings.shape, generator=generator).to(wordings.device)
    draws[:, 1:] = draws[:, 1:].masked_fill(wordings[:, 1:] == NONE, -1)
    shorter = 1 + draws[:, 1:].argmax(dim=1) if wordings.shape[1] > 1 else torch.zeros_like(wordings[:, 0])
    shorter_wording = wordings.gather(1, shorter[:, None])[:, 0]
    is_full = (draws[:, 0] < FULL_TEXT) | (shorter_wording == NONE)
    return torch.where(is_full, wordings[:, 0], shorter_wording)


class PairData(pl.LightningDataModule):
    """Pairs to train on and others to stop by, on the trainer's device."""

    def __init__(self, training: Pairs, validation: Pairs, batch_size: int, seed: int) -> None:
        super().__init__()
        self.training, self.validation = training, validation
        self.batch_size, self.seed = batch_size, seed

    def setup(self, stage: str) -> None:
        if self.trainer:
            device = self.trainer.strategy.root_device
            self.training, self.validation = self.training.to(device), self.validation.to(device)

    def train_dataloader(self) -> PairBatches:
        epoch = self.trainer.current_epoch if self.trainer else 0
        return PairBatches(self.training, self.batch_size, self.seed + 1 + epoch, shuffle=True)

    def val_dataloader(self) -> PairBatches:
        return PairBatches(self.validation, self.batch_size, self.seed, shuffle=True)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Nothing to move: the pairs are there already."""
        return batch


class JointHeads(pl.LightningModule):
    """Both heads and their training.

    Args:
        image_size, text_size: lengths of the features.
        steps: optimiser steps that the learning rate falls over, by a cosine.
    """

    def __init__(self, image_size: int, text_size: int, steps: int = 1) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.image_head, self.text_head = Head(image_size), Head(text_size)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / TEMPERATURE)))
        self.mean_loss = EpochMean()

    def loss(self, batch: Batch) -> Tensor:
        """The mean of both directions' cross-entropies: picture to its text, and text to its picture.

        Articles of one product, and those of one wording, are no negatives of each other: nothing tells them apart.
        """
        scale = self.log_scale.exp().clamp(max=1 / MIN_TEMPERATURE)
        logits = scale * self.image_head(batch.images) @ self.text_head(batch.texts).T
        alike = (batch.product[:, None] == batch.product) | (batch.wording[:, None] == batch.wording)
        own = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
        logits = logits.masked_fill(alike & ~own, -torch.inf)
        target = torch.arange(len(logits), device=logits.device)
        return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2

    def training_step(self, batch: Batch, _: int) -> Tensor:
        loss = self.loss(batch)
        self.mean_loss.add(loss, len(batch.images))
        return loss

    def on_train_epoch_end(self) -> None:
        self.log("train/contrastive_loss", self.mean_loss.take())
        self.log("temperature", 1 / self.log_scale.detach().exp())

    def validation_step(self, batch: Batch, _: int) -> None:
        self.log("val/contrastive_loss", self.loss(batch), batch_size=len(batch.images))

    def configure_optimizers(self) -> OptimizerLRScheduler:
        matrices = [p for p in self.parameters() if p.ndim > 1]
        others = [p for p in self.parameters() if p.ndim <= 1]  # biases and temperature are not pulled to zero
        groups = [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.hparams["steps"])
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
