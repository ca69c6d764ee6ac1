"""Weeks pooled buyer by buyer, a model as it ages, and the report on both."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from expectations.evaluation import BACKTEST_BUYERS
from jobs.evaluation import backtest_report, docs_section
from jobs.evaluation.walk_forward import Backtest, backtest_of
from jobs.metrics.bootstrap import bootstrap_means, interval
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.schemas import arrow_schema
from jobs.platform.settings import Settings
from jobs.retrieval.baselines import BASELINES
from tests.jobs.evaluation.silver import put
from tests.jobs.retrieval.small import on

POPULAR, OWN, BOTH, RULES = BASELINES
MERGED = "candidates/merged"
#: Label weeks from day 30, 37 and 44; b buys in two of them. What the fresh model reaches, and what it aged one week
#: or two.
FRESH = {(30, "a"): 0.5, (30, "b"): 0.3, (37, "b"): 0.4, (44, "c"): 0.2}
AGED = {1: {(37, "b"): 0.3, (44, "c"): 0.2}, 2: {(44, "c"): 0.1}}
OTHERS = {POPULAR: 0.1, OWN: 0.0, BOTH: 0.2, RULES: 0.15, MERGED: 0.05}
RECALL = {"two_stage": 0.8, POPULAR: 0.2, OWN: 0.1, BOTH: 0.3, RULES: 0.3, MERGED: 0.6}


def row(day: int, age: int, system: str, customer: str, value: float) -> dict[str, Any]:
    key = {"as_of_date": on(day - 7 * age), "fold": on(day).isoformat(), "age_weeks": age, "customer_id": customer}
    figures = {"average_precision_at_12": value, "recall_at_100": RECALL[system]}
    return {"system": system, "run_id": "r"} | key | figures


ROWS = [
    *(row(day, 0, "two_stage", customer, value) for (day, customer), value in FRESH.items()),
    *(row(day, age, "two_stage", c, value) for age, of in AGED.items() for (day, c), value in of.items()),
    *(row(day, 0, name, customer, value) for name, value in OTHERS.items() for day, customer in FRESH),
]


def pooled(rows: list[dict[str, Any]] = ROWS) -> Backtest:
    shuffled = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
    return backtest_of(pa.Table.from_pylist(shuffled, schema=arrow_schema(BACKTEST_BUYERS)), seed=1)


def test_all_weeks_pooled() -> None:
    found = pooled()
    assert found.folds == [on(day).isoformat() for day in (30, 37, 44)] and found.buyers == 4
    assert found.ap["two_stage"].value == pytest.approx((0.5 + 0.3 + 0.4 + 0.2) / 4)  # a mean over buyer-weeks
    assert found.by_fold["two_stage"] == pytest.approx([0.4, 0.4, 0.2])
    assert (found.best, found.ap[BOTH].value) == (BOTH, pytest.approx(0.2))
    assert found.minus[BOTH].value == pytest.approx(0.35 - 0.2)
    assert found.recall_to_popularity == pytest.approx(0.6 / 0.2)


def test_a_customer_is_drawn_with_all_weeks_and_differences_are_paired() -> None:
    found = pooled()
    codes = np.array([0, 1, 1, 2], dtype=np.int32)
    values = np.array([0.5, 0.3, 0.4, 0.2])[:, None]
    low, high = interval(bootstrap_means(codes, values, 1))
    assert (found.ap["two_stage"].low, found.ap["two_stage"].high) == pytest.approx((low[0], high[0]))
    # Two_stage less a constant varies as two_stage does.
    assert (found.minus[BOTH].low, found.minus[BOTH].high) == pytest.approx((low[0] - 0.2, high[0] - 0.2))


def test_an_aged_model_meets_the_fresh_one_on_the_same_weeks() -> None:
    ages = pooled().ages
    assert list(ages) == [0, 1, 2]
    assert ages[0].to_fresh == (1, 1, 1) and ages[0].weeks == 3
    one = ages[1]
    assert (one.weeks, one.buyers, one.aged, one.fresh) == (2, 2, pytest.approx(0.25), pytest.approx(0.3))
    assert one.to_fresh.value == pytest.approx(0.25 / 0.3)
    assert one.to_baseline.value == pytest.approx(0.25 / 0.2)
    # Draws of b alone, of c alone: 3/4 and 1.
    assert (one.to_fresh.low, one.to_fresh.high) == pytest.approx((0.75, 1))
    assert ages[2].to_fresh == pytest.approx((0.5, 0.5, 0.5))  # one customer: nothing varies


def test_a_small_shop_whose_few_buyers_find_nothing_has_a_report_all_the_same() -> None:
    """Neither c, the only buyer of the third week, and so of the oldest model, nor the best sellers find anything."""
    third = {"fold": on(44).isoformat()}
    rows = [r | ({"average_precision_at_12": 0.0} if third.items() <= r.items() else {}) for r in ROWS]
    found = pooled([r | ({"recall_at_100": 0.0} if r["system"] == POPULAR else {}) for r in rows])
    assert np.isnan([found.ages[2].to_fresh.value, found.recall_to_popularity]).all()
    assert len(backtest_report.picture(found).axes) == 2
    assert backtest_report.in_words(found).endswith("2 weeks old the model has nan of the fresh one's MAP@12")


def test_a_buyer_that_only_one_system_knows_is_seen() -> None:
    for kept in (
        [r for r in ROWS if (r["system"], r["customer_id"]) != (OWN, "c")],
        [r for r in ROWS if r["system"] != RULES],  # judged before there was this baseline
    ):
        with pytest.raises(JobError, match="judged by one system and not by the other"):
            pooled(kept)


def test_the_images_are_named_where_there_are_any() -> None:
    settings = Settings(as_of_date=on(51), encoder="eigenfaces")
    assert "images by `eigenfaces`" in backtest_report.report_text(pooled(), settings, has_images=True)
    assert "no images" in backtest_report.report_text(pooled(), settings, has_images=False)


# ---- the job

SECTION = f"""\
3 label weeks from {on(30)} to the as-of date {on(51)}, 4 buyer-weeks, 4 training weeks each, at most 20 epochs, \
no images. The merged candidates' recall@100, before ranking, is 3.00 times that of \
popularity_7d.
"""


@pytest.fixture
def warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The backtest's buyers, docs of our own, and what MLflow was given in `logged`."""
    put(tmp_path, BACKTEST_BUYERS, ROWS)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / backtest_report.PAGE).write_text(
        "before\n<!-- backtest: begin -->\nold\n<!-- backtest: end -->\nafter\n"
    )

    @contextmanager
    def no_run(settings: Settings, name: str) -> Iterator[None]:
        yield

    logged: dict[Any, Any] = {}
    monkeypatch.setattr(backtest_report, "start_run", no_run)
    monkeypatch.setattr(docs_section, "DOCS", tmp_path)
    monkeypatch.setattr(backtest_report, "logged", logged, raising=False)
    mlflow = backtest_report.mlflow
    monkeypatch.setattr(mlflow, "log_metric", lambda name, value: logged.update({name: value}))
    monkeypatch.setattr(
        mlflow, "log_metrics", lambda values, step: logged.update({(n, step): v for n, v in values.items()})
    )
    for log in ("log_text", "log_figure"):
        monkeypatch.setattr(mlflow, log, lambda what, name: logged.update({name: what}))
    return tmp_path


