"""Training of the catalogue encoder: pictures and labels of the catalogue in, network and held-out figures out."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger
from torch import nn

from jobs.embeddings.training import Trained, fit, held_out
from jobs.platform.errors import JobError
from lightning_modules.catalogue_encoder import FEATURES, NO_LABEL, CatalogueEncoderModule, CatalogueImages

#: What a picture should tell: garment, in fine and in coarse, colour and pattern.
LABELS = ("product_type_name", "product_group_name", "colour_group_name", "graphical_appearance_name")
BATCH = 64
#: Passes over a small catalogue, and bounds in steps: a tiny one needs more passes, a large one is not seen even once.
EPOCHS, MIN_STEPS, MAX_STEPS = 5, 40, 1_000
#: Images trained on at most, so that MAX_STEPS bounds memory too.
MAX_IMAGES = 40_000


def label_codes(articles: pa.Table) -> tuple[np.ndarray, dict[str, int]]:
    """Labels as int64 [n, label], numbered in alphabetical order, NO_LABEL where null; and the number of classes."""
    codes, classes = [], {}
    for label in LABELS:
        column = articles[label]
        names = pc.drop_null(pc.unique(column)).sort()
        if len(names) > 1:
            classes[label] = len(names)
            codes.append(pc.fill_null(pc.index_in(column, value_set=names), NO_LABEL).to_numpy())
    if not classes:
        raise JobError(
            f"encoder catalogue: the articles with images have no two different values of {', '.join(LABELS)} "
            "to learn from; use --encoder efficientnet_lite0"
        )
    return np.stack(codes, axis=1).astype(np.int64), classes


def train(
    images: np.ndarray,
    articles: pa.Table,
    seed: int,
    logger: Logger | bool = False,
    encoder: nn.Module | None = None,
    features: int = FEATURES,
) -> Trained:
    """Train on prepared images uint8 [n, h, w, 3] and the same articles' rows, in the same order.

    A given `encoder`, images -> features [n, features], is trained further; else a new CatalogueEncoder is trained.
    Returns the network and its accuracy per label on held-out products. Same input and seed, same network.
    Raises JobError when the articles carry no labels.
    """
    labels, classes = label_codes(articles)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2)
    data = CatalogueImages(pixels, torch.from_numpy(labels), held_out(articles), BATCH, seed)
    steps = min(max(EPOCHS * len(data.train_dataloader()), MIN_STEPS), MAX_STEPS)
    pl.seed_everything(seed, verbose=False)
    module = CatalogueEncoderModule(classes, steps, encoder=encoder, features=features)
    figures = fit(module, data, steps, logger)
    return Trained(module.encoder.cpu(), figures)
