"""Fine-tuning: EfficientNet-Lite0 trained further on the catalogue's own labels (jobs.embeddings.catalogue)."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from pytorch_lightning.loggers import Logger

from jobs.embeddings import catalogue
from jobs.embeddings.efficientnet import FEATURES, lite0
from jobs.embeddings.training import Trained

#: Images trained on at most: they are in memory, 0.5 GB, and on two cores take a quarter of an hour.
MAX_IMAGES = 10_000


def train(images: np.ndarray, articles: pa.Table, seed: int, logger: Logger | bool = False) -> Trained:
    """Train on prepared images uint8 [n, h, w, 3] and the same articles' rows, as catalogue.train does."""
    return catalogue.train(images, articles, seed, logger, lite0().train(), FEATURES)
