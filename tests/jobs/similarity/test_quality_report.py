"""The table of docs/results/similarity.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from expectations.evaluation import SIMILARITY_METRICS
from jobs.evaluation import docs_section
from jobs.evaluation.figures import figures_table
from jobs.evaluation.protocol import NEW_ARTICLES, Figure
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.settings import Settings
from jobs.platform.warehouse import Warehouse
from jobs.similarity import quality_report
from tests.jobs.retrieval.small import on

FIGURES = [
    Figure("cosine_resnet50", "articles", "articles", 0, 1991),
    Figure("cosine_resnet50", "articles", "with_picks", 0, 1),
    Figure("eigenfaces", "articles", "with_picks", 0, 0.25),
    Figure("cosine_resnet50", "articles", "same_product_type_by_chance", 0, 0.01),
    *(
        Figure("cosine_resnet50", "articles", f"{of}_by_chance", 0, 0.02)
        for of in ("same_colour_group", "same_index_group", "same_product")
    ),
    *(Figure("cosine_resnet50", "articles", "same_product_type", k, k / 10) for k in (1, 6)),
    Figure("cosine_resnet50", "articles", "coverage", 10, 0.9),
    Figure("cosine_resnet50", "articles", "hubness", 10, 0.02),
    Figure("cosine_resnet50", NEW_ARTICLES, "recall", 12, 0.2, 0.1, 0.3),
    Figure("popular_new", NEW_ARTICLES, "recall", 12, 0.4, 0.3, 0.5),
    *(Figure("random_new", NEW_ARTICLES, m, k, v) for m, k, v in (("recall", 12, 0.12), ("new_articles", 0, 100))),
    Figure("random_new", NEW_ARTICLES, "buyers", 0, 1234),
]

TABLE = """\
As-of date 2020-09-27, label week from 2020-09-20; 1,991 articles to pick from, 100 new ones before the label week, \
1,234 buyers of those in it.

| method | same product type @1/6/10 | same colour group @1/6/10 | same index group @1/6/10 | \
same department @1/6/10 | same product @1/6/10 | coverage @10 | hubness @10 | recall@12 of new articles |
|---|---|---|---|---|---|---|---|---|
| cosine_resnet50 | 0.100 / 0.600 / - | - / - / - | - / - / - | - / - / - | - / - / - | \
0.9000 | 0.0200 | 0.2000 (0.1000-0.3000) |
| eigenfaces | - / - / - | - / - / - | - / - / - | - / - / - | - / - / - | - | - | - |
| by chance | 0.010 | 0.020 | 0.020 | - | 0.020 |  |  | 0.1200 |
| best sellers among the new |  |  |  |  |  |  |  | 0.4000 (0.3000-0.5000) |"""


BEGIN, END = docs_section.marks(quality_report.SECTION)


def run(warehouse: Path) -> str:
    settings = Settings(as_of_date=on(57), warehouse=str(warehouse))
    return quality_report.main(Job("similarity.quality_report", settings, quality_report.READS, quality_report.WRITES))


@pytest.fixture
def warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The figures of a run; the page is a file of our own."""
    rows = figures_table(FIGURES, SIMILARITY_METRICS, as_of_date=on(57), fold_start=on(50), run_id="r")
    Warehouse(str(tmp_path), {}).publish_arrow(SIMILARITY_METRICS, rows, {})
    monkeypatch.setattr(docs_section, "DOCS", tmp_path)
    (tmp_path / "results").mkdir()
    return tmp_path


def test_what_stands_between_the_marks_is_replaced(warehouse: Path) -> None:
    page = warehouse / "results" / quality_report.PAGE
    page.write_text(f"# Before\n{BEGIN}\nold\n{END}\nAfter\n")
    run(warehouse)
    assert page.read_text() == f"# Before\n{BEGIN}\n{TABLE}\n{END}\nAfter\n"
    run(warehouse)
    assert page.read_text().count("cosine_resnet50") == 1


def test_without_marks_or_figures_it_says_so(warehouse: Path, tmp_path: Path) -> None:
    page = warehouse / "results" / quality_report.PAGE
    page.write_text("# A page\n")
    with pytest.raises(JobError, match=r"the marks .* are missing"):
        run(warehouse)
    assert page.read_text() == "# A page\n"
    settings = Settings(as_of_date=on(64), warehouse=str(warehouse))
    with pytest.raises(JobError, match=r"has no rows of 2020-10-04; run similarity\.quality"):
        quality_report.main(Job("similarity.quality_report", settings, quality_report.READS, quality_report.WRITES))


def test_the_page_has_the_marks() -> None:
    page = (docs_section.DOCS / docs_section.RESULTS / quality_report.PAGE).read_text()
    assert page.index(BEGIN) < page.index(END)
