"""LightGBM's trees as its own text, with the SHA-256 of that text in the last line.

LightGBM aborts the whole process, Python and all, on a text that ends within a tree: it is never given a damaged one.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import lightgbm as lgb

from jobs.platform.errors import JobError

_SEAL = "sha256="


def save(booster: lgb.Booster, file: Path) -> None:
    """Write the trees; LightGBM itself reads the file, too."""
    text = booster.model_to_string()
    file.write_text(f"{text}{_SEAL}{_digest(text)}\n")


def load(file: Path) -> lgb.Booster:
    """Read what `save` wrote; raises JobError where the file is not what was written."""
    try:
        text, seal, digest = file.read_text().rpartition(_SEAL)
    except (OSError, ValueError) as error:
        raise JobError(f"{file}: cannot be read ({error})") from None
    if not seal or digest.strip() != _digest(text):
        raise JobError(f"{file}: damaged, truncated or of an older version; run ranking.train again")
    return lgb.Booster(model_str=text)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
