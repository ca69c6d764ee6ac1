"""The retailer's files for a benchmark, at hand so that computing is timed and not a disk."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Linux's folder in memory.
_MEMORY = Path("/dev/shm")


def generated(folder: Path, scale: float) -> Path:
    """H&M-shaped files of this size in the folder, which is given back."""
    command = [
        "-m",
        "sample_data",
        "generate",
        "--scale",
        str(scale),
        "--images",
        "none",
        "--event-days",
        "0",
        "--out",
        str(folder),
    ]
    subprocess.run([sys.executable, *command], check=True)
    return folder


@contextmanager
def in_memory(folder: Path) -> Iterator[Path]:
    """A folder in memory with the folder's CSV files; where they take more than a third of it, the folder itself."""
    files = list(folder.glob("*.csv"))
    if not _MEMORY.is_dir() or 3 * sum(file.stat().st_size for file in files) > shutil.disk_usage(_MEMORY).free:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="atelier-bench-", dir=_MEMORY) as copy:
        for file in files:
            shutil.copy(file, copy)
        yield Path(copy)


def read(folder: Path) -> None:
    """Read all files once, with nothing left to be written, so that nobody has to wait for the disk."""
    os.sync()
    for file in folder.rglob("*"):
        if file.is_file() and file.suffix in (".csv", ".parquet", ".json"):
            with file.open("rb") as stream:
                while stream.read(1 << 24):
                    pass
