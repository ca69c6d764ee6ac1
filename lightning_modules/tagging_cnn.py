"""The convolutional network of "Product Recommendation System with Deep Learning" (section IV), trained from scratch.

The paper gives ReLU, and softmax or sigmoid as the last layer, and no sizes.
"""

from __future__ import annotations

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_modules.batches import Batches
from lightning_modules.layers import EpochMean

#: Pixels of the input, height x width: those of the small pictures of Fashion Product Images.
HEIGHT, WIDTH = 80, 60


class TaggingCNN(pl.LightningModule):
    """uint8 images [n, 3, HEIGHT, WIDTH] -> logits [n, outputs].

    Args:
        outputs: classes, or binary columns.
        is_multi_label: sigmoid outputs, each a yes or no, with binary cross-entropy; else softmax over classes.
    """

    def __init__(self, outputs: int, is_multi_label: bool, learning_rate: float = 1e-3) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layers = nn.Sequential(
            *(nn.Conv2d(3, 32, 5, 2, 2), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(32, 64, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(64, 128, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Dropout(0.3), nn.LazyLinear(128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, outputs)),
        )
        with torch.no_grad():
            self(torch.zeros(1, 3, HEIGHT, WIDTH))  # sizes the lazy layer
        self.loss_mean = EpochMean()

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images.float() / 127.5 - 1)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        images, target = batch
        if self.hparams["is_multi_label"]:
            loss = F.binary_cross_entropy_with_logits(self(images), target.float())
        else:
            loss = F.cross_entropy(self(images), target)
        self.loss_mean.add(loss, len(images))
        return loss

    def on_train_epoch_end(self) -> None:
        self.log("train/loss", self.loss_mean.take())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.hparams["learning_rate"])


class TaggedImages(pl.LightningDataModule):
    """Images uint8 [n, 3, HEIGHT, WIDTH] and their targets [n, ...], of which only the rows `training` are learned."""

    def __init__(self, images: Tensor, targets: Tensor, training: Tensor, batch_size: int, seed: int) -> None:
        super().__init__()
        self.images, self.targets, self.training = images, targets, training
        self.batch_size, self.seed = batch_size, seed

    def train_dataloader(self) -> Batches:
        return Batches((self.images, self.targets), self.batch_size, self.training, self.seed)

    def val_dataloader(self) -> list[Tensor]:
        return []
