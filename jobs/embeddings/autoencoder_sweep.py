"""The grid of "Deep Learning Techniques for Apparel recommendation" (table 1), learning rate x epochs, on a catalogue.

    python -m jobs.embeddings.autoencoder_sweep --as-of-date 2020-09-16 --data ... --warehouse ... \\
        [--sweep-images 2000] [--sweep-learning-rates 0.01,0.001] [--sweep-epochs 1,2]

One MLflow run, with a nested run for each point of the grid; the one with the least error on held-out products has the
tag `best`. The learning rate is constant, so the first 30 epochs of a training for 100 are a training for 30: each
learning rate is trained once, and measured wherever a shorter training would have ended.

Networks are fitted on one device, the first GPU where there is one.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any

import mlflow
import pytorch_lightning as pl

from expectations.articles import ARTICLES
from jobs.embeddings import encoder_fitting, encoders
from jobs.embeddings.autoencoder import prepared, shown
from jobs.embeddings.decode import inspect_all
from jobs.embeddings.picture import reconstructions
from jobs.embeddings.stream import Pictures
from jobs.embeddings.training import fit
from jobs.embeddings.versions import image_folder
from jobs.platform.errors import JobError
from jobs.platform.job import Job, run
from jobs.platform.settings import Settings
from jobs.platform.tracking import start_run
from lightning_modules.autoencoder import AutoencoderImages, AutoencoderModule

READS, WRITES = (ARTICLES,), ()
#: What it reads of the retailer's delivery.
FILES = ("images",)
SETTINGS = ("data", "mapping", "sweep_images", "sweep_learning_rates", "sweep_epochs", "seed", "mlflow_tracking_uri")

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Point:
    """One point of the grid, its errors (train: the mean over its last epoch) and its nested MLflow run."""

    learning_rate: float
    epochs: int
    train_mse: float
    val_mse: float
    mlflow_run_id: str

    def __str__(self) -> str:
        return f"learning rate {self.learning_rate:g}, {self.epochs} epochs: held-out error {self.val_mse:.5f}"


class Points(pl.Callback):
    """Records a nested run wherever a training of so many epochs would have ended."""

    def __init__(self, learning_rate: float, epochs: tuple[int, ...], data: AutoencoderImages) -> None:
        self.learning_rate, self.epochs, self.data = learning_rate, epochs, data
        self.history: list[dict[str, float]] = []
        self.points: list[Point] = []
        self.began = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        figures = {name: float(trainer.callback_metrics[name]) for name in ("train/mse", "val/mse")}
        self.history.append(figures)
        epochs = len(self.history)
        if epochs not in self.epochs:
            return
        with mlflow.start_run(
            run_name=f"learning rate {self.learning_rate:g}, {epochs} epochs", nested=True
        ) as tracked:
            mlflow.log_params({"learning_rate": self.learning_rate, "epochs": epochs})
            for epoch, measured in enumerate(self.history, start=1):
                mlflow.log_metrics(measured, step=epoch)
            mlflow.log_metric("seconds", time.monotonic() - self.began)
            mlflow.log_image(reconstructions(*shown(pl_module, self.data)), "reconstructions.png")
        point = Point(self.learning_rate, epochs, figures["train/mse"], figures["val/mse"], tracked.info.run_id)
        self.points.append(point)
        _LOG.info("%s", point)


def catalogue_images(job: Job) -> AutoencoderImages:
    """A sample of the catalogue's images, as the autoencoder takes them.

    Raises JobError when there are none, or too few for one to be held out.
    """
    settings = job.settings
    folder = image_folder(settings)
    if folder is None:
        raise JobError(f"no images for mapping {settings.mapping} in {settings.data} to train on")
    articles = job.read_arrow(ARTICLES, ["article_id", "product_code"]).sort_by("article_id")
    articles = articles.take(encoder_fitting.sample(len(articles), settings.sweep_images, settings.seed))
    paths = [folder.path(article_id) for article_id in articles["article_id"].to_pylist()]
    files = inspect_all(paths, folder.roots)
    encoder = encoders.open_encoder("autoencoder", None)
    pictures = Pictures(paths, [file.checksum for file in files], folder.roots, encoder)
    images, kept = pictures.decoded([row for row, file in enumerate(files) if file.status == "ok"])
    encoder_fitting.require(len(kept))
    data = prepared(images, articles.take(kept), settings.seed)
    if not data.held_out.any():
        raise JobError(f"none of {len(kept)} images is held out to compare by; raise --sweep-images")
    return data


def train_grid(data: AutoencoderImages, settings: Settings) -> list[Point]:
    """All points of the grid, in nested runs of the active MLflow run. Same images and seed, same errors."""
    points = []
    for learning_rate in settings.sweep_learning_rates:
        pl.seed_everything(settings.seed, verbose=False)
        here = Points(learning_rate, settings.sweep_epochs, data)
        steps = max(settings.sweep_epochs) * len(data.train_dataloader())
        fit(AutoencoderModule(learning_rate), data, steps, callbacks=[here])
        points += here.points
    return points


def table(points: list[Point]) -> str:
    """The paper's table 1 without its accuracies, which a reconstruction does not have."""
    rows = sorted(points, key=lambda point: (point.epochs, -point.learning_rate))
    lines = [f"| {p.epochs} | {p.learning_rate:g} | {p.train_mse:.5f} | {p.val_mse:.5f} |" for p in rows]
    return "\n".join(["| epochs | learning rate | training error | held-out error |", "|---|---|---|---|", *lines, ""])


def main(job: Job) -> str:
    settings, data = job.settings, catalogue_images(job)
    with start_run(settings, job.name):
        out = int(data.held_out.sum())
        mlflow.log_params({"images": len(data.images) - out, "held_out": out, "seed": settings.seed})
        points = train_grid(data, settings)
        best = min(points, key=lambda point: (point.val_mse, point.epochs))
        mlflow.MlflowClient().set_tag(best.mlflow_run_id, "best", "true")
        mlflow.log_params({"best_learning_rate": best.learning_rate, "best_epochs": best.epochs})
        mlflow.log_metric("best/val_mse", best.val_mse)
        mlflow.log_text(table(points), "sweep.md")
    return f"{len(points)} trainings on {len(data.images) - out:,} images, {out:,} held out; best: {best}"


if __name__ == "__main__":
    run(main, reads=READS, writes=WRITES, settings=SETTINGS)
