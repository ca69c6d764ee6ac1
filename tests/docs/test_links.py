"""What pages and code say about files of the project: links, anchors and paths of pages exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
CODE = [
    ROOT / "Makefile",
    ROOT / "CHANGELOG.md",
    *(
        p
        for folder in ("benchmarks", "dags", "expectations", "jobs", "scripts", "tests")
        for p in (ROOT / folder).rglob("*.py")
    ),
]


def anchors(page: Path) -> set[str]:
    """The headings of a page, as a link names them."""
    headings = (line.lstrip("#").strip().lower() for line in page.read_text().splitlines() if line.startswith("#"))
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if link.startswith("http"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_pages_that_code_names_exist() -> None:
    named = {
        (str(file.relative_to(ROOT)), page)
        for file in CODE
        for page in re.findall(r"\bdocs/[\w/-]+\.md\b", file.read_text(encoding="utf-8"))
    }
    assert named
    assert [(file, page) for file, page in sorted(named) if not (ROOT / page).exists()] == []
