"""Candidates of a small shop without a champion, and what each row of a ranking says."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from expectations.articles import ARTICLES
from expectations.customers import CUSTOMERS
from expectations.evaluation import MODEL_DECISIONS
from expectations.recommendations import CANDIDATES
from jobs.platform.job import Job
from jobs.platform.settings import Settings
from jobs.ranking import score
from jobs.ranking.behaviour import UNKNOWN_AGE
from jobs.ranking.model_registry import Champion
from jobs.ranking.score import Candidates
from jobs.retrieval.baselines import BASELINES
from jobs.retrieval.fallbacks import SOURCES, Ranking
from jobs.retrieval.recent import RecentPurchases
from tests.jobs.evaluation.silver import put, put_purchases
from tests.jobs.retrieval.small import on
from tests.jobs.retrieval.test_fallbacks import ANN, BOB, BOUGHT, CAT, COLD, LATER, TODAY, YOUNG, context, ranking

AS_OF = on(TODAY)


def job_of(warehouse: Path, **settings: Any) -> Job:
    chosen = Settings(as_of_date=AS_OF, warehouse=str(warehouse), run_id="r", **settings)
    return Job("ranking.score", chosen, score.READS, score.WRITES)


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    bought = [(TODAY - ago, customer, article) for ago, customer, article in BOUGHT]
    put_purchases(tmp_path, [*bought, (TODAY, LATER, 7), (TODAY + 3, ANN, 7)], customers=7, articles=8)
    return tmp_path


@pytest.mark.parametrize(
    ("best", "mine"),
    [
        (None, ["a01", "a02", "a03", "a04", "a05", "a06"]),  # a05 was bought long ago
        ("rules", ["a01", "a02", "a03", "a04", "a05", "a06"]),
        ("own_recent_then_popularity", ["a01", "a02", "a05", "a03", "a04", "a06"]),
        ("of an older version", ["a01", "a02", "a03", "a04", "a05", "a06"]),
    ],
)
def test_without_a_promotion_everyone_has_the_best_baselines_list(
    warehouse: Path, best: str | None, mine: list[str]
) -> None:
    if best is not None:
        verdict = {"model_name": "weekly_recommender", "model_version": "1", "is_promoted": False}
        put(warehouse, MODEL_DECISIONS, [verdict | {"as_of_date": AS_OF, "best_baseline": best}])
    said = score.main(job_of(warehouse, top_k=6))
    used = best if best in BASELINES else "rules"
    assert said.startswith(f"42 candidates for 7 customers by the baseline {used}: no model")
    rows = job_of(warehouse).read_arrow(CANDIDATES).to_pylist()
    assert {row["model_version"] for row in rows} == {"baseline"} and all(row["is_fallback"] for row in rows)
    lists = {
        name: [r["article_id"] for r in rows if r["customer_id"] == name] for name in {r["customer_id"] for r in rows}
    }
    assert lists["c0"] == mine, "nothing of the as-of date or later"
    found_by = {r["article_id"]: r["source"] for r in rows if r["customer_id"] == "c0"}
    assert {found_by[article] for article in ("a01", "a02", "a05")} == {"repurchase"}
    assert found_by["a03"] == "popularity" and found_by["a06"] == "popularity_all_time"
    assert all(sorted(found) == ["a01", "a02", "a03", "a04", "a05", "a06"] for found in lists.values())
    assert {r["customer_id"] for r in rows if r["has_history"]} == {"c0", "c1", "c2"}
    ranks = [r["rank"] for r in rows if r["customer_id"] == "c4"]
    assert ranks == [1, 2, 3, 4, 5, 6]


def test_what_is_delisted_is_no_candidate_and_who_has_left_gets_none(warehouse: Path) -> None:
    """From their dates on: gone on the as-of date is gone, gone a day later is not."""
    days = {"a01": AS_OF, "a02": AS_OF + timedelta(1), "c0": AS_OF, "c1": AS_OF + timedelta(1)}
    for contract, name, ids in (
        (ARTICLES, "delisted_date", [f"a{n:02d}" for n in range(8)]),
        (CUSTOMERS, "left_date", [f"c{n}" for n in range(7)]),
    ):
        what = contract.key[0]
        rows = [{what: each, what.replace("_id", "_key"): n, name: days.get(each)} for n, each in enumerate(ids)]
        put(warehouse, contract, rows)
    assert score.main(job_of(warehouse, top_k=5)).startswith("30 candidates for 6 customers")
    rows = job_of(warehouse).read_arrow(CANDIDATES).to_pylist()
    assert {row["article_id"] for row in rows} == {"a02", "a03", "a04", "a05", "a06"}
    assert {row["customer_id"] for row in rows} == {f"c{n}" for n in range(1, 7)}


def test_too_small_a_catalogue_gives_what_there_is_and_says_so(warehouse: Path) -> None:
    said = score.main(job_of(warehouse, top_k=7))
    assert said.startswith("42 candidates for 7 customers")
    assert said.endswith(
        "only 6 articles were sold before 2020-09-10 and are listed, fewer than top-k 7: lists are shorter"
    )


def test_whoever_reads_the_log_sees_which_champion_was_passed_over(
    warehouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "champion of 2020-09-03 passed over: version 2: 1 of 9 files are damaged"
    monkeypatch.setattr(score, "champion_as_of", lambda job: Champion(None, (words,)))
    assert score.main(job_of(warehouse, top_k=6)).endswith(words)


def rows_of(source: str, ranked: dict[int, list[int]], **facts: Any) -> list[dict[str, Any]]:
    """The ranked rows of the small shop, all found by this source."""
    known = context(facts.pop("bought", BOUGHT))
    known = replace(known, **facts)
    best = ranking(ranked, 7)
    best = Ranking(best.articles, best.scores, np.full_like(best.articles, SOURCES.index(source)))
    recent = RecentPurchases(known.history.before(AS_OF))
    lists = Candidates(known, recent, Settings(as_of_date=AS_OF, run_id="r"), "7")
    rows = lists.rows(np.arange(7, dtype=np.int32), best).to_pylist()
    assert all((row["model_version"] == "baseline") == row["is_fallback"] for row in rows)
    return [row for row in rows if not row["is_fallback"]]


def test_a_row_names_the_latest_purchase_of_the_same_product() -> None:
    product = np.array([0, 1, 2, 1, 2, 2, 1, 3], dtype=np.int32)
    bought = [*BOUGHT, (9, BOB, 5), (9, BOB, 5)]
    ranked = {ANN: [6, 4], BOB: [6, 2], CAT: [5], LATER: [2]}
    rows = rows_of("same_product", ranked, product=product, bought=bought)
    found = {(row["customer_id"], row["article_id"]): row["because_article_id"] for row in rows}
    assert found == {
        ("c0", "a06"): "a01",
        ("c0", "a04"): "a02",  # three days ago, 5 long before
        ("c1", "a06"): "a01",  # 1 and 3 on one day: the smaller id
        ("c1", "a02"): "a05",  # of one day 5 has three units, 4 two
        ("c2", "a05"): None,  # never bought: nothing to name
        ("c6", "a02"): None,
    }
    rows = rows_of("two_tower", ranked, product=product, department=product, bought=bought)
    because = {(row["customer_id"], row["article_id"]): row["because_article_id"] for row in rows}
    assert because == found, "found by anything else: of the same department"


def test_a_row_says_whether_the_customers_age_band_bought_the_article_this_week() -> None:
    bands = np.array([2, 3, 4, 3, 1, UNKNOWN_AGE, 4], dtype=np.int32)
    unknown = 5
    bought = [*BOUGHT, (1, unknown, 2)]
    rows = rows_of("popularity_age_band", {c: [1, 3, 2, 4] for c in range(7)}, age_band=bands, bought=bought)
    by_band = {row["customer_id"]: set() for row in rows}
    for row in rows:
        if row["is_bought_by_age_band"]:
            by_band[row["customer_id"]].add(row["article_id"])
    assert by_band[f"c{ANN}"] == {"a01", "a02"} and by_band[f"c{BOB}"] == by_band[f"c{COLD}"] == {"a01", "a03"}
    assert by_band[f"c{LATER}"] == {"a03"} and by_band[f"c{YOUNG}"] == set()
    assert by_band[f"c{unknown}"] == set(), "an unknown age is nobody's"
