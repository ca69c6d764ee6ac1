"""What judges the fault campaign itself: `make faults` takes too long for every test run."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from tests.faults import __main__ as report
from tests.faults.campaign import Fault, Result, different, refused, same
from tests.faults.injected import FAULTS
from tests.faults.shop import Run, Shop, digest

TABLE = "silver/transactions"
ROWS = pl.DataFrame({"article_id": ["a", "b"], "price": [0.1, 0.2], "source_line": [2, 3]})


def shop(folder: Path, rows: pl.DataFrame) -> Shop:
    """A shop with these purchases."""
    rows.write_delta(str(folder / "warehouse" / TABLE), mode="overwrite")
    return Shop(folder)


def test_faults_have_names_of_their_own() -> None:
    names = [(fault.kind, fault.name) for fault in FAULTS]
    assert len(set(names)) == len(names)


def test_a_digest_tells_other_rows_but_not_another_order(tmp_path: Path) -> None:
    digests = [
        shop(tmp_path / f"{n}", rows).tables()[TABLE]
        for n, rows in enumerate((ROWS, ROWS[::-1], ROWS.with_columns(source_line=9), ROWS.with_columns(price=0.1)))
    ]
    assert digests[0] == digests[1] == digests[2] != digests[3]
    assert digest(tmp_path / "nowhere").startswith("unreadable: ")


def test_a_table_without_rows_counts_as_none_but_one_that_lost_its_rows_as_changed(tmp_path: Path) -> None:
    before = shop(tmp_path, ROWS).tables()
    after = shop(tmp_path, ROWS.clear()).tables()
    assert TABLE in before and after == {}
    assert different(after, before) == f"changed: {TABLE}"


def test_a_refusal_is_one_line_that_leaves_the_tables_alone(tmp_path: Path) -> None:
    before = shop(tmp_path, ROWS).tables()
    line = Run("ingest.transactions", 2, "INFO\nERROR ingest.transactions: transactions_2.csv: twice\n")
    end = refused("transactions_2.csv")
    assert end.wrong(line, Shop(tmp_path), before, {}) == ""
    assert "does not say ['price']" in refused("price").wrong(line, Shop(tmp_path), before, {})
    assert "exit 1 instead of 2" in end.wrong(Run(line.job, 1, line.output), Shop(tmp_path), before, {})
    changed = shop(tmp_path, ROWS.with_columns(price=9.0))
    assert end.wrong(line, changed, before, {}) == f"changed: {TABLE}"
    assert end.wrong(line, changed, {}, {}) == f"changed: {TABLE}", "a table that was not there before"


def test_the_same_tables_are_the_same_row_by_row(tmp_path: Path) -> None:
    clean = shop(tmp_path, ROWS).tables()
    done = Run("ingest.transactions", 0, "done")
    assert same().wrong(done, shop(tmp_path, ROWS[::-1]), {}, clean) == ""
    assert same().wrong(done, shop(tmp_path, ROWS[:1]), {}, clean) == f"changed: {TABLE}"


def test_results_replace_their_rows_of_the_page_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    monkeypatch.setattr(report, "PAGE", page)
    monkeypatch.setattr(report, "FAULTS", faults := [Fault("files", name, print, same()) for name in ("one", "two")])
    page.write_text(f"before\n{report._START}\n{report._END}\nafter\n")
    report.write_docs([Result(fault, "said", "", 1.0) for fault in faults])
    report.write_docs([Result(faults[0], "said", "changed: | it", 1.0)])
    text = page.read_text()
    assert (
        "| files: one | same tables | no: changed: / it | `said` |\n| files: two | same tables | yes | `said` |" in text
    )
    assert text.startswith("before\n") and text.endswith(f"{report._END}\nafter\n")
