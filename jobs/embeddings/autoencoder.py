"""Training of the autoencoder ("Deep Learning Techniques for Apparel recommendation"): pictures in, encoder half out.

It needs no labels. The paper's best learning rate and number of epochs are taken as they are;
`python -m jobs.embeddings.autoencoder_sweep` tries its others on the catalogue at hand.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger

from jobs.embeddings.picture import reconstructions
from jobs.embeddings.training import Trained, fit, held_out
from lightning_modules.autoencoder import AutoencoderImages, AutoencoderModule

BATCH = 16
LEARNING_RATE, EPOCHS = 1e-3, 30
#: Bounds in steps: a tiny catalogue needs more passes; a large one takes some ten minutes on two cores.
MIN_STEPS, MAX_STEPS = 40, 1_000
#: Images trained on at most, 1.5 GiB of them.
MAX_IMAGES = 8_000
#: Columns of the reconstruction picture.
SHOWN = 10


def train(images: np.ndarray, articles: pa.Table, seed: int, logger: Logger | bool = False) -> Trained:
    """Train on prepared images uint8 [n, SIZE, SIZE, 3] and the same articles' rows, in the same order.

    Returns the encoder half, the reconstruction errors train/mse and val/mse, and some pictures above what became of
    them. Same input and seed, same network.
    """
    data = prepared(images, articles, seed)
    steps = min(max(EPOCHS * len(data.train_dataloader()), MIN_STEPS), MAX_STEPS)
    pl.seed_everything(seed, verbose=False)
    module = AutoencoderModule(LEARNING_RATE)
    figures = fit(module, data, steps, logger)
    module.cpu().eval()
    return Trained(module.encoder, figures, {"reconstructions.png": reconstructions(*shown(module, data))})


def prepared(images: np.ndarray, articles: pa.Table, seed: int) -> AutoencoderImages:
    """Images uint8 [n, h, w, 3] of these articles as the module takes them."""
    return AutoencoderImages(torch.from_numpy(images).permute(0, 3, 1, 2), held_out(articles), BATCH, seed)


def shown(module: AutoencoderModule, data: AutoencoderImages) -> tuple[np.ndarray, np.ndarray]:
    """Some held-out images (or others, where none are) and their reconstructions, uint8 [n, h, w, 3] both."""
    rows = (data.held_out if data.held_out.any() else ~data.held_out).nonzero().flatten()
    rows = rows[:: -(-len(rows) // SHOWN)]  # from all over the catalogue: neighbours are variants of one product
    images = data.images[rows].to(module.device)
    was_training = module.training
    with torch.inference_mode():
        rebuilt = (module.eval()(images) * 255).round().to(torch.uint8)
    module.train(was_training)
    return images.permute(0, 2, 3, 1).cpu().numpy(), rebuilt.permute(0, 2, 3, 1).cpu().numpy()
