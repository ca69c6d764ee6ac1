"""The tagger's heads trained through Lightning, as tagging.train does it, beside the bare loop on the same batches."""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import MLFlowLogger

from benchmarks.contest import Result, medians, publish, shares
from benchmarks.training import SEED, TURNS, WAYS, timed
from jobs.platform.lightning import fit
from jobs.tagging.fit import BATCH
from lightning_modules.tagging_heads import LabelledVectors, TaggingHeads, VectorBatches

STAGE = "heads"
#: Epochs of a fit; length of the vectors; classes of each label, as Fashion Product Images has them.
EPOCHS, SIZE, CLASSES = 4, 256, (5, 7, 45, 142, 47, 4, 9)


def heads(articles: int) -> TaggingHeads:
    """A fresh network, the same each time."""
    pl.seed_everything(SEED, verbose=False)
    frequency = np.concatenate([np.full(count, 1 / count) for count in CLASSES]).tolist()
    steps = EPOCHS * -(-articles // BATCH)
    sizes = {f"label {n}": count for n, count in enumerate(CLASSES)}
    return TaggingHeads(sizes, [0.0] * SIZE, [1.0] * SIZE, frequency, steps)


def rows(articles: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The rows to train on, and the ninth of them that is validated on after each epoch."""
    order = torch.randperm(articles, generator=torch.Generator().manual_seed(SEED))
    return order[articles // 10 :], order[: articles // 10]


def bare(vectors: torch.Tensor, codes: torch.Tensor) -> None:
    """The loop that one would write without Lightning."""
    training, validation = rows(len(vectors))
    module = heads(len(training)).train()
    configured = module.configure_optimizers()
    optimiser, schedule = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    for epoch in range(EPOCHS):
        for number, batch in enumerate(VectorBatches((vectors, codes), BATCH, SEED + epoch, training)):
            optimiser.zero_grad()
            module.training_step(batch, number).backward()
            optimiser.step()
            schedule.step()
        module.eval()
        with torch.no_grad():
            for number, batch in enumerate(VectorBatches((vectors, codes), 512, SEED, validation)):
                module.validation_step(batch, number)
            module.errors.take()
        module.train()


def run(articles: int) -> None:
    """Time both ways, in turns, and publish the medians."""
    generator = torch.Generator().manual_seed(SEED)
    vectors = torch.randn(articles, SIZE, generator=generator)
    codes = torch.stack([torch.randint(count, (articles,), generator=generator) for count in CLASSES], dim=1)
    turns: dict[str, list[Result]] = {f"{STAGE}, {way}": [] for way in WAYS}
    torch.set_num_threads(1)  # as the job
    with tempfile.TemporaryDirectory(prefix="atelier-bench-", dir=Path.cwd()) as folder:
        logger = MLFlowLogger("tagging", tracking_uri=f"sqlite:///{folder}/mlflow.db", artifact_location=folder)
        _ = logger.run_id  # the store is there before the clock runs
        for turn in range(-1, TURNS):
            place = Path(folder) / str(turn)
            data = LabelledVectors((vectors, codes), BATCH, SEED, *rows(articles))
            times = (
                timed(lambda: bare(vectors, codes)),
                timed(lambda d=data, p=place: fit(heads(len(d.training)), d, EPOCHS, p, "val/error", logger=logger)),
            )
            for way, result in zip(WAYS, times, strict=True):
                if turn >= 0:  # the first turn warms up
                    turns[f"{STAGE}, {way}"].append(result)
    rates = {
        name: EPOCHS * (articles - articles // 10) / median(result.seconds for result in of)
        for name, of in turns.items()
    }
    said = "; ".join(f"{name} {rate:,.0f}" for name, rate in rates.items())
    note = (
        f"{EPOCHS} epochs of {articles:,} vectors of {SIZE} numbers with {len(CLASSES)} labels of {sum(CLASSES)}"
        f" classes, a tenth of them to validate on, in batches of {BATCH}, on one thread; both ways cut the same"
        " batches for the same network. Lightning as tagging.train uses it: DataModule, the best epoch's checkpoint"
        f" and the last one's, MLflow in SQLite. Medians of {TURNS}"
        f" turns. Articles a second: {said}."
    )
    publish("tagging", f"make bench-tagging ARTICLES={articles}", medians(turns), shares(turns, [STAGE], WAYS), note)
