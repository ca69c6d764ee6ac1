"""A model's files against their checksums; damage in the registry is in test_tracking."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobs.platform import checksums
from jobs.platform.checksums import verify_checksums, write_checksums
from jobs.platform.errors import JobError


def test_a_file_that_may_not_be_read_is_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "trees.txt").write_text("tree")
    (tmp_path / "towers.safetensors").write_text("towers")
    digest = write_checksums(tmp_path)
    verify_checksums(tmp_path, digest)
    (tmp_path / "came_later").touch()
    verify_checksums(tmp_path, digest)
    if os.getuid():
        (tmp_path / "trees.txt").chmod(0)
    else:  # who may read everything
        read = checksums._sha256

        def forbidden(file: Path) -> str:
            if file.name == "trees.txt":
                raise PermissionError(13, "Permission denied", str(file))
            return read(file)

        monkeypatch.setattr(checksums, "_sha256", forbidden)
    with pytest.raises(JobError, match=r"1 of 2 files are damaged or missing, such as trees\.txt"):
        verify_checksums(tmp_path, digest)
