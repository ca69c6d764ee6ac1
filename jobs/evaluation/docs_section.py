"""The generated sections of docs/results/: a job writes what stands between the two markers of a section."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.platform.errors import JobError

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

DOCS = Path(__file__).resolve().parents[2] / "docs"
#: Folder of the pages below DOCS, and the pictures' folder as a page links to it.
RESULTS, IMAGES = "results", "../images"


def marks(name: str) -> tuple[str, str]:
    """The comments that begin and end a section."""
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def write_section(page: str, name: str, text: str, pictures: Mapping[str, Picture] | None = None) -> Path:
    """Write a section of a page of docs/results/, and its pictures into docs/images/; returns the page's path.

    Raises JobError where the page has no such markers.
    """
    path, (begin, end) = DOCS / RESULTS / page, marks(name)
    before, _, rest = path.read_text(encoding="utf-8").partition(begin)
    _, mark, after = rest.partition(end)
    if not mark:
        raise JobError(f"{path}: the marks {begin} and {end} are missing")
    folder = path.parent / IMAGES
    for file, drawn in (pictures or {}).items():
        folder.mkdir(exist_ok=True)
        drawn.savefig(folder / file, dpi=100)
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")
    return path
