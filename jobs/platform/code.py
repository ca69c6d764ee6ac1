"""The version of the code that makes a result: whatever is changed in it makes another one of the same data."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def code_digest(directories: Sequence[str]) -> bytes:
    """Digest of all Python files below these folders of the project."""
    digest = hashlib.sha256()
    for file in sorted(file for directory in directories for file in (ROOT / directory).rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.digest()
