"""What is computed of images, kept on disk as it comes: what a killed run resumes from."""

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

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.embeddings.decode import ImageFile
from jobs.platform.settings import Settings

if TYPE_CHECKING:
    from jobs.embeddings.encoders import Encoder

_LOG = logging.getLogger(__name__)


@contextmanager
def one_at_a_time(settings: Settings, what: str = "embeddings") -> Iterator[None]:
    """Wait until no other run embeds the same into the same warehouse: two would do the same work."""
    settings.work_dir.mkdir(parents=True, exist_ok=True)
    with (settings.work_dir / f"{what}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Chunks:
    """Rows in a folder of files, one for each few hundred images. A file appears whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, rows: pa.Table) -> None:
        """Keep some rows."""
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / f"{uuid.uuid4().hex}.partial"
        with partial.open("wb") as stream:
            pq.write_table(rows, stream, use_dictionary=False, write_page_checksum=True)
            stream.flush()
            os.fsync(stream.fileno())
        partial.rename(partial.with_suffix(".parquet"))

    def tables(self) -> Iterator[pa.Table]:
        """What was kept, file by file."""
        for path in sorted(self.folder.glob("*.parquet")):
            try:
                rows = pq.ParquetFile(path, page_checksum_verification=True).read()
            except (OSError, pa.ArrowException) as error:
                _LOG.warning("%s is damaged (%s): what it holds is computed again", path, error)
                path.unlink()
                continue
            yield rows

    def remove(self) -> None:
        """Forget everything: the table has it now."""
        shutil.rmtree(self.folder, ignore_errors=True)


class FeatureStore(Chunks):
    """Features [d] of images by checksum, and the reasons of those that cannot be decoded; of one encoder."""

    @classmethod
    def of(cls, encoder: Encoder, settings: Settings) -> FeatureStore:
        """The store of an encoder with these weights."""
        return cls(settings.work_dir / "embeddings" / f"{encoder.kind}-{encoder.weights[:16]}")

    def keep(self, files: Sequence[ImageFile], features: np.ndarray) -> None:
        """Keep what became of some files, and the features [m, d] of the m that are ok, in their order."""
        is_ok = np.array([file.status == "ok" for file in files])
        offsets = np.append(0, (is_ok * features.shape[1]).cumsum()).astype(np.int32)
        columns = {
            "checksum": pa.array([file.checksum for file in files], pa.string()),
            "error": pa.array([file.error for file in files], pa.string()),
            "features": pa.ListArray.from_arrays(pa.array(offsets), features.ravel(), mask=pa.array(~is_ok)),
        }
        self.add(pa.table(columns))

    def outcomes(self) -> dict[str, ImageFile]:
        """Checksum -> what became of the image."""
        found = {}
        for rows in self.tables():
            columns = rows["checksum"].to_pylist(), rows["features"].is_valid().to_pylist(), rows["error"].to_pylist()
            for checksum, is_ok, error in zip(*columns, strict=True):
                found[checksum] = ImageFile("ok" if is_ok else "broken", error, checksum)
        return found

    def blocks(self, wanted: Iterable[str]) -> Iterator[tuple[list[str], np.ndarray]]:
        """Checksums and features [n, d] of the wanted images, file by file; each image once."""
        left = set(wanted)
        for rows in self.tables():
            rows = rows.filter(rows["features"].is_valid())
            rows = rows.filter(pa.array([name in left for name in rows["checksum"].to_pylist()], pa.bool_()))
            if names := rows["checksum"].to_pylist():
                left.difference_update(names)
                yield names, matrix(rows["features"])


def matrix(vectors: pa.ChunkedArray) -> np.ndarray:
    """The vectors of a column that are not null, float32 [n, k]."""
    found = vectors.combine_chunks().drop_null()
    return found.flatten().to_numpy().reshape(len(found), -1) if len(found) else np.empty((0, 0), np.float32)
