"""A model's files and their SHA-256, kept beside them: damage is found before a model is used."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from jobs.platform.errors import JobError

CHECKSUMS = "checksums.json"
#: Files of a model that may change: MLflow writes the last one where it fetches a model to.
_NOT_SUMMED = {CHECKSUMS, "registered_model_meta"}


def write_checksums(model: Path, folder: Path | None = None) -> Path:
    """Write the checksums of all files below `model` into `folder` (None: there, too); returns the file."""
    files = sorted(path for path in model.rglob("*") if path.is_file() and path.name not in _NOT_SUMMED)
    sums = {path.relative_to(model).as_posix(): _sha256(path) for path in files}
    written = (folder or model) / CHECKSUMS
    written.write_text(json.dumps(sums, indent=1))
    return written


def verify_checksums(model: Path) -> None:
    """Raise JobError where a file is gone or is not what it was. Files that came later are not looked at.

    A model registered before there were checksums passes.
    """
    if not (model / CHECKSUMS).exists():
        return
    sums = json.loads((model / CHECKSUMS).read_text())
    damaged = [name for name, digest in sums.items() if not _is(model / name, digest)]
    if damaged:
        raise JobError(
            f"{model}: {len(damaged)} of {len(sums)} files are damaged or missing, such as {damaged[0]}; "
            "fetch the model again, or run the task that registers it"
        )


def _is(file: Path, digest: str) -> bool:
    return file.is_file() and _sha256(file) == digest


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
