"""A text encoder's first run, which registers it, and the way back."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import mlflow

from jobs.embeddings import text_encoders
from jobs.embeddings.text_encoders import TextEncoder
from jobs.embeddings.text_versions import fitted_text_encoder, registry_name
from jobs.platform.errors import JobError
from jobs.platform.settings import Settings
from jobs.platform.tracking import ModelVersion, load_model_folder, log_model_folder

_CONFIG = "encoder.json"


def open_encoder(name: str, weights_dir: Path | None, threads: int = 0) -> TextEncoder:
    """The encoder of that name with weights that nobody fits here; JobError when they cannot be had."""
    if name == "minilm":
        return text_encoders.minilm(weights_dir, threads)
    from jobs.embeddings import hub_text_encoders  # seconds to import

    opened: Callable[[Path | None], TextEncoder] = getattr(hub_text_encoders, name)
    return opened(weights_dir)


def register(settings: Settings, texts: list[str]) -> tuple[ModelVersion, TextEncoder]:
    """Fit the encoder on the catalogue's distinct texts where it is fitted at all; register it in the active run."""
    fitted = None
    if settings.text_encoder == "tfidf":
        from jobs.embeddings import tfidf  # scikit-learn, which others do without

        fitted = tfidf.fit(texts, settings.seed)
    encoder = fitted.encoder() if fitted else open_encoder(settings.text_encoder, settings.weights_dir)
    tags = {
        "encoder": encoder.kind,
        "mapping": settings.mapping,
        "checksum": encoder.weights[:8],
        "dimensions": str(encoder.dimensions),
    }
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if fitted:
            fitted.save(folder)
        (folder / _CONFIG).write_text(json.dumps({**tags, "weights": encoder.weights}, indent=2))
        log_model_folder(registry_name(settings), folder, settings, tags)
    mlflow.log_params({"encoder": encoder.kind, "weights": encoder.weights, "dimensions": encoder.dimensions})
    version = fitted_text_encoder(settings)
    assert version is not None, "registered a moment ago"
    return version, encoder


def load(version: ModelVersion, settings: Settings, threads: int = 0) -> TextEncoder:
    """A registered text encoder; JobError when the weights at hand are not those that it was registered with."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = load_model_folder(version.name, version.version, Path(scratch))
        expected = json.loads((folder / _CONFIG).read_text())["weights"]
        if settings.text_encoder == "tfidf":
            from jobs.embeddings import tfidf

            encoder = tfidf.load(folder).encoder()
        else:
            encoder = open_encoder(settings.text_encoder, settings.weights_dir, threads)
    if encoder.weights != expected:
        raise JobError(
            f"text encoder {settings.text_encoder}: the weights' SHA-256 is {encoder.weights[:8]}..., but version "
            f"{version.version} of {version.name} was registered with {expected[:8]}...; put those back, "
            "or delete the version from the model registry to embed anew"
        )
    return encoder
