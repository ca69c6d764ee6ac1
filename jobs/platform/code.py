"""The version of the code that makes a result: whatever is changed in it makes another one of the same data."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def code_digest(paths: Sequence[str]) -> bytes:
    """Digest of the project's files that match these globs, such as `jobs/ranking/*.py`."""
    digest = hashlib.sha256()
    for file in sorted(file for path in paths for file in ROOT.glob(path)):
        digest.update(file.read_bytes())
    return digest.digest()
