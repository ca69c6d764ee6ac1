"""The convolutional autoencoder of "Deep Learning Techniques for Apparel recommendation" (section 2.2).

The encoder squeezes a picture into a few features, from which the decoder has to paint it again by upsampling and
convolutions; what both agree on telling is what the picture looks like. Mean squared error, Adam.
"""

from __future__ import annotations

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_modules.batches import Batches

#: Height and width of the paper's pictures, in pixels.
SIZE = 256
#: Channels after each halving of height and width, and of the bottleneck: 256 x 256 pixels become 8 x 8 x 16 features.
WIDTHS, LATENT_CHANNELS = (16, 32, 64, 128, 128), 16
#: Length of a picture's feature vector.
FEATURES = LATENT_CHANNELS * (SIZE >> len(WIDTHS)) ** 2


def _halve(channels_in: int, channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels, 3, 2, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)
    )


def _double(channels_in: int, channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Upsample(scale_factor=2),
        nn.Conv2d(channels_in, channels, 3, 1, 1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    )


class AutoencoderEncoder(nn.Module):
    """The half that is kept: uint8 images [n, 3, h, w] -> features [n, latent * h * w / 4 ** len(widths)].

    Height and width are multiples of 2 ** len(widths).
    """

    def __init__(self, widths: tuple[int, ...] = WIDTHS, latent: int = LATENT_CHANNELS) -> None:
        super().__init__()
        halvings = [_halve(before, width) for before, width in zip((3, *widths), widths, strict=False)]
        # Neither normalised nor cut off at zero: distances between features are what the decoder makes of them.
        self.layers = nn.Sequential(*halvings, nn.Conv2d(widths[-1], latent, 1))

    def maps(self, images: Tensor) -> Tensor:
        """Features where they are in the picture, [n, latent, h / 2 ** len(widths), w / 2 ** len(widths)]."""
        return self.layers(images.float() / 127.5 - 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.maps(images).flatten(1)


class AutoencoderModule(pl.LightningModule):
    """Both halves and their training; the reconstruction error is per pixel and channel, of values from 0 to 1."""

    def __init__(
        self, learning_rate: float = 1e-3, widths: tuple[int, ...] = WIDTHS, latent: int = LATENT_CHANNELS
    ) -> None:
        super().__init__()
        self.save_hyperparameters({"learning_rate": learning_rate, "widths": list(widths), "latent": latent})
        self.encoder = AutoencoderEncoder(widths, latent)
        doublings = [_double(width, after) for width, after in zip(widths[::-1], widths[-2::-1], strict=False)]
        self.decoder = nn.Sequential(
            nn.Conv2d(latent, widths[-1], 1),
            nn.BatchNorm2d(widths[-1]),
            nn.ReLU(inplace=True),
            *doublings,
            nn.Upsample(scale_factor=2),
            nn.Conv2d(widths[0], 3, 3, 1, 1),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Reconstructions float32 [n, 3, h, w], from 0 to 1, of uint8 images [n, 3, h, w]."""
        return self.decoder(self.encoder.maps(images)).float().sigmoid()

    def _error(self, batch: tuple[Tensor], name: str) -> Tensor:
        (images,) = batch
        error = F.mse_loss(self(images), images.float() / 255)
        self.log(name, error, on_step=False, on_epoch=True, batch_size=len(images))
        return error

    def training_step(self, batch: tuple[Tensor], batch_idx: int) -> Tensor:
        return self._error(batch, "train/mse")

    def validation_step(self, batch: tuple[Tensor], batch_idx: int) -> None:
        self._error(batch, "val/mse")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.hparams["learning_rate"])


class AutoencoderImages(pl.LightningDataModule):
    """Images uint8 [n, 3, h, w], those of `held_out` bool [n] kept for validation; they stay uint8 up to the device."""

    def __init__(self, images: Tensor, held_out: Tensor, batch_size: int, seed: int) -> None:
        super().__init__()
        self.images, self.held_out, self.batch_size, self.seed = images, held_out, batch_size, seed

    def train_dataloader(self) -> Batches:
        return Batches((self.images,), self.batch_size, ~self.held_out, self.seed)

    def val_dataloader(self) -> Batches:
        return Batches((self.images,), self.batch_size, self.held_out)
