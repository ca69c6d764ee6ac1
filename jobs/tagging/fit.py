"""Fits a tagger on labelled vectors: networks, their weights and thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch

from jobs.platform import lightning
from jobs.tagging import calibration, tagger
from jobs.tagging.calibration import Floats, Ints
from jobs.tagging.labels import Examples
from jobs.tagging.tagger import Tagger, log_frequencies, logits_of
from lightning_modules.tagging_heads import NO_LABEL, LabelledVectors, TaggingHeads
from lightning_modules.tuned_tagger import Lite0Tail

#: Passes over a large catalogue; a small one needs more of them for so many steps.
EPOCHS, MIN_STEPS = 25, 600
BATCH = 256
#: Of the passes a share that may bring nothing better on the validation products before the fit ends.
PATIENCE = 0.4
#: How much rare classes weigh (TaggingHeads.balance) where nothing else is asked for.
BALANCES = (0.0, 0.25)


def fit(
    examples: Examples,
    training: Ints,
    validation: Ints,
    encoder: str,
    folder: Path,
    seed: int,
    *,
    balances: Sequence[float] = BALANCES,
    run_id: str | None = None,
) -> Tagger:
    """A tagger fitted on the rows `training`; epoch, class weights, networks' weights and thresholds by `validation`.

    Of two networks, the first of which is a linear probe: on some labels of some catalogues nothing is better. The same
    rows and seed give the same tagger. One that was killed goes on from what it left in `folder`, which the caller
    removes once the tagger is safe.

    Args:
        balances: of these class weights the ones with the fewest errors on the validation products are taken.
        run_id: of the MLflow run that gets the learning curves; None: none.
    """
    done = folder / "fitted"
    if (done / tagger.CONFIG).exists():
        return tagger.load(done)
    probe = fit_heads(examples, training, validation, folder / "probe", seed, 0.0, is_probe=True)
    fits = [
        fit_heads(examples, training, validation, folder / f"{balance:g}", seed, balance, run_id)
        for balance in balances
    ]
    found = [logits_of(heads, examples.vectors[validation]) for heads in fits]
    codes = [{name: logits.argmax(1) for name, logits in each.items()} for each in found]
    best = int(np.argmin([mean_error(each, examples, validation) for each in codes]))
    fitted = calibrated([probe, fits[best]], examples, validation, encoder)
    fitted.save(done)
    return fitted


def linear_probe(fitted: Tagger, examples: Examples, validation: Ints) -> Tagger:
    """The probe of a tagger that `fit` gave, calibrated alone."""
    return calibrated(fitted.networks[:1], examples, validation, fitted.encoder)


def mean_error(codes: Mapping[str, Ints], examples: Examples, rows: Ints) -> float:
    """Mean over the labels of the share of these rows whose class is not the catalogue's.

    Args:
        codes: label -> class of each row.
    """
    errors = []
    for place, name in enumerate(examples.labels.classes):
        stated = examples.labels.codes[rows, place]
        if (known := stated != NO_LABEL).any():
            errors.append(float((codes[name] != stated)[known].mean()))
    return float(np.mean(errors)) if errors else 1.0


def calibrated(
    networks: Sequence[TaggingHeads], examples: Examples, validation: Ints, encoder: str, tail: Lite0Tail | None = None
) -> Tagger:
    """The tagger of these networks, with weights and thresholds by the rows `validation`."""
    bare = Tagger(networks, examples.labels.classes, {}, {}, encoder, tail)
    inputs, frequencies = bare.inputs(examples, validation), log_frequencies(networks[0])
    logits = [logits_of(network, inputs) for network in networks]
    weights, thresholds = dict[str, list[float]](), dict[str, float]()
    for place, (name, frequency) in enumerate(frequencies.items()):
        codes = examples.labels.codes[validation, place]
        known = codes != NO_LABEL
        found, codes = np.stack([each[name][known] for each in logits]), codes[known]
        chosen = calibration.weights(found, codes, frequency)
        shares = calibration.probabilities(found, chosen, frequency)
        weights[name] = chosen.tolist()
        thresholds[name] = calibration.threshold(shares.max(1, initial=0), shares.argmax(1) == codes)
    return replace(bare, weights=weights, thresholds=thresholds)


def fit_heads(
    examples: Examples,
    training: Ints,
    validation: Ints,
    folder: Path,
    seed: int,
    balance: float,
    run_id: str | None = None,
    is_probe: bool = False,
) -> TaggingHeads:
    """The network alone, after its best epoch on the validation products."""
    vectors, codes = examples.vectors[training], examples.labels.codes[training]
    classes = {name: len(values) for name, values in examples.labels.classes.items()}
    batches = -(-len(vectors) // BATCH)
    epochs = max(EPOCHS, -(-MIN_STEPS // batches))
    frequency = np.concatenate([_frequency(codes[:, place], size) for place, size in enumerate(classes.values())])
    own: dict[str, Any] = {"hidden": 0} if is_probe else {}
    deviation = vectors.std(axis=0)
    pl.seed_everything(seed, verbose=False)
    heads = TaggingHeads(
        classes,
        vectors.mean(axis=0).tolist(),
        np.where(deviation > 1e-6 * deviation.max(initial=1e-9), deviation, 1.0).tolist(),
        frequency.tolist(),
        steps=epochs * batches,
        balance=balance,
        **own,
    )
    tensors = torch.from_numpy(examples.vectors), torch.from_numpy(examples.labels.codes)
    held_out = torch.from_numpy(validation) if len(validation) else None
    data = LabelledVectors(tensors, BATCH, seed, torch.from_numpy(training), held_out)
    monitor, patience = "val/error" if len(validation) else None, max(int(PATIENCE * epochs), 1)
    logger = lightning.RunLogger(run_id, f"class weights {balance:g}") if run_id else None
    fitted, _ = lightning.fit(heads, data, epochs, folder, monitor, logger=logger, patience=patience)
    return fitted


def _frequency(codes: Ints, classes: int) -> Floats:
    """Share of each class among the articles with the label; of one that none has, as if half an article had it."""
    counts = np.bincount(codes[codes != NO_LABEL], minlength=classes).astype(float)
    counts[counts == 0] = 0.5
    return counts / counts.sum()
