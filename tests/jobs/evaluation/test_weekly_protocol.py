"""A system under the weekly protocol, on a shop that can be counted by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from expectations.evaluation import SYSTEM_METRICS
from expectations.recommendations import SYSTEM_RECOMMENDATIONS
from jobs.evaluation import weekly_protocol as weekly
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.settings import Settings
from jobs.retrieval.baselines import BASELINES
from jobs.retrieval.purchases import day_number
from tests.jobs.evaluation import popular
from tests.jobs.evaluation.conftest import AS_OF, ROWS
from tests.jobs.evaluation.silver import put_purchases
from tests.jobs.retrieval.small import on


def run(warehouse: Path, system: str = "als", run_id: str = "r", **more: Any) -> str:
    settings = Settings(
        **{"as_of_date": on(AS_OF), "warehouse": str(warehouse), "run_id": run_id, "system": system, "top_k": 3, **more}
    )
    return weekly.main(
        Job("evaluation.weekly_protocol", settings, weekly.READS + weekly.READS_EARLIER_RUNS, weekly.WRITES)
    )


def tables(warehouse: Path) -> tuple[list[dict], list[dict]]:
    """All rows of system_metrics and of system_recommendations."""
    outputs = (SYSTEM_METRICS, SYSTEM_RECOMMENDATIONS)
    job = Job("test", Settings(as_of_date=on(AS_OF), warehouse=str(warehouse)), outputs, [])
    metrics, picks = (job.read_arrow(table).to_pylist() for table in outputs)
    return metrics, picks


def test_figures_by_hand(warehouse: Path) -> None:
    said = run(warehouse)
    value = {(r["fold"], r["system"], r["slice"], r["metric"], r["k"]): r["value"] for r in tables(warehouse)[0]}
    # Fitted before day 32 its list is 0, 1, 2, 3, 4: hits at 2; at 3 and at 1; at 4; at 5. Customer 2 is unknown and
    # gets the best sellers as of day 53 instead, 3 before 0, 1, 2, 4: 1 of {1, 5} at place 3.
    folds = [value[on(day).isoformat(), "als", "all", "map", 12] for day in (32, 39, 46, 53)]
    assert folds == pytest.approx([1 / 2, (1 / 3 + 1) / 2, 1 / 4, (1 / 5 + 1 / 6) / 2])
    pooled = (1 / 2 + 1 / 3 + 1 + 1 / 4 + 1 / 5 + 1 / 6) / 6
    assert value["pooled", "als", "all", "map", 12] == pytest.approx(pooled)
    assert value["pooled", "als", "no_history", "map", 12] == pytest.approx(1 / 6)
    other = value["pooled", "popularity_7d", "all", "map", 12]
    assert value["pooled", "als", "all", "map_minus_popularity_7d", 12] == pytest.approx(pooled - other)
    # Five places of twelve are its own, none of the new customer's.
    assert value["pooled", "als", "all", "own_share", 12] == pytest.approx(5 * 5 / 12 / 6)
    assert value["pooled", "als", "all", "own_recall", 100] == pytest.approx(5 / 6)
    assert value["pooled", "als", "all", "recall", 100] == pytest.approx((5 + 1 / 2) / 6)
    assert {system for _, system, *_ in value} == {"als", *BASELINES}, "candidates are no systems"
    assert value["pooled", "als", "all", "peak_mib", 0] > 50 and value["pooled", "als", "all", "fit_seconds", 0] >= 0
    assert said.startswith(f"als: MAP@12 {pooled:.4f} (") and "12 picks; side features: none" in said
    assert weekly.logged["als/map_at_12"] == pytest.approx(pooled)  # type: ignore[attr-defined]
    assert not list((warehouse / "work" / "checkpoints").iterdir())


def test_no_fit_and_no_pick_sees_its_future(warehouse: Path) -> None:
    run(warehouse)
    shown = popular.SHOWN
    starts = [on(day) for day in (32, 39, 46, 53)]
    expected = [("fit", starts[0]), *(("at", start) for start in starts), ("fit", on(AS_OF)), ("at", on(AS_OF))]
    assert [(s.what, s.as_of_date) for s in shown] == expected
    assert all(s.last_day < day_number(s.as_of_date) for s in shown)
    # And up to there they see everything: the last purchases before the folds, and before the as-of date.
    assert [s.last_day - day_number(on(0)) for s in shown] == [2, 2, 33, 41, 47, 55, 55]


def test_nothing_from_the_oldest_fold_on_moves_the_evaluated_fit(warehouse: Path) -> None:
    """Other buyers and articles from day 32 on, and purchases of the as-of date itself: the same fold of day 32."""
    run(warehouse)
    first = on(32).isoformat()
    kept = [(r["system"], r["metric"], r["k"], r["value"]) for r in tables(warehouse)[0] if r["fold"] == first]
    forged = [row for row in ROWS if row[0] <= 33] + [(d, 3, 6) for d in (40, 41, 47, 54, 55, 60, 61)]
    put_purchases(warehouse, forged, customers=4, articles=7)
    run(warehouse)
    again = [(r["system"], r["metric"], r["k"], r["value"]) for r in tables(warehouse)[0] if r["fold"] == first]
    assert sorted(again) == sorted(kept) and kept
    assert max(s.last_day for s in popular.SHOWN) == day_number(on(55))


def test_everybody_gets_picks(warehouse: Path) -> None:
    run(warehouse)
    _, picks = tables(warehouse)
    lists = {c: [p for p in picks if p["customer_id"] == c] for c in ("c0", "c1", "c2", "c3")}
    # As of day 60 the best sellers of the last 7 days are 1, 4, 5: the system's list, and what fills up.
    articles = {c: [p["article_id"] for p in sorted(of, key=lambda p: p["rank"])] for c, of in lists.items()}
    assert set(map(tuple, articles.values())) == {("a01", "a04", "a05")} and len(articles) == 4
    assert [p["score"] for p in sorted(lists["c0"], key=lambda p: p["rank"])] == [0, -1, -2]
    assert {p["score"] for p in lists["c3"]} == {None}, "best sellers have no score of the system"
    assert {p["rank"] for p in picks} == {1, 2, 3}


def test_a_system_with_one_article_is_filled_up_behind_it(warehouse: Path) -> None:
    said = run(warehouse, "bpr")
    _, picks = tables(warehouse)
    own = sorted((p["rank"], p["article_id"], p["score"]) for p in picks if p["customer_id"] == "c1")
    assert own == [(1, "a01", 0.0), (2, "a04", None), (3, "a05", None)]
    assert "side features: 1 of price; no colours, no shape, no keywords" in said
    assert {s.features for s in popular.SHOWN if s.what == "fit"} == {1}


def test_a_rerun_leaves_one_slice_and_other_systems_alone(warehouse: Path) -> None:
    run(warehouse, "als", "first")
    run(warehouse, "bpr", "second")
    before = tables(warehouse)
    run(warehouse, "als", "third")
    after = tables(warehouse)
    for was, now in zip(before, after, strict=True):
        runs = {(row["system"], row["run_id"]) for row in now if row["system"] not in BASELINES}
        assert runs == {("als", "third"), ("bpr", "second")}
        assert len(now) == len(was)
        assert [row for row in now if row["system"] == "bpr"] == [row for row in was if row["system"] == "bpr"]


def test_nothing_to_learn_or_judge_is_one_line(warehouse: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put_purchases(warehouse, [row for row in ROWS if row[0] >= 32], customers=4, articles=7)
    with pytest.raises(JobError, match=f"no purchase before {on(32)} for als to learn from"):
        run(warehouse)
    put_purchases(warehouse, ROWS[:5], customers=4, articles=7)
    with pytest.raises(JobError, match=f"nothing bought in the 4 weeks before {on(AS_OF)}"):
        run(warehouse)
    assert f"nothing was bought from {on(46)} to {on(53)}: no fold" in capsys.readouterr().out
