"""Image features kept on disk while they are computed: what a killed run resumes from.

A folder of files, one for each few hundred images, belongs to one encoder and its weights; within it an image is known
by its checksum. A file appears whole or not at all.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np

from jobs.embeddings.decode import ImageFile
from jobs.platform.settings import Settings

if TYPE_CHECKING:
    from jobs.embeddings.encoders import Encoder

_LOG = logging.getLogger(__name__)


@contextmanager
def one_at_a_time(settings: Settings) -> Iterator[None]:
    """Wait until no other run embeds into the same warehouse: two would do the same work."""
    settings.work_dir.mkdir(parents=True, exist_ok=True)
    with (settings.work_dir / "embeddings.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class FeatureStore:
    """Features [d] of images by checksum, and the reasons of those that cannot be decoded."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def of(cls, encoder: Encoder, settings: Settings) -> FeatureStore:
        """The store of an encoder with these weights."""
        return cls(settings.work_dir / "embeddings" / f"{encoder.kind}-{encoder.weights[:16]}")

    def add(self, files: Sequence[ImageFile], features: np.ndarray) -> None:
        """Keep what became of some files, and the features [m, d] of the m that are ok, in their order."""
        self.folder.mkdir(parents=True, exist_ok=True)
        name = uuid.uuid4().hex
        partial = self.folder / f"{name}.partial"
        with partial.open("wb") as stream:
            np.savez(
                stream,
                checksum=np.array([file.checksum for file in files], dtype="U64"),
                is_ok=np.array([file.status == "ok" for file in files], dtype=bool),
                error=np.array([file.error or "" for file in files], dtype=np.str_),
                features=features,
            )
            stream.flush()
            os.fsync(stream.fileno())
        partial.rename(self.folder / f"{name}.npz")

    def _files(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
        for path in sorted(self.folder.glob("*.npz")):
            try:
                with np.load(path, allow_pickle=False) as kept:
                    content = kept["checksum"], kept["is_ok"], kept["error"], kept["features"]
            except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
                _LOG.warning("%s is damaged (%s): its images are embedded again", path, error)
                path.unlink()
                continue
            yield content

    def outcomes(self) -> dict[str, ImageFile]:
        """Checksum -> what became of the image."""
        found = {}
        for checksums, is_ok, errors, _ in self._files():
            for checksum, ok, error in zip(checksums.tolist(), is_ok.tolist(), errors.tolist(), strict=True):
                found[checksum] = ImageFile("ok" if ok else "broken", error or None, checksum)
        return found

    def blocks(self, wanted: Iterable[str]) -> Iterator[tuple[list[str], np.ndarray]]:
        """Checksums and features [n, d] of the wanted images, file by file; each image once."""
        left = set(wanted)
        for checksums, is_ok, _, features in self._files():
            rows, names = [], []
            for row, checksum in enumerate(checksums[is_ok].tolist()):
                if checksum in left:
                    left.remove(checksum)
                    rows.append(row)
                    names.append(checksum)
            if rows:
                yield names, features[rows]

    def remove(self) -> None:
        """Forget everything: the table has it now."""
        shutil.rmtree(self.folder, ignore_errors=True)
