"""Train the two-stage recommender and register it.

Two fits, because what judges a week may not have seen it. The *evaluated* fit stops before the last whole week: it is
validated on the week before that and judged on the last. The *final* fit, published if the gate agrees, learns every
week up to the as-of date for as many epochs as served the evaluated fit best.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint, TQDMProgressBar
from pytorch_lightning.loggers import MLFlowLogger

from jobs.embeddings.versions import current_encoder
from jobs.platform.errors import JobError
from jobs.platform.job import Job, run
from jobs.platform.settings import WEEK, Settings
from jobs.platform.tracking import find_versions, log_model_folder, start_run
from jobs.ranking.inputs import INPUTS_DIGEST
from jobs.ranking.model import Inputs, TwoStageModel
from jobs.ranking.preprocessing import Preprocessing
from jobs.ranking.snapshot import SNAPSHOT_TABLES, Columns, SnapshotLoader
from jobs.ranking.training_set import WeekPairs, pair_tensors, week_pairs
from jobs.retrieval.purchases import load_purchases
from lightning_modules.pairs import PairDataModule
from lightning_modules.two_stage import TwoStageRecommender

READS, WRITES = SNAPSHOT_TABLES, ()

#: Batches per epoch that the batch size aims at, within its limits: a small shop needs small steps, and a large one
#: large batches.
BATCHES_PER_EPOCH, MIN_BATCH, MAX_BATCH = 200, 64, 4096
PATIENCE = 3
MIN_POSITIVES = 50
#: About as many pairs of a week say what is usual: every n-th.
MOST_FITTED = 100_000
EVALUATED, FINAL = "evaluated", "final"


def fit_inputs(weeks: list[WeekPairs], encoder: str | None) -> Inputs:
    """Preprocessing fitted on the buyers, the articles on sale and the pairs of these weeks, and on nothing later."""
    images = weeks[0].snapshot.images
    present = images[images.any(axis=1)]
    return Inputs(
        customers=Preprocessing.fit((week.snapshot.customers, week.buyers.astype(np.int64)) for week in weeks),
        articles=Preprocessing.fit((week.snapshot.articles, np.flatnonzero(week.snapshot.on_sale)) for week in weeks),
        pairs=Preprocessing.fit((Columns(week.features, {}), every_nth(len(week.row))) for week in weeks),
        image_scale=float(present.std()) if present.size else 1.0,
        encoder=encoder if present.size else None,
    )


def every_nth(rows: int) -> npt.NDArray[np.int64]:
    """Positions of about MOST_FITTED of so many rows, evenly spaced."""
    return np.arange(0, rows, max(1, rows // MOST_FITTED))


def fit(
    name: str,
    training: list[WeekPairs],
    validation: WeekPairs | None,
    inputs: Inputs,
    epochs: int,
    settings: Settings,
    checkpoints: Path,
    logger: MLFlowLogger | None = None,
) -> tuple[TwoStageModel, int]:
    """Fit one network, from its last checkpoint if a killed run left one.

    Args:
        validation: the week that picks the best epoch; None: the last epoch is kept.
        checkpoints: folder of this fit's checkpoints, removed by the caller once the model is safe.

    Returns:
        The model and the number of epochs it was trained for.
    """
    # Steps this small gain nothing from threads, and wait for one another where the cores are shared.
    torch.set_num_threads(1)
    pl.seed_everything(settings.seed, verbose=False)
    network = TwoStageRecommender(**inputs.hyperparameters(training[0].snapshot.images.shape[1]))  # type: ignore[arg-type]
    pairs = pair_tensors(training, inputs)
    batch_size = int(np.clip(len(pairs) // BATCHES_PER_EPOCH, MIN_BATCH, MAX_BATCH))
    validation_pairs = None if validation is None else pair_tensors([validation], inputs)
    data = PairDataModule(pairs, validation_pairs, batch_size, settings.seed)
    monitor = "val/ranking_loss" if validation else None
    checkpoint = ModelCheckpoint(checkpoints, filename="best", monitor=monitor, save_last=True)
    callbacks: list[Callback] = [checkpoint, TQDMProgressBar(refresh_rate=50)]
    if monitor:
        callbacks.append(EarlyStopping(monitor, patience=PATIENCE))
    trainer = pl.Trainer(
        max_epochs=epochs,
        callbacks=callbacks,
        logger=logger or False,
        log_every_n_steps=10,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
        deterministic=True,
        enable_model_summary=False,
    )
    last = checkpoints / "last.ckpt"
    resumed = ", resumed" if last.exists() else ""
    print(f"{name}: {len(pairs):,} pairs of {len(training)} weeks in batches of {batch_size}{resumed}")
    trainer.fit(network, data, ckpt_path=last if last.exists() else None, weights_only=True)
    best = TwoStageRecommender.load_from_checkpoint(checkpoint.best_model_path, weights_only=True, map_location="cpu")
    return TwoStageModel(inputs, best.eval()), best_epoch(Path(checkpoint.best_model_path))


def best_epoch(path: Path) -> int:
    """Number of epochs trained when the checkpoint was written."""
    return int(torch.load(path, weights_only=True, map_location="cpu")["epoch"]) + 1


def training_weeks(job: Job, encoder: str | None) -> list[WeekPairs]:
    """Pairs of every label week of the run, the newest first: [as_of - 7 d, as_of), the week before that, ..."""
    settings = job.settings
    purchases = load_purchases(job, before=settings.as_of_date)
    loader = SnapshotLoader(job, purchases, encoder)
    weeks = []
    for number, start in enumerate(settings.snapshot_dates[1:], start=1):
        rng = np.random.default_rng([settings.seed, number])
        weeks.append(week_pairs(loader.at(start), purchases.between(start, start + WEEK), rng))
    return weeks


def fingerprint(weeks: list[WeekPairs], encoder: str | None, settings: Settings) -> str:
    """Digest of everything a fit depends on: the training data itself, encoder and settings.

    The same digest means the same model, whatever was delivered for later dates and however often tables were written.
    """
    facts = [str(settings.as_of_date), settings.seed, settings.training_weeks, settings.max_epochs, encoder]
    digest = hashlib.sha256(json.dumps(facts).encode())
    for tensor in vars(pair_tensors(weeks, fit_inputs(weeks, encoder))).values():
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()[:16]


def parameters(job: Job, encoder: str | None, epochs: int) -> dict[str, Any]:
    """What is logged beside the metrics: settings, table versions read, encoder."""
    names = ("as_of_date", "training_weeks", "max_epochs", "seed", "mapping")
    versions = {f"version/{table}": version for table, version in sorted(job.warehouse.versions_read.items())}
    values = {name: getattr(job.settings, name) for name in names}
    return values | versions | {"encoder_version": encoder or "none", "epochs": epochs}


def main(job: Job) -> str:
    settings = job.settings
    with start_run(settings, job.name) as active, tempfile.TemporaryDirectory() as folder:
        encoder = current_encoder(settings)
        weeks = training_weeks(job, encoder)
        positives = int(sum(week.label.sum() for week in weeks))
        if positives < MIN_POSITIVES or not len(weeks[1].buyers):
            raise JobError(
                f"silver/transactions: only {positives} purchases of articles already on sale in the "
                f"{len(weeks)} weeks before {settings.as_of_date}; too few to train on"
            )
        digest = fingerprint(weeks, encoder, settings)
        as_of = settings.as_of_date.isoformat()
        if same := find_versions(settings.model_name, as_of_date=as_of, fingerprint=digest):
            return f"{settings.model_name} version {same[0].version} was trained on the same data and settings: kept"
        logger = MLFlowLogger(run_id=active.info.run_id, tracking_uri=mlflow.get_tracking_uri())
        place = settings.work_dir / "checkpoints" / f"{as_of}-{digest}"
        judged, epochs = fit(
            EVALUATED, weeks[2:], weeks[1], fit_inputs(weeks[2:], encoder), settings.max_epochs, settings,
            place / EVALUATED, logger,
        )  # fmt: skip
        final, _ = fit(FINAL, weeks[:-1], None, fit_inputs(weeks[:-1], encoder), epochs, settings, place / FINAL)
        mlflow.log_params(parameters(job, encoder, epochs))
        judged.save(Path(folder) / EVALUATED)
        final.save(Path(folder) / FINAL)
        tags = {"encoder": encoder or "none", "fingerprint": digest, "inputs": INPUTS_DIGEST}
        version = log_model_folder(settings.model_name, Path(folder), settings, tags)
        shutil.rmtree(place)
    images = f"images by {encoder}" if final.inputs.encoder else "no images: the model runs without them"
    first = settings.as_of_date - timedelta(days=7 * len(weeks))
    return f"{settings.model_name} version {version}, {epochs} epochs, label weeks from {first}, {images}"


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES)
