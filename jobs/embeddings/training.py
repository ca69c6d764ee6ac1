"""What the trainings of the catalogue's own networks share: articles held out, the trainer, and what comes out."""

from __future__ import annotations

import logging
import warnings
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytorch_lightning as pl
import torch
from PIL import Image
from pytorch_lightning.loggers import Logger
from torch import Tensor, nn

from jobs.platform.lightning import trainer
from jobs.platform.progress import ProgressReporter


@dataclass(frozen=True)
class Trained:
    """What a training leaves.

    Attributes:
        network: uint8 images -> features, on the processor.
        figures: how well it does; `val/...` on products that it was not trained on.
        pictures: file name -> picture for people to look at.
    """

    network: nn.Module
    figures: Mapping[str, float]
    pictures: Mapping[str, Image.Image] = field(default_factory=dict)


def held_out(articles: pa.Table) -> Tensor:
    """True for every tenth product: its colour variants share a picture's shape, so they stay on one side together."""
    products = pc.coalesce(articles["product_code"], articles["article_id"]).to_pylist()
    rows = torch.tensor([zlib.crc32(product.encode()) % 10 == 0 for product in products])
    return torch.zeros_like(rows) if rows.all() else rows


class _Progress(pl.Callback):
    def __init__(self, progress: ProgressReporter) -> None:
        self._told = progress

    def on_train_batch_end(self, *_: Any) -> None:
        self._told.advance(1)


def fit(
    module: pl.LightningModule,
    data: pl.LightningDataModule,
    steps: int,
    logger: Logger | bool = False,
    callbacks: Sequence[pl.Callback] = (),
) -> dict[str, float]:
    """Train for so many steps; returns what the module logged last, on held-out images for its final weights.

    On one device (jobs.platform.lightning), in minutes. The same data and seed give the same weights.
    """
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    validate = len(data.val_dataloader()) > 0
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with warnings.catch_warnings(), ProgressReporter(steps, "training steps") as progress:
        warnings.simplefilter("ignore")
        fitting = trainer(
            max_steps=steps,
            max_epochs=-1,
            precision="bf16-mixed" if torch.cuda.is_available() else "32-true",
            deterministic="warn",
            logger=logger,
            callbacks=[_Progress(progress), *callbacks],
            limit_val_batches=1.0 if validate else 0,
            enable_checkpointing=False,  # a retry starts again
            enable_progress_bar=False,
        )
        fitting.fit(module, data)
        figures = dict(fitting.callback_metrics)
        if validate:  # the last steps may be no whole pass
            fitting.validate(module, data, verbose=False)
            figures |= fitting.callback_metrics
    return {name: float(value) for name, value in figures.items()}
