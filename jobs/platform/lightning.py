"""Networks are fitted with Lightning, on one device: the epoch that validates best is kept, a killed fit resumes.

Every training job gets its Trainer here, and every Trainer takes one device: the GPU where there is one, the first of
several, else the processor. The networks are small: an epoch of the two-stage model takes seconds, and a second device
would cost more in exchanged gradients than it saves. It would also change the effective batch, and with it the weights
that a seed gives. What grows with the catalogue, computing features of images, is shared by all GPUs
(jobs.embeddings.stream).
"""

from __future__ import annotations

import logging
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any, TypeVar

import mlflow
import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint, TQDMProgressBar
from pytorch_lightning.loggers import Logger, MLFlowLogger

#: Batches per epoch that the batch size aims at, within its limits: a small shop needs small steps, and a large one
#: large batches.
BATCHES_PER_EPOCH, MIN_BATCH, MAX_BATCH = 200, 64, 4096
PATIENCE = 3

# It says at every fit which devices there are, what else there is to buy, that an epoch has few steps (figures are
# logged once an epoch), and that a fit on every week has none left to validate it.
logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
warnings.filterwarnings("ignore", "The number of training batches .* is smaller than the logging interval")
warnings.filterwarnings("ignore", "Total length of `list` across ranks is zero")
warnings.filterwarnings("ignore", ".*treespec, LeafSpec.* is deprecated")

Module = TypeVar("Module", bound=pl.LightningModule)


class RunLogger(MLFlowLogger):
    """Figures of a fit to a job's MLflow run, which goes on after the fit and is ended by the job alone.

    Args:
        run_id: of that run.
        prefix: of the figures' names, where the job fits several networks.
    """

    def __init__(self, run_id: str, prefix: str = "") -> None:
        super().__init__(run_id=run_id, tracking_uri=mlflow.get_tracking_uri(), prefix=prefix)

    def finalize(self, status: str = "success") -> None:
        """Nothing: Lightning would end the run as FINISHED after its first fit, whatever then becomes of the job."""


def trainer(**options: Any) -> pl.Trainer:
    """A Trainer on one device, with these further options of Lightning's."""
    return pl.Trainer(accelerator="auto", devices=1, num_sanity_val_steps=0, enable_model_summary=False, **options)


def batch_size_for(pairs: int) -> int:
    """Pairs of a batch where there are so many in all."""
    return int(np.clip(pairs // BATCHES_PER_EPOCH, MIN_BATCH, MAX_BATCH))


def drop_damaged(folder: Path) -> None:
    """Remove a fit's checkpoints where one cannot be read, as a kill or a full disk leaves them: it starts afresh."""
    for file in sorted(folder.glob("*.ckpt")):
        try:
            torch.load(file, weights_only=True, map_location="cpu")
        except Exception as error:  # whatever PyTorch makes of such a file
            print(f"{file}: damaged checkpoint ({type(error).__name__}), dropped; the fit starts afresh")
            shutil.rmtree(folder)
            return


def fit(
    network: Module,
    data: pl.LightningDataModule,
    epochs: int,
    folder: Path,
    monitor: str | None = None,
    logger: Logger | None = None,
    patience: int = PATIENCE,
    threads: int = 1,
) -> tuple[Module, int]:
    """The network after its best epoch by `monitor` (None: after its last), and that epoch's number.

    Args:
        folder: of this fit's checkpoints, from which it resumes; removed by the caller once the network is safe.
        patience: epochs without a better one that end the fit.
        threads: of the processor. Small steps gain nothing from several, and wait for one another where cores are
            shared.
    """
    torch.set_num_threads(threads)
    drop_damaged(folder)
    checkpoint = ModelCheckpoint(folder, filename="best", monitor=monitor, save_last=True)
    callbacks: list[Callback] = [checkpoint]
    if shows_bar := sys.stderr.isatty():  # in a log each step of a bar would be a line
        callbacks.append(TQDMProgressBar(refresh_rate=50))
    if monitor:
        callbacks.append(EarlyStopping(monitor, patience=patience))
    fitting = trainer(
        max_epochs=epochs,
        callbacks=callbacks,
        logger=logger or False,
        reload_dataloaders_every_n_epochs=1,
        deterministic=True,
        enable_progress_bar=shows_bar,
    )
    last = folder / "last.ckpt"
    fitting.fit(network, data, ckpt_path=last if last.exists() else None, weights_only=True)
    best = checkpoint.best_model_path
    fitted = type(network).load_from_checkpoint(best, weights_only=True, map_location="cpu")
    return fitted.eval(), int(torch.load(best, weights_only=True, map_location="cpu")["epoch"]) + 1
