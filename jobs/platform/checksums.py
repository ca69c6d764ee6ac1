"""A model's files and their SHA-256, kept beside them: damage is found before a model is used."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from jobs.platform.errors import JobError

CHECKSUMS = "checksums.json"
#: Files of a model that may change: MLflow writes the last one where it fetches a model to.
_NOT_SUMMED = {CHECKSUMS, "registered_model_meta"}
_ADVICE = "restore the files, or run the task that registers the model"


def write_checksums(model: Path, folder: Path | None = None) -> str:
    """Write the checksums of all files below `model` into `folder` (None: there, too); returns the model's digest.

    The digest is the SHA-256 of the checksums: two models have the same only where all their files are the same.
    """
    files = sorted(path for path in model.rglob("*") if path.is_file() and path.name not in _NOT_SUMMED)
    sums = {path.relative_to(model).as_posix(): _sha256(path) for path in files}
    written = (folder or model) / CHECKSUMS
    written.write_text(json.dumps(sums, indent=1))
    return _sha256(written)


def verify_checksums(model: Path, digest: str | None = None) -> None:
    """Raise JobError where a file is gone, may not be read or is not what it was. Files that came later may be there.

    Args:
        digest: of the model, as recorded in the registry; None: not recorded.
    """
    listed = model / CHECKSUMS
    if not listed.is_file():
        raise JobError(f"{model}: {CHECKSUMS} is missing, so that no file can be verified; {_ADVICE}")
    if digest and not _is(listed, digest):
        raise JobError(f"{listed}: damaged, or of another model; {_ADVICE}")
    try:
        sums = dict(json.loads(listed.read_text()))
    except (ValueError, TypeError) as error:
        raise JobError(f"{listed}: damaged ({error}); {_ADVICE}") from None
    damaged = [name for name, expected in sums.items() if not _is(model / name, expected)]
    if damaged:
        raise JobError(
            f"{model}: {len(damaged)} of {len(sums)} files are damaged or missing, such as {damaged[0]}; {_ADVICE}"
        )


def _is(file: Path, digest: str) -> bool:
    try:
        return file.is_file() and _sha256(file) == digest
    except OSError:  # which may not be read, or not be reached
        return False


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
