"""The generated sections of the docs: what stands between a section's two marks is written by a job."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.platform.errors import JobError

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE, IMAGES = "systems.md", "images"


def marks(name: str) -> tuple[str, str]:
    """The comments that begin and end a section."""
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def write_section(name: str, text: str, pictures: Mapping[str, Picture] | None = None) -> Path:
    """Put text between the section's marks, and pictures into files of these names below IMAGES; returns the page.

    Raises JobError where the page has no such marks.
    """
    page, (begin, end) = DOCS / PAGE, marks(name)
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    _, mark, after = rest.partition(end)
    if not mark:
        raise JobError(f"{page}: the marks {begin} and {end} are missing")
    for file, drawn in (pictures or {}).items():
        (DOCS / IMAGES).mkdir(exist_ok=True)
        drawn.savefig(DOCS / IMAGES / file, dpi=100)
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")
    return page