def report(warehouse: Path, **more: Any) -> str:
    settings = Settings(
        **{"as_of_date": on(51), "warehouse": str(warehouse), "backtest_weeks": 3, "training_weeks": 4, **more}
    )
    job = Job("evaluation.backtest_report", settings, backtest_report.READS, backtest_report.WRITES)
    return backtest_report.main(job)


def test_the_section_and_its_picture(warehouse: Path) -> None:
    said = report(warehouse, write_docs=True)
    page = (warehouse / "results" / backtest_report.PAGE).read_text()
    assert page.startswith(f"before\n<!-- backtest: begin -->\n{SECTION}") and page.endswith("end -->\nafter\n")
    assert "old" not in page
    assert f"| {MERGED} | 0.0500 (0.0500 to 0.0500) | 0.6000 | +0.3000 (" in page
    assert "| 1 | 2 | 2 | 0.2500 | 0.3000 | 0.833 (0.750 to 1.000) | 0.2000 | 1.25 (" in page
    assert (warehouse / "images" / "backtest.png").read_bytes().startswith(b"\x89PNG")
    assert "(../images/backtest.png)" in page
    assert said.startswith("MAP@12 of 4 buyer-weeks in 3 weeks: 0.3500 (") and "3.00 times" in said
    assert f"beyond {BOTH}, NOT clear of every baseline" in said  # c has no more than the baseline


def test_mlflow_has_table_picture_and_figures_and_the_docs_wait_to_be_asked(warehouse: Path) -> None:
    report(warehouse)
    logged = backtest_report.logged  # type: ignore[attr-defined]
    assert logged["backtest.md"].startswith(SECTION) and len(logged["backtest.png"].axes) == 2
    assert logged["two_stage/map_at_12"] == pytest.approx(0.35)
    assert logged["staleness/share_of_fresh", 2] == pytest.approx(0.5)
    assert "old" in (warehouse / "results" / backtest_report.PAGE).read_text()


def test_only_weeks_that_ended_by_the_as_of_date_count(warehouse: Path) -> None:
    report(warehouse, as_of_date=on(44), backtest_weeks=2)
    text = backtest_report.logged["backtest.md"]  # type: ignore[attr-defined]
    assert text.startswith(f"2 label weeks from {on(30)} to the as-of date {on(44)}, 3 buyer-weeks")
    assert "| 2 | 1 |" not in text


def test_a_week_that_was_not_walked_is_an_error(warehouse: Path) -> None:
    with pytest.raises(JobError, match=rf"knows nothing as of {on(16)}, {on(23)}; run evaluation.backtest"):
        report(warehouse, backtest_weeks=5)
    with pytest.raises(JobError, match="how many past weeks"):
        report(warehouse, backtest_weeks=0)


def test_a_page_without_marks_is_an_error(warehouse: Path) -> None:
    (warehouse / "results" / backtest_report.PAGE).write_text("nothing")
    with pytest.raises(JobError, match="marks"):
        report(warehouse, write_docs=True)
