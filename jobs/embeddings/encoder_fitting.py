"""An encoder's first run: train it where it is the catalogue's own, fit its PCA, register both. And the way back."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import mlflow
import numpy as np
import pyarrow as pa
from pytorch_lightning.loggers import Logger
from safetensors.torch import load_file, save_file

from jobs.embeddings import autoencoder, catalogue, encoders, fine_tuning, joining, picture, reduction
from jobs.embeddings.encoders import Encoder
from jobs.embeddings.reduction import Reduction
from jobs.embeddings.stream import Pictures
from jobs.embeddings.training import Trained
from jobs.embeddings.versions import fitted_encoder, registry_name
from jobs.platform.errors import JobError
from jobs.platform.lightning import RunLogger
from jobs.platform.settings import Settings
from jobs.platform.tracking import ModelVersion, load_model_folder, log_model_folder

#: PCA needs two points to have a direction.
MIN_IMAGES = 2
#: t-SNE needs some more to be a map.
MIN_MAP_IMAGES = 10
#: What the map is coloured by.
_MAP_GROUPS = {"product group": "product_group_name", "colour": "colour_group_name"}
_NETWORK, _PCA, _CONFIG = "network.safetensors", "pca.npz", "encoder.json"
_MAP, _EIGENFACES = "map.png", "eigenfaces.png"


class Training(Protocol):
    """A module that trains an encoder's network on at most MAX_IMAGES prepared images [n, *size, 3] of articles."""

    MAX_IMAGES: int

    def train(self, images: np.ndarray, articles: pa.Table, seed: int, logger: Logger | bool = False) -> Trained: ...


#: The encoders whose networks are trained here, in their first run; all others are complete when they are opened.
TRAINED: dict[str, Training] = {
    "catalogue": catalogue,
    "catalogue_lite0": fine_tuning,
    "autoencoder": autoencoder,
}


def load(version: ModelVersion, settings: Settings) -> tuple[Encoder, Reduction]:
    """A registered encoder and its PCA; JobError when the weights at hand are not those that it was fitted with."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = load_model_folder(version.name, version.version, Path(scratch))
        pca = reduction.load(folder / _PCA)
        encoder = encoders.open_encoder(settings.encoder, settings.weights_dir)
        if (trained := folder / _NETWORK).exists():
            encoder.network.load_state_dict(load_file(trained))
            encoder = encoders.with_network(encoder, encoder.network)
        fitted_with = json.loads((folder / _CONFIG).read_text())["weights"]
    if encoder.weights != fitted_with:
        raise JobError(
            f"encoder {settings.encoder}: the weights' SHA-256 is {encoder.weights[:8]}..., but version "
            f"{version.version} of {version.name} was fitted with {fitted_with[:8]}...; put those back, "
            "or delete the version from the model registry to fit a new one"
        )
    return encoder, pca


def train(settings: Settings, run_id: str, articles: pa.Table, pictures: Pictures) -> Trained:
    """Train the chosen encoder's network on (a sample of) the pictures, which are those of `articles` in order.

    A killed run trains again, and on a processor to the same weights. Raises JobError when too few can be read.
    """
    training = TRAINED[settings.encoder]
    images, kept = pictures.decoded(sample(len(pictures), training.MAX_IMAGES, settings.seed))
    require(len(kept))
    logger = RunLogger(run_id)
    return training.train(images, articles.take(kept), settings.seed, logger)


def sample(images: int, at_most: int, seed: int) -> list[int]:
    """Rows of that many images, or of so many drawn at random, in order."""
    if images <= at_most:
        return list(range(images))
    return np.sort(np.random.default_rng(seed).choice(images, at_most, replace=False)).tolist()


def register(
    settings: Settings,
    encoder: Encoder,
    features: np.ndarray,
    articles: pa.Table,
    trained: Trained | None,
) -> tuple[ModelVersion, Reduction, str]:
    """Fit PCA on features [n, d] of these articles and register it with the encoder in the active MLflow run.

    `trained` is what the encoder's training left, if there was one. Returns the version, its PCA, and the figures in
    words. Raises JobError when there are fewer than MIN_IMAGES.
    """
    require(len(features))
    chosen: dict[str, float] = {}
    if encoder.joined:
        pca, chosen = joining.fit(features, encoder.joined, articles, settings.seed)
    else:
        pca = reduction.fit(features, encoder.components)
    dimensions = min(settings.embedding_dim, len(pca.components))
    kept = pca.variance_kept(dimensions)
    figures = {**(trained.figures if trained else {}), **chosen, "pca/variance_kept": kept}
    mlflow.log_params({"encoder": encoder.kind, "weights": encoder.weights, "dimensions": dimensions})
    mlflow.log_metrics(figures)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if len(features) >= MIN_MAP_IMAGES:
            groups = {name: articles[column].to_pylist() for name, column in _MAP_GROUPS.items()}
            title = f"{encoder.kind}: {dimensions} of {features.shape[1]} dimensions keep {kept:.1%} of the variance"
            picture.draw_map(pca.apply(features, dimensions), groups, folder / _MAP, settings.seed, title)
        if encoder.is_pixels:
            picture.eigenfaces(pca, encoder.size).save(folder / _EIGENFACES)
        if trained:
            save_file({k: v.contiguous() for k, v in encoder.network.state_dict().items()}, folder / _NETWORK)
            for name, drawn in trained.pictures.items():
                drawn.save(folder / name)
        log_model_folder(registry_name(settings), folder, settings, _save(folder, settings, encoder, pca, figures))
        drawings = ", ".join(sorted(path.name for path in folder.glob("*.png")))
    version = fitted_encoder(settings)
    assert version is not None, "registered a moment ago"
    held_out = [f"{k[4:].replace('_', ' ')} {v:.3g}" for k, v in sorted(figures.items()) if k.startswith("val/")]
    weighed = ", ".join(
        f"{name.removesuffix('_weight')} weighed {x:g}" for name, x in chosen.items() if "weight" in name
    )
    how = "PCA" if pca.is_pca else f"{weighed}, joined"
    words = [f"{how} {features.shape[1]} to {dimensions} keeps {kept:.1%} of the variance"]
    words += [f"held-out {', '.join(held_out)}"] if held_out else []
    words += [f"pictures in {mlflow.get_artifact_uri(registry_name(settings))}: {drawings}"] if drawings else []
    return version, pca, "; ".join(words)


def require(images: int) -> None:
    """Raise JobError when there are fewer readable images than MIN_IMAGES."""
    if images < MIN_IMAGES:
        raise JobError(f"{images} readable images are too few to fit an image encoder on; it takes {MIN_IMAGES}")


def _save(
    folder: Path, settings: Settings, encoder: Encoder, pca: Reduction, figures: Mapping[str, float]
) -> dict[str, str]:
    """Write PCA and description into the folder; returns the tags that later runs find the version by."""
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
