"""An encoder's first run: train it where it is the catalogue's own, fit its PCA, register both. And the way back."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import mlflow
import numpy as np
import pyarrow as pa
import torch
from pytorch_lightning.loggers import MLFlowLogger

from jobs.embeddings import catalogue, encoders, reduction
from jobs.embeddings.encoders import Encoder
from jobs.embeddings.picture import draw_map
from jobs.embeddings.reduction import Reduction
from jobs.embeddings.versions import KINDS, fitted_encoder, registry_name
from jobs.platform.errors import JobError
from jobs.platform.settings import Settings
from jobs.platform.tracking import ModelVersion, load_model_folder, log_model_folder, start_run
from lightning_modules.catalogue_encoder import CatalogueEncoder

#: Rows of the articles table, and the prepared image of each.
Block = tuple[list[int], list[np.ndarray]]
#: PCA needs two points to have a direction.
MIN_IMAGES = 2
#: t-SNE needs some more to be a map.
MIN_MAP_IMAGES = 10
_NETWORK, _PCA, _CONFIG, _MAP = "network.pt", "pca.npz", "encoder.json", "map.png"


def open_encoder(settings: Settings) -> Encoder:
    """The chosen encoder before its first run; the catalogue's own network is not trained yet."""
    if settings.encoder == "resnet152":
        return encoders.resnet152(settings.weights_dir)
    return encoders.catalogue(CatalogueEncoder())


def load(version: ModelVersion, settings: Settings) -> tuple[Encoder, Reduction]:
    """A registered encoder and its PCA."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = load_model_folder(version.name, version.version, Path(scratch))
        pca = reduction.load(folder / _PCA)
        if settings.encoder == "resnet152":
            return encoders.resnet152(settings.weights_dir), pca
        network = CatalogueEncoder()
        network.load_state_dict(torch.load(folder / _NETWORK, map_location="cpu", weights_only=True))
        return encoders.catalogue(network), pca


def features_of(encoder: Encoder, blocks: Iterable[Block]) -> tuple[list[int], np.ndarray]:
    """Rows and their features [n, d], block by block."""
    rows: list[int] = []
    parts: list[np.ndarray] = []
    for block_rows, images in blocks:
        rows += block_rows
        if images:
            parts.append(encoder.features(images))
    return rows, np.concatenate(parts) if parts else np.empty((0, 0), np.float32)


def fit(
    settings: Settings, job: str, articles: pa.Table, encoder: Encoder, blocks: Iterable[Block]
) -> tuple[ModelVersion, Reduction, list[int], np.ndarray, str]:
    """Fit the encoder on the images in `blocks`, whose rows refer to `articles`, and register it in an MLflow run.

    Returns the version, its PCA, the rows and their features [n, d], and the figures in words.
    Raises JobError when there are fewer than MIN_IMAGES images, or no labels to train on.
    """
    with start_run(settings, job) as run:
        figures: dict[str, float] = {}
        if settings.encoder == "catalogue":
            blocks = list(blocks)  # trained on and embedded, but decoded once
            logger = MLFlowLogger(run_id=run.info.run_id, tracking_uri=mlflow.get_tracking_uri())
            rows = [row for block_rows, _ in blocks for row in block_rows]
            _require(len(rows))
            images = [image for _, block_images in blocks for image in block_images]
            network, figures = catalogue.train(images, articles.take(rows), settings.seed, logger)
            encoder = encoders.catalogue(network)
        rows, features = features_of(encoder, blocks)
        _require(len(rows))
        pca = reduction.fit(features, settings.seed)
        dimensions = min(settings.embedding_dim, len(pca.components))
        figures |= {"images": float(len(rows)), "pca/variance_kept": pca.variance_kept(dimensions)}
        mlflow.log_params({"encoder": KINDS[settings.encoder], "weights": encoder.weights, "dimensions": dimensions})
        mlflow.log_metrics(figures)
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            if len(rows) >= MIN_MAP_IMAGES:
                groups = articles["product_group_name"].take(rows).to_pylist()
                draw_map(pca.apply(features, dimensions), groups, folder / _MAP, settings.seed)
            tags = _save(folder, settings, encoder, pca, figures)
            log_model_folder(registry_name(settings), folder, settings, tags)
            picture = f"; map of the catalogue: {mlflow.get_artifact_uri(registry_name(settings))}/{_MAP}"
    version = fitted_encoder(settings)
    assert version is not None, "registered a moment ago"
    accuracies = [f"{name.removeprefix('val/accuracy_')} {v:.2f}" for name, v in figures.items() if "accuracy" in name]
    words = [f"PCA {features.shape[1]} to {dimensions} keeps {figures['pca/variance_kept']:.1%} of the variance"]
    words += [f"held-out accuracy {', '.join(accuracies)}"] if accuracies else []
    return version, pca, rows, features, "; ".join(words) + picture


def _require(images: int) -> None:
    if images < MIN_IMAGES:
        raise JobError(f"{images} readable images are too few to fit an image encoder on; it takes {MIN_IMAGES}")


def _save(
    folder: Path, settings: Settings, encoder: Encoder, pca: Reduction, figures: Mapping[str, float]
) -> dict[str, str]:
    """Write the encoder's files into the folder; returns the tags that later runs find it by."""
    if settings.encoder == "catalogue":
        torch.save(encoder.network.state_dict(), folder / _NETWORK)
    pca.save(folder / _PCA)
    digest = hashlib.sha256(encoder.weights.encode() + pca.mean.tobytes() + pca.components.tobytes())
    tags = {
        "encoder": KINDS[settings.encoder],
        "mapping": settings.mapping,
        "checksum": digest.hexdigest()[:8],
        "dimensions": str(len(pca.components)),
    }
    (folder / _CONFIG).write_text(json.dumps({**tags, "weights": encoder.weights, "figures": dict(figures)}, indent=2))
    return tags
