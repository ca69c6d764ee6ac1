"""Last week's published picks against this week's purchases."""

from __future__ import annotations

from pathlib import Path

import pytest

from expectations.articles import ARTICLES
from expectations.evaluation import REALISED_PERFORMANCE
from expectations.recommendations import RECOMMENDATIONS
from jobs.evaluation import realised_performance
from jobs.platform.job import Job
from jobs.platform.settings import Settings
from tests.jobs.evaluation.silver import put, put_purchases
from tests.jobs.evaluation.test_protocol import FOLD, MODEL, ROWS
from tests.jobs.retrieval.small import on

AS_OF = on(FOLD + 7)


def publish(warehouse: Path, day: int, picks: dict[str, list[int]]) -> None:
    rows = [
        {"as_of_date": on(day), "customer_id": customer, "rank": rank, "article_id": f"a{article:02d}"}
        | {"model_version": "baseline" if rank > 2 else "7"}
        for customer, articles in picks.items()
        for rank, article in enumerate([a for a in articles if a >= 0], start=1)
    ]
    put(warehouse, RECOMMENDATIONS, rows, {"as_of_date": [on(day)]})


def measure(warehouse: Path) -> tuple[str, dict[tuple[str, str, str], float]]:
    settings = Settings(as_of_date=AS_OF, warehouse=str(warehouse))
    reads = realised_performance.READS + realised_performance.READS_EARLIER_RUNS
    said = realised_performance.main(
        Job("evaluation.realised_performance", settings, reads, realised_performance.WRITES)
    )
    rows = Job("test", settings, [REALISED_PERFORMANCE], []).read_arrow(REALISED_PERFORMANCE).to_pylist()
    assert {(row["fold"], row["week_start_date"]) for row in rows} <= {(on(FOLD).isoformat(), on(FOLD))}
    assert {(row["system"], row["model_version"]) for row in rows} <= {
        ("published", "7"),
        ("popularity_7d", "baseline"),
    }
    return said, {(row["system"], row["slice"], row["metric"]): row["value"] for row in rows}


def test_published_picks_are_scored_as_the_protocol_scores_them(tmp_path: Path) -> None:
    put_purchases(tmp_path, ROWS, customers=5, articles=8)
    picks = {f"c{i}": row for i, row in enumerate(MODEL.tolist())}
    publish(tmp_path, FOLD, picks | {"c3": [0, 1, 2]})  # customer 3 buys nothing in the week: not averaged over
    publish(tmp_path, FOLD - 7, {"c0": [1]})
    publish(tmp_path, FOLD + 7, {"c0": [2]})
    said, figures = measure(tmp_path)
    assert figures["published", "all", "map"] == pytest.approx((1 / 2 + 1 / 2 + 5 / 6) / 3)
    # The best sellers at the time: 3, 4, 0. Hits: 4 at place 2 for buyer 0; 0 at place 3 for buyer 2.
    assert figures["popularity_7d", "all", "map"] == pytest.approx((1 / 4 + 0 + 1 / 6) / 3)
    assert "reached MAP@12 0.6111 over 3 buyers, the best sellers 0.1389" in said
    assert measure(tmp_path) == (said, figures)


def test_what_was_delisted_since_was_a_pick_then(tmp_path: Path) -> None:
    """Picks of a run whose catalogue was mended the same week, or that names what is gone today."""
    put_purchases(tmp_path, ROWS, customers=5, articles=8)
    publish(tmp_path, FOLD, {f"c{i}": row for i, row in enumerate(MODEL.tolist())})
    figures = measure(tmp_path)[1]
    for day in (FOLD + 7, FOLD):
        gone = [
            {"article_id": f"a{a:02d}", "article_key": a, "delisted_date": on(day) if a == 4 else None}
            for a in range(8)
        ]
        put(tmp_path, ARTICLES, gone)
        found = measure(tmp_path)[1]
        assert found["published", "all", "map"] == figures["published", "all", "map"]
    assert found != figures, "the best sellers of the time no longer have it"


def test_picks_of_articles_that_go_by_another_id_today(tmp_path: Path) -> None:
    """Published as 8 and 9, 4 and 2 by now: two picks that have become one count once, at the better rank."""
    put_purchases(tmp_path, ROWS, customers=5, articles=10)
    newest = {8: "a04", 9: "a02"}
    rows = [{"article_id": f"a{a:02d}", "article_key": a, "replaced_by": newest.get(a)} for a in range(10)]
    put(tmp_path, ARTICLES, rows)
    publish(tmp_path, FOLD, {"c0": [4, 2, 3]})
    expected = measure(tmp_path)[1]["published", "all", "map"]
    publish(tmp_path, FOLD, {"c0": [8, 4, 9, 3]})
    assert measure(tmp_path)[1]["published", "all", "map"] == expected


def test_a_buyer_without_published_picks_counts_as_a_miss(tmp_path: Path) -> None:
    put_purchases(tmp_path, ROWS, customers=5, articles=8)
    publish(tmp_path, FOLD, {"c0": [4, 2, 3], "c3": [0, 1, 2]})
    assert measure(tmp_path)[1]["published", "all", "map"] == pytest.approx(1 / 2 / 3)


def test_nothing_published_or_bought_says_so_and_writes_no_row(tmp_path: Path) -> None:
    put_purchases(tmp_path, ROWS, customers=5, articles=8)
    assert measure(tmp_path) == ("nothing was published for 2020-09-20: nothing to measure", {})
    publish(tmp_path, FOLD - 7, {"c0": [1]})
    assert measure(tmp_path) == ("nothing was published for 2020-09-20: nothing to measure", {})
    publish(tmp_path, FOLD, {"c0": [1]})
    assert measure(tmp_path)[1]
    put_purchases(tmp_path, [row for row in ROWS if row[0] < FOLD], customers=5, articles=8)
    assert measure(tmp_path) == ("nothing was bought from 2020-09-20 to 2020-09-27: nothing to measure", {})
