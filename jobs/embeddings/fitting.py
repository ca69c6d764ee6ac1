"""An encoder's first run: train it where it is the catalogue's own, fit its PCA, register both. And the way back."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
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
from jobs.embeddings.stream import Pictures
from jobs.embeddings.versions import fitted_encoder, registry_name
from jobs.platform.errors import JobError
from jobs.platform.settings import Settings
from jobs.platform.tracking import ModelVersion, load_model_folder, log_model_folder
from lightning_modules.catalogue_encoder import CatalogueEncoder

#: PCA needs two points to have a direction.
MIN_IMAGES = 2
#: t-SNE needs some more to be a map.
MIN_MAP_IMAGES = 10
#: What the map is coloured by.
_MAP_GROUPS = {"product group": "product_group_name", "colour": "colour_group_name"}
_NETWORK, _PCA, _CONFIG, _MAP = "network.pt", "pca.npz", "encoder.json", "map.png"


def load(version: ModelVersion, settings: Settings) -> tuple[Encoder, Reduction]:
    """A registered encoder and its PCA; JobError when the weights at hand are not those that it was fitted with."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = load_model_folder(version.name, version.version, Path(scratch))
        pca = reduction.load(folder / _PCA)
        if settings.encoder == "catalogue":
            network = CatalogueEncoder()
            network.load_state_dict(torch.load(folder / _NETWORK, map_location="cpu", weights_only=True))
            return encoders.catalogue(network), pca
        encoder = encoders.open_encoder(settings.encoder, settings.weights_dir)
        fitted_with = json.loads((folder / _CONFIG).read_text())["weights"]
    if encoder.weights != fitted_with:
        raise JobError(
            f"encoder {settings.encoder}: the weights' SHA-256 is {encoder.weights[:8]}..., but version "
            f"{version.version} of {version.name} was fitted with {fitted_with[:8]}...; put those back, "
            "or delete the version from the model registry to fit a new one"
        )
    return encoder, pca


def train_catalogue(
    settings: Settings, run_id: str, articles: pa.Table, pictures: Pictures
) -> tuple[Encoder, dict[str, float]]:
    """The catalogue's own encoder, trained on (a sample of) the pictures, which are those of `articles` in order.

    Returns it with its held-out accuracies. A killed run trains again, and on a processor to the same weights.
    """
    rows = np.arange(len(pictures))
    if len(rows) > catalogue.MAX_IMAGES:
        rows = np.sort(np.random.default_rng(settings.seed).choice(rows, catalogue.MAX_IMAGES, replace=False))
    images, kept = pictures.decoded(rows.tolist())
    _require(len(kept))
    logger = MLFlowLogger(run_id=run_id, tracking_uri=mlflow.get_tracking_uri())
    network, figures = catalogue.train(images, articles.take(kept), settings.seed, logger)
    return encoders.catalogue(network), figures


def register(
    settings: Settings,
    encoder: Encoder,
    features: np.ndarray,
    articles: pa.Table,
    figures: dict[str, float],
) -> tuple[ModelVersion, Reduction, str]:
    """Fit PCA on features [n, d] of these articles and register it with the encoder in the active MLflow run.

    Returns the version, its PCA, and the figures in words. Raises JobError when there are fewer than MIN_IMAGES.
    """
    _require(len(features))
    pca = reduction.fit(features)
    dimensions = min(settings.embedding_dim, len(pca.components))
    figures = figures | {"pca/variance_kept": pca.variance_kept(dimensions)}
    mlflow.log_params({"encoder": encoder.kind, "weights": encoder.weights, "dimensions": dimensions})
    mlflow.log_metrics(figures)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if len(features) >= MIN_MAP_IMAGES:
            groups = {name: articles[column].to_pylist() for name, column in _MAP_GROUPS.items()}
            draw_map(pca.apply(features, dimensions), groups, folder / _MAP, settings.seed)
        log_model_folder(registry_name(settings), folder, settings, _save(folder, settings, encoder, pca, figures))
        picture = f"; map of the catalogue: {mlflow.get_artifact_uri(registry_name(settings))}/{_MAP}"
    version = fitted_encoder(settings)
    assert version is not None, "registered a moment ago"
    accuracies = [f"{name.removeprefix('val/accuracy_')} {v:.2f}" for name, v in figures.items() if "accuracy" in name]
    words = [f"PCA {features.shape[1]} to {dimensions} keeps {figures['pca/variance_kept']:.1%} of the variance"]
    words += [f"held-out accuracy {', '.join(accuracies)}"] if accuracies else []
    return version, pca, "; ".join(words) + picture


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
        "encoder": encoder.kind,
        "mapping": settings.mapping,
        "checksum": digest.hexdigest()[:8],
        "dimensions": str(len(pca.components)),
    }
    (folder / _CONFIG).write_text(json.dumps({**tags, "weights": encoder.weights, "figures": dict(figures)}, indent=2))
    return tags


def load_reduction(version: ModelVersion) -> Reduction:
    """The PCA alone of a registered encoder, for whoever has vectors already: it takes no weights."""
    with tempfile.TemporaryDirectory() as scratch:
        return reduction.load(load_model_folder(version.name, version.version, Path(scratch)) / _PCA)
