"""Trains the last blocks of EfficientNet-Lite0 further, together with a tagger's heads, and says whether that helps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch

from jobs.embeddings.decode import CPUS
from jobs.embeddings.efficientnet import tail as imagenet_tail
from jobs.platform import lightning
from jobs.tagging import tagger as taggers
from jobs.tagging.calibration import Ints
from jobs.tagging.fit import calibrated, fit_heads, mean_error
from jobs.tagging.labels import Examples
from jobs.tagging.tagger import Tagger, features
from lightning_modules.tagging_heads import LabelledVectors
from lightning_modules.tuned_tagger import TunedTagger

#: With fewer pictures to train on ImageNet's weights are the better ones.
MIN_PICTURES = 1_000
#: Steps of a batch each: six passes, but no more than take a quarter of an hour on two cores.
BATCH, EPOCHS, MAX_STEPS = 64, 6, 2_400


def error(tagger: Tagger, examples: Examples, rows: Ints) -> float:
    """Mean over the labels of the share of these rows that it tags wrongly."""
    found = tagger.likeliest(tagger.inputs(examples, rows))
    return mean_error({name: codes for name, (codes, _) in found.items()}, examples, rows)


def tune(
    frozen: Tagger,
    examples: Examples,
    training: Ints,
    validation: Ints,
    blocks: int,
    folder: Path,
    seed: int,
    run_id: str | None = None,
) -> Tagger:
    """A tagger that sees pictures beside vectors, by a tail trained on the rows `training`.

    Its heads are fitted first, on the tail's features as ImageNet left them; then both together. The epoch is chosen
    on the rows `validation`; before the first counts as one. See `fit` for `folder`.

    Args:
        frozen: fitted on the vectors alone; its class weights are taken, and its networks are part of what comes out.
    """
    done = folder / "fitted"
    if (done / taggers.CONFIG).exists():
        return taggers.load(done)
    assert examples.activations is not None, "pictures to tune on"
    tail = imagenet_tail(blocks)
    torch.set_num_threads(CPUS)
    before = features(tail, examples.activations, np.arange(len(examples)))
    whole = Examples(np.hstack([examples.vectors, before]).astype(np.float32), examples.labels)
    balance = float(frozen.networks[-1].hparams["balance"])
    heads = fit_heads(whole, training, validation, folder / "heads", seed, balance)
    steps = -(-len(training) // BATCH)
    epochs = max(min(EPOCHS, MAX_STEPS // steps), 1)
    pl.seed_everything(seed, verbose=False)
    module = TunedTagger(blocks, dict(heads.hparams), epochs * steps)
    module.tail.load_state_dict(tail.state_dict())
    module.heads.load_state_dict(heads.state_dict())
    tensors = (examples.activations, examples.vectors, examples.labels.codes)
    data = LabelledVectors(
        tuple(torch.from_numpy(part) for part in tensors), BATCH, seed,
        torch.from_numpy(training), torch.from_numpy(validation),
    )  # fmt: skip
    logger = lightning.RunLogger(run_id) if run_id else None
    tuned, _ = lightning.fit(
        module, data, epochs, folder / "tail", "tuning/error", logger=logger, patience=epochs, threads=CPUS
    )
    found = []
    for its_heads, its_tail in ((heads, tail), (tuned.heads, tuned.tail)):
        networks = [*frozen.networks, its_heads.eval()]
        fitted = calibrated(networks, examples, validation, frozen.encoder, its_tail.eval())
        found.append((error(fitted, examples, validation), fitted))
    best = min(found, key=lambda each: each[0])[1]
    best.save(done)
    return best
