"""One classifier per label over the vectors of a frozen image encoder, all trained at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_modules.layers import EpochMean

#: Marks a label that the catalogue does not give; it costs nothing.
NO_LABEL = -1


#: What a nat of cross-entropy counts beside errors: of epochs with as many, the one with truer probabilities is better.
NAT = 0.01


class LabelErrors(nn.Module):
    """How wrong tags are, over batches: the mean over the labels of the share of articles whose likeliest class is not
    the catalogue's, and NAT times their cross-entropy."""

    sums: Tensor

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        self.sizes = list(sizes)
        self.register_buffer("sums", torch.zeros(2, len(self.sizes)), persistent=False)

    def add(self, logits: Tensor, codes: Tensor) -> None:
        """Count in a batch: logits [n, classes of all labels] and codes [n, label]."""
        for place, (part, target) in enumerate(zip(logits.split(self.sizes, 1), codes.T, strict=True)):
            known = target != NO_LABEL
            nats = F.cross_entropy(part[known], target[known], reduction="sum")
            wrong = (part[known].argmax(1) != target[known]).sum()
            self.sums[:, place] += torch.stack([wrong + NAT * nats, known.sum()])

    def take(self) -> Tensor:
        """The mean so far, 1 where no article has a label; and start anew."""
        wrong, known = self.sums
        shares = (wrong / known)[known > 0]
        self.sums = torch.zeros_like(self.sums)
        return shares.mean() if len(shares) else torch.ones((), device=wrong.device)


class TaggingHeads(pl.LightningModule):
    """Vectors [n, d] -> logits [n, classes of all labels], one label after another.

    Each head takes the standardised vector itself, as a linear probe does, and a hidden layer that all heads share. A
    label's rare classes weigh more in its loss: by its frequency to the power of -`balance`, 1 on average. What the
    heads learn is then that much in favour of rare classes; `probabilities` of jobs.tagging.tagger take it back.

    Args:
        classes: label -> number of its classes.
        mean, deviation: of the vectors' d numbers.
        frequency: of each class among the articles with its label, labels one after another.
        steps: optimiser steps of the whole training, for the one-cycle learning rate.
        hidden: width of the shared layer; 0: none, a linear probe.
        balance: 0 weighs all articles alike, 1 all classes.
    """

    mean: Tensor
    deviation: Tensor
    log_weight: Tensor
    log_frequency: Tensor

    def __init__(
        self,
        classes: Mapping[str, int],
        mean: Sequence[float],
        deviation: Sequence[float],
        frequency: Sequence[float],
        steps: int,
        hidden: int = 512,
        balance: float = 0.25,
        learning_rate: float = 2e-3,
        weight_decay: float = 0.05,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(logger=False)
        self.sizes = list(classes.values())
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("deviation", torch.tensor(deviation))
        self.register_buffer("log_weight", self._log_weight(torch.tensor(frequency), balance))
        self.register_buffer("log_frequency", torch.tensor(frequency).clamp(min=1e-9).log())
        self.linear = nn.Linear(len(mean), sum(self.sizes))
        self.deep: nn.Sequential | None = None
        if hidden:
            last = nn.Linear(hidden, sum(self.sizes), bias=False)
            nn.init.zeros_(last.weight)  # it begins as the linear probe
            shared = nn.Dropout(0.2), nn.Linear(len(mean), hidden), nn.GELU(), nn.Dropout(0.5)
            self.deep = nn.Sequential(*shared, last)
        self.loss_mean, self.errors = EpochMean(), LabelErrors(self.sizes)

    def _log_weight(self, frequency: Tensor, balance: float) -> Tensor:
        weights = []
        for share in frequency.split(self.sizes):
            weight = share.clamp(min=1e-9) ** -balance
            weights.append(torch.log(weight / (weight * share).sum().clamp(min=1e-9)))
        return torch.cat(weights)

    def forward(self, vectors: Tensor) -> Tensor:
        x = (vectors - self.mean) / self.deviation
        logits = self.linear(x)
        return logits if self.deep is None else logits + self.deep(x)

    def loss(self, logits: Tensor, codes: Tensor) -> Tensor:
        """Sum over the labels of the weighted cross-entropy, of logits [n, classes of all labels] and codes."""
        losses = []
        parts = zip(logits.split(self.sizes, 1), self.log_weight.split(self.sizes), codes.T, strict=True)
        for some, log_weight, target in parts:
            known = target != NO_LABEL
            weight = log_weight.exp()[target.clamp(min=0)] * known
            loss = F.cross_entropy(some, target, ignore_index=NO_LABEL, reduction="none")
            losses.append((loss * weight).sum() / known.sum().clamp(min=1))
        return torch.stack(losses).sum()

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        vectors, codes = batch
        total = self.loss(self(vectors), codes)
        self.loss_mean.add(total, len(vectors))
        return total

    def on_train_epoch_end(self) -> None:
        self.log("train/loss", self.loss_mean.take())

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        vectors, codes = batch
        self.errors.add(self(vectors) - self.log_weight, codes)

    def on_validation_epoch_end(self) -> None:
        self.log("val/error", self.errors.take())

    def configure_optimizers(self) -> OptimizerLRScheduler:
        decay, rate = self.hparams["weight_decay"], self.hparams["learning_rate"]
        optimizer = torch.optim.AdamW(self.parameters(), lr=rate, weight_decay=decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, rate, total_steps=self.hparams["steps"], pct_start=0.2
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class VectorBatches:
    """Whole batches, sliced from tensors in an order drawn by `seed`; of all rows, or of `rows` [m] alone."""

    def __init__(self, tensors: tuple[Tensor, ...], batch_size: int, seed: int, rows: Tensor | None = None) -> None:
        self.tensors, self.batch_size, self.seed, self.rows = tensors, batch_size, seed, rows

    @property
    def _count(self) -> int:
        return len(self.tensors[0]) if self.rows is None else len(self.rows)

    def __len__(self) -> int:
        return -(-self._count // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        order = torch.randperm(self._count, generator=torch.Generator().manual_seed(self.seed))
        for places in order.split(self.batch_size):
            rows = places if self.rows is None else self.rows[places]
            yield tuple(tensor[rows] for tensor in self.tensors)


class LabelledVectors(pl.LightningDataModule):
    """Tensors of articles, the last of them codes int64 [n, label], NO_LABEL where the catalogue gives none.

    `training` and `validation` are their rows [m]; None: all are trained on, and none is validated on.
    """

    def __init__(
        self,
        tensors: tuple[Tensor, ...],
        batch_size: int,
        seed: int,
        training: Tensor | None = None,
        validation: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.tensors, self.batch_size, self.seed = tensors, batch_size, seed
        self.training, self.validation = training, validation

    def train_dataloader(self) -> VectorBatches:
        epoch = self.trainer.current_epoch if self.trainer else 0
        return VectorBatches(self.tensors, self.batch_size, self.seed + epoch, self.training)

    def val_dataloader(self) -> VectorBatches | list[Tensor]:
        return [] if self.validation is None else VectorBatches(self.tensors, 512, self.seed, self.validation)
