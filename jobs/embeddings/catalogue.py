"""Training of the catalogue encoder: pictures and labels of the catalogue in, network and held-out figures out."""

from __future__ import annotations

import logging
import warnings
import zlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger

from jobs.platform.errors import JobError
from lightning_modules.catalogue_encoder import NO_LABEL, CatalogueEncoder, CatalogueEncoderModule, CatalogueImages

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
            "to learn from; use --encoder resnet152"
        )
    return np.stack(codes, axis=1).astype(np.int64), classes


def held_out(products: Sequence[str]) -> np.ndarray:
    """True for every tenth product: its colour variants share a picture's shape, so they stay on one side together."""
    rows = np.array([zlib.crc32(product.encode()) % 10 == 0 for product in products])
    return np.zeros_like(rows) if rows.all() else rows


def train(
    images: np.ndarray, articles: pa.Table, seed: int, logger: Logger | bool = False
) -> tuple[CatalogueEncoder, dict[str, float]]:
    """Train on prepared images uint8 [n, HEIGHT, WIDTH, 3] and the same articles' rows, in the same order.

    Returns the network and its accuracy per label on held-out products. Same input and seed, same network.
    Raises JobError when the articles carry no labels.
    """
    labels, classes = label_codes(articles)
    products = pc.coalesce(articles["product_code"], articles["article_id"]).to_pylist()
    out = torch.from_numpy(held_out(products))
    data = CatalogueImages(torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(labels), out, BATCH, seed)
    steps = min(max(EPOCHS * len(data.train_dataloader()), MIN_STEPS), MAX_STEPS)
    pl.seed_everything(seed, verbose=False)
    module = CatalogueEncoderModule(classes, steps).to(memory_format=torch.channels_last)
    trainer = _trainer(steps, logger, validate=bool(out.any()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(module, data)
    figures = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
    return module.encoder.cpu().eval(), figures


def _trainer(steps: int, logger: Logger | bool, validate: bool) -> pl.Trainer:
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    return pl.Trainer(
        max_steps=steps,
        max_epochs=-1,
        devices=1,
        precision="bf16-mixed" if torch.cuda.is_available() else "32-true",
        deterministic="warn",
        logger=logger,
        limit_val_batches=1.0 if validate else 0,
        num_sanity_val_steps=0,
        enable_checkpointing=False,  # a minute's work: a retry starts again
        enable_progress_bar=False,
        enable_model_summary=False,
    )
