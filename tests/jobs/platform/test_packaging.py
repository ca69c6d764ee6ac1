"""What a module needs to be imported elsewhere."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from jobs.platform import packaging
from jobs.platform.packaging import imports_of

FILES = {
    "jobs/__init__.py": "",
    "jobs/top.py": """
from typing import TYPE_CHECKING
import json
from jobs.room import thing
from jobs.room.other import name
if TYPE_CHECKING:
    import jobs.types_only
else:
    import yaml
try:
    import numpy as np
except ImportError:
    pass
def lazily():
    import jobs.lazy, pandas
""",
    "jobs/room/__init__.py": "",
    "jobs/room/thing.py": "import jobs.top",
    "jobs/room/other.py": "name = 1",
    "jobs/types_only.py": "",
    "jobs/lazy.py": "",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(packaging, "ROOT", tmp_path)
    return tmp_path


def test_imports_are_followed_as_they_run(project: Path, tmp_path: Path) -> None:
    found = imports_of(["jobs.top"])
    needed = set(FILES) - {"jobs/types_only.py", "jobs/lazy.py"}
    assert {file.as_posix() for file in found.files} == needed
    assert found.requirements == (f"PyYAML=={version('PyYAML')}", f"numpy=={version('numpy')}")
    assert found.copy_files(tmp_path / "copy") == [tmp_path / "copy" / "jobs"]
    copied = {path.relative_to(tmp_path / "copy").as_posix() for path in (tmp_path / "copy").rglob("*.py")}
    assert copied == needed


def test_a_module_that_is_not_there_is_said(project: Path) -> None:
    with pytest.raises(AssertionError, match=r"jobs\.nowhere is no module of jobs, lightning_modules"):
        imports_of(["jobs.nowhere"])


def test_the_standard_library_is_no_requirement() -> None:
    names = {line.partition("==")[0] for line in imports_of(["jobs.platform.checksums"]).requirements}
    assert not names & sys.stdlib_module_names and not names
