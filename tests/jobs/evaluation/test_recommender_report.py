"""The tables of docs/results/recommenders.md, from hand-made figures."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from expectations.contract import Contract
from expectations.evaluation import NEXT_PURCHASE_METRICS, SYSTEM_METRICS
from jobs.evaluation import docs_section, recommender_report
from jobs.evaluation.figures import figures_table
from jobs.evaluation.next_purchase import KS, READINGS
from jobs.evaluation.protocol import Figure
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.settings import Settings
from jobs.platform.warehouse import Warehouse
from tests.jobs.retrieval.small import on

NEXT = [
    figure
    for system, rate in (("gru", 0.01), ("item_knn", 0.02), ("popularity_7d", 0.03))
    for i, reading in enumerate(READINGS)
    for figure in (
        *(Figure(system, reading, "hit_rate", k, rate * (i + 1), 0.001, 0.2) for k in KS),
        Figure(system, reading, "customers", 0, 1000 * (i + 1)),
    )
]
WEEKLY = [
    *(Figure("gru", name, "map", 12, 0.02, 0.01, 0.03) for name in ("all", "bought_in_last_30_days", "no_history")),
    Figure("gru", "all", "map_minus_popularity_7d", 12, 0.005, -0.001, 0.011),
    Figure("gru", "all", "own_share", 12, 0.75),
    Figure("gru", "all", "recall", 100, 0.3, 0.2, 0.4),
    Figure("gru", "all", "unique_recall", 100, 0.04, 0.03, 0.05),
    Figure("gru", "all", "merged_recall", 100, 0.6, 0.5, 0.7),
    Figure("gru", "all", "merged_gain", 100, -0.01, -0.02, 0.0),
    *(Figure("gru", "all", metric, 0, v) for metric, v in (("fit_seconds", 1234.4), ("peak_mib", 2048.2))),
    *(Figure(system, "all", "buyers", 0, 5492) for system in ("gru", "popularity_7d")),
    Figure("popularity_7d", "all", "map", 12, 0.015, 0.014, 0.016),
]
NEXT_LINES = """\
Share of the customers whose hidden purchase is among the first k; customers judged: 1,000 (every_unit), \
2,000 (merged_lines), 3,000 (last_day).

| system | what is hidden | @1 | @5 | @10 | @50 | @100 |
|---|---|---|---|---|---|---|
"""
GRU_LINES = """\
| gru | the paper's | 0.00092 | 0.00181 | 0.00220 | 0.00445 | 0.00650 |
| gru | every_unit | 0.01000 | 0.01000 | 0.01000 (0.00100 to 0.20000) |"""
WEEKLY_LINES = """\
1 label weeks from 2020-09-20, 5,492 buyer-weeks. The candidate sources that need no model have recall@100 0.6000 \
together, taking turns.

| system | MAP@12 | bought in last 30 days | older history | no history | less popularity_7d | own places | recall@100 \
| unique recall@100 | gain | fit, seconds | peak MiB |
|---|---|---|---|---|---|---|---|---|---|---|---|
| gru | 0.0200 (0.0100 to 0.0300) | 0.0200 |  | 0.0200 | +0.0050 (-0.0010 to +0.0110) | 0.75 | 0.3000 | 0.0400 | \
-0.0100 (-0.0200 to +0.0000) | 1,234 | 2,048 |
| popularity_7d | 0.0150 (0.0140 to 0.0160) |  |  |  |  |  |  |  |  |  |  |
"""


def publish(warehouse: Path, contract: Contract, figures: list[Figure]) -> None:
    """The figures pooled, and as those of one label week."""
    stamp = {"as_of_date": on(57), "run_id": "r"}
    rows = [figures_table(figures, contract, fold_start=fold, **stamp) for fold in (None, on(50))]
    Warehouse(str(warehouse), {}).publish_arrow(contract, pa.concat_tables(rows), {})


@pytest.fixture
def page(warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A page of our own with the marks."""
    monkeypatch.setattr(docs_section, "DOCS", warehouse)
    marks = ["\n".join(docs_section.marks(name)) for name in (recommender_report.NEXT, recommender_report.WEEKLY)]
    page = warehouse / docs_section.RESULTS / recommender_report.PAGE
    page.parent.mkdir()
    page.write_text("before\n" + "\nbetween\n".join(marks) + "\nafter\n")
    return page


def run(page: Path, day: int = 57, write_docs: bool = True) -> str:
    settings = Settings(as_of_date=on(day), warehouse=str(page.parents[1]), write_docs=write_docs)
    return recommender_report.main(
        Job("evaluation.recommender_report", settings, recommender_report.READS, recommender_report.WRITES)
    )


def test_both_tables_and_their_pictures(page: Path) -> None:
    publish(page.parents[1], NEXT_PURCHASE_METRICS, NEXT)
    publish(page.parents[1], SYSTEM_METRICS, WEEKLY)
    assert run(page) == "next purchases: item_knn, gru; systems by week: gru"
    text = page.read_text()
    assert NEXT_LINES in text and GRU_LINES in text and WEEKLY_LINES in text
    assert "| item_knn | the paper's" not in text and "| popularity_7d | last_day | 0.09000 |" in text
    assert text.index("| item_knn | every") < text.index("| popularity_7d | every")
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "\nbetween\n" in text
    for name in (recommender_report.NEXT_PICTURE, recommender_report.WEEKLY_PICTURE):
        assert (page.parents[1] / "images" / name).read_bytes().startswith(b"\x89PNG") and f"(../images/{name})" in text


def test_what_was_not_run_is_left_out(page: Path) -> None:
    publish(page.parents[1], SYSTEM_METRICS, WEEKLY)
    before = page.read_text()
    assert run(page, write_docs=False) == "next purchases: none; systems by week: gru"
    assert page.read_text() == before
    assert WEEKLY_LINES in recommender_report.logged["systems by week.md"]  # type: ignore[attr-defined]
    with pytest.raises(JobError, match=f"no system was judged as of {on(58)}; run evaluation.weekly_protocol"):
        run(page, day=58)


def test_a_page_without_marks_is_an_error(page: Path) -> None:
    publish(page.parents[1], NEXT_PURCHASE_METRICS, NEXT)
    page.write_text("nothing")
    with pytest.raises(JobError, match="marks"):
        run(page)


def test_the_page_has_the_marks() -> None:
    page = (docs_section.DOCS / docs_section.RESULTS / recommender_report.PAGE).read_text()
    for name in (recommender_report.NEXT, recommender_report.WEEKLY):
        begin, end = docs_section.marks(name)
        assert page.index(begin) < page.index(end)
