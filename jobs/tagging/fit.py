"""Fits a tagger on labelled vectors: heads, temperatures and thresholds."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger

from jobs.platform import lightning
from jobs.tagging import calibration
from jobs.tagging.calibration import Floats, Ints
from jobs.tagging.labels import Labels
from jobs.tagging.tagger import Tagger, logits_of
from lightning_modules.tagging_heads import NO_LABEL, LabelledVectors, TaggingHeads

#: Passes over a large catalogue; a small one needs more of them for so many steps.
EPOCHS, MIN_STEPS = 25, 600
BATCH = 256


@dataclass(frozen=True)
class Examples:
    """Vectors [n, d] of articles, and their labels' codes [n, label]."""

    vectors: Floats
    labels: Labels

    def __len__(self) -> int:
        return len(self.vectors)


def fit(
    examples: Examples,
    training: Ints,
    validation: Ints,
    encoder: str,
    folder: Path,
    seed: int,
    *,
    logger: Logger | None = None,
    is_probe: bool = False,
) -> Tagger:
    """A tagger fitted on the rows `training`, its temperatures and thresholds on the rows `validation`.

    A fit that was killed goes on from its checkpoint in `folder`. The same rows and seed give the same tagger.

    Args:
        is_probe: a linear probe: no hidden layer, and all articles weigh alike.
    """
    heads = fit_heads(examples, training, folder, seed, logger, is_probe)
    temperatures, thresholds = {}, {}
    logits = logits_of(heads, examples.vectors[validation])
    for place, name in enumerate(examples.labels.classes):
        codes = examples.labels.codes[validation, place]
        known = codes != NO_LABEL
        found, codes = logits[name][known], codes[known]
        temperatures[name] = calibration.temperature(found, codes)
        shares = calibration.probabilities(found, temperatures[name])
        thresholds[name] = calibration.threshold(shares.max(1, initial=0), shares.argmax(1) == codes)
    return Tagger(heads, examples.labels.classes, temperatures, thresholds, encoder)


def fit_heads(
    examples: Examples, training: Ints, folder: Path, seed: int, logger: Logger | None, is_probe: bool
) -> TaggingHeads:
    """The network alone."""
    vectors, codes = examples.vectors[training], examples.labels.codes[training]
    classes = {name: len(values) for name, values in examples.labels.classes.items()}
    batches = -(-len(vectors) // BATCH)
    epochs = max(EPOCHS, -(-MIN_STEPS // batches))
    frequency = np.concatenate([_frequency(codes[:, place], size) for place, size in enumerate(classes.values())])
    own: dict[str, Any] = {"hidden": 0, "balance": 0.0} if is_probe else {}
    deviation = vectors.std(axis=0)
    pl.seed_everything(seed, verbose=False)
    heads = TaggingHeads(
        classes,
        vectors.mean(axis=0).tolist(),
        np.where(deviation > 1e-6 * deviation.max(initial=1e-9), deviation, 1.0).tolist(),
        frequency.tolist(),
        steps=epochs * batches,
        **own,
    )
    data = LabelledVectors(torch.from_numpy(vectors), torch.from_numpy(codes), BATCH, seed)
    fitted, _ = lightning.fit(heads, data, epochs, folder, logger=logger)
    shutil.rmtree(folder, ignore_errors=True)
    return fitted


def _frequency(codes: Ints, classes: int) -> Floats:
    """Share of each class among the articles with the label; of one that none has, as if half an article had it."""
    counts = np.bincount(codes[codes != NO_LABEL], minlength=classes).astype(float)
    counts[counts == 0] = 0.5
    return counts / counts.sum()
