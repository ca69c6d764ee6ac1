"""Published picks of three customers, from candidates made by hand."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from expectations.articles import ARTICLES
from expectations.customers import CUSTOMERS
from expectations.features import ARTICLE_FEATURES
from expectations.recommendations import CANDIDATES, RECOMMENDATIONS
from jobs.platform.errors import ContractError, JobError
from jobs.platform.job import Job
from jobs.platform.settings import Settings
from jobs.publish import recommendations
from jobs.publish.recommendations import check_counts, count, whole_customers
from tests.jobs.evaluation.silver import put
from tests.jobs.retrieval.small import on

ROOT = Path(__file__).resolve().parents[3]
AS_OF = on(40)
ARTICLE_LABELS = {"product_type_name": "Dress", "department_name": " Ladies "}
COLOURS = {"a0": "Black", "a1": "Other Pink", "a2": "White", "a3": "Green"}


def candidate(customer: str, rank: int, article: str, source: str = "two_tower", **facts: Any) -> dict[str, Any]:
    is_fallback = facts.pop("is_fallback", False)
    row = {"as_of_date": AS_OF, "customer_id": customer, "rank": rank, "article_id": article, "score": -float(rank)}
    version = "baseline" if is_fallback else "7"
    stamp = {"source": source, "is_fallback": is_fallback, "model_version": version, "has_history": True}
    return row | stamp | facts


def lists(*customers: str) -> list[dict[str, Any]]:
    """Three candidates for each."""
    return [candidate(customer, rank, f"a{rank}") for customer in customers for rank in (1, 2, 3)]


def publish(
    root: Path,
    candidates: list[dict[str, Any]],
    *,
    top_k: int = 3,
    gone: Mapping[str, date] | None = None,
    products: Mapping[str, str] | None = None,
    **asked: Any,
) -> tuple[str, list[dict[str, Any]]]:
    """What the job says and has published, by customer and rank; `gone` since when; lists as ranked unless asked."""
    asked = {"max_variants": 30, "new_arrivals_share": 0, "diversity": 0, "max_article_share": 1} | asked
    gone_on = (gone or {}).get
    people = [
        {"customer_id": c, "customer_key": n, "left_date": gone_on(c)} for n, c in enumerate(("ann", "bob", "cat"))
    ]
    put(root, CUSTOMERS, people)
    labels = [ARTICLE_LABELS | {"article_id": a, "colour_group_name": colour} for a, colour in COLOURS.items()]
    put(
        root,
        ARTICLES,
        [
            r
            | {"article_key": n, "delisted_date": gone_on(r["article_id"])}
            | {"product_code": (products or {}).get(str(r["article_id"]))}
            for n, r in enumerate(labels)
        ],
    )
    for day in {row["as_of_date"] for row in candidates}:
        put(root, CANDIDATES, [r for r in candidates if r["as_of_date"] == day], {"as_of_date": [day]})
    settings = Settings(as_of_date=AS_OF, warehouse=str(root), run_id="run", top_k=top_k, **asked)
    job = Job("publish.recommendations", settings, recommendations.READS, recommendations.WRITES)
    said = recommendations.main(job)
    rows = Job("test", settings, [RECOMMENDATIONS], []).read_arrow(RECOMMENDATIONS).to_pylist()
    return said, sorted(rows, key=lambda row: (row["customer_id"], row["rank"]))


@pytest.mark.parametrize("block_rows", [1, 1_000_000])
def test_the_first_of_each_customers_candidates_with_their_reasons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_rows: int
) -> None:
    monkeypatch.setattr(recommendations, "BLOCK_ROWS", block_rows)
    mine = [
        candidate("ann", 1, "a2", "same_product", because_article_id="a1"),
        candidate("ann", 2, "a1", "popularity_age_band", is_bought_by_age_band=True),
        candidate("ann", 3, "a3", "popularity_all_time", is_fallback=True, score=0.25),
        candidate("bob", 1, "a1", has_history=False),
        candidate("bob", 2, "a2", "popularity_department"),
        candidate("bob", 3, "a0"),
    ]
    older = [row | {"as_of_date": AS_OF - timedelta(days=7), "article_id": "a0"} for row in mine if row["rank"] == 1]
    said, rows = publish(tmp_path, [*mine, *lists("cat"), *older], top_k=2, products={"a1": "p", "a2": "p"})
    found = {(row["customer_id"], row["rank"]): (row["article_id"], row["reason"]) for row in rows}
    assert found == {
        ("ann", 1): ("a2", "You bought the same dress in pink"),
        ("ann", 2): ("a1", "Popular with people your age"),
        ("bob", 1): ("a1", "Chosen for customers like you"),
        ("bob", 2): ("a2", "Popular right now in Ladies"),
        ("cat", 1): ("a1", "Matches what you like"),
        ("cat", 2): ("a2", "Matches what you like"),
    }
    assert {(row["as_of_date"], row["week_start_date"], row["run_id"]) for row in rows} == {(AS_OF, AS_OF, "run")}
    assert said == (
        "6 recommendations for 3 customers (two_tower 50%, popularity_age_band 17%, popularity_department 17%,"
        " same_product 17%); reasons: two_tower 33%, age 17%, like you 17%, popular 17%, version 17%"
    )


@pytest.mark.parametrize("block_rows", [1, 1_000_000])
def test_lists_are_arranged_as_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_rows: int) -> None:
    """Of four candidates each two are shown; a1 and a2 are one product."""
    monkeypatch.setattr(recommendations, "BLOCK_ROWS", block_rows)
    mine = [candidate(customer, rank, f"a{rank % 4}") for customer in ("ann", "bob", "cat") for rank in (1, 2, 3, 4)]
    products = {"a1": "p", "a2": "p"}

    def shown(**asked: Any) -> list[str]:
        _, rows = publish(tmp_path, mine, top_k=2, products=products, **asked)
        assert [row["rank"] for row in rows] == [1, 2] * 3
        return [row["article_id"] for row in rows]

    assert shown() == ["a1", "a2"] * 3
    assert shown(max_variants=1) == ["a1", "a3"] * 3
    capped = shown(max_article_share=0.4)
    assert len(set(capped)) > 2, "the first two are not in every list"
    day = AS_OF - timedelta(days=5)
    sales = {column.name: 1 for column in ARTICLE_FEATURES.columns if column.type == "bigint"}
    put(
        tmp_path,
        ARTICLE_FEATURES,
        [sales | {"as_of_date": AS_OF, "article_id": "a0", "first_sale_date": day, "last_sale_date": day}],
    )
    assert shown(new_arrivals_share=0.5) == ["a1", "a0"] * 3


def test_a_customers_rows_may_lie_in_several_parts_of_the_files() -> None:
    """As after compaction, or where a file ends amid a customer and another file is read first."""
    parts = [[("b", 3), ("c", 1), ("c", 2), ("c", 3)], [("a", 1), ("a", 2), ("a", 3), ("b", 1)], [("b", 2), ("d", 1)]]
    blocks = [pl.DataFrame(part, schema=["customer_id", "rank"], orient="row") for part in parts]
    found = [block["customer_id"].to_list() for block in whole_customers(iter(blocks), most=3)]
    assert found == [["c"] * 3, ["a"] * 3, [], ["b"] * 3 + ["d"]]


def test_a_fallback_says_so(tmp_path: Path) -> None:
    mine = [*lists("bob", "cat"), candidate("ann", 1, "a1"), candidate("ann", 2, "a2", "repurchase", is_fallback=True)]
    mine.append(candidate("ann", 3, "a3", "popularity_all_time", is_fallback=True, score=0.25))
    _, rows = publish(tmp_path, mine)
    kept = ["source", "is_fallback", "model_version", "score", "reason"]
    assert [tuple(row[name] for name in kept) for row in rows[:3]] == [
        ("two_tower", False, "7", -1.0, "Matches what you like"),
        ("repurchase", True, "baseline", -2.0, "You bought this before"),
        ("popularity_all_time", True, "baseline", 0.25, "A long-standing favourite"),
    ]


def test_whoever_is_no_customer_any_more_gets_nothing(tmp_path: Path) -> None:
    put(tmp_path, CUSTOMERS, [{"customer_id": c, "customer_key": n} for n, c in enumerate(("ann", "gone"))])
    put(tmp_path, ARTICLES, [{"article_id": a, "article_key": n} for n, a in enumerate(COLOURS)])
    put(tmp_path, CANDIDATES, lists("gone"), {"as_of_date": [AS_OF]})
    table = lists("ann", "bob", "cat")
    assert {row["customer_id"] for row in publish(tmp_path, table)[1]} == {"ann", "bob", "cat"}


def test_who_has_left_and_what_is_delisted_since_the_candidates_were_ranked(tmp_path: Path) -> None:
    table, tomorrow = lists("ann", "bob", "cat"), AS_OF + timedelta(days=1)
    _, rows = publish(tmp_path, table, gone={"bob": AS_OF, "cat": tomorrow, "a2": tomorrow})
    assert [(row["customer_id"], row["article_id"]) for row in rows] == [
        (customer, article) for customer in ("ann", "cat") for article in ("a1", "a2", "a3")
    ]
    with pytest.raises(JobError, match=r"3 customers have fewer than 3 candidates of .*; run ranking.score"):
        publish(tmp_path, table, gone={"a2": AS_OF})


def test_a_customer_with_too_few_candidates_stops_the_publish(tmp_path: Path) -> None:
    publish(tmp_path, lists("ann", "bob", "cat"), top_k=2)
    short = [row for row in lists("ann", "bob", "cat") if (row["customer_id"], row["rank"]) != ("bob", 3)]
    words = "nothing published; 1 customers have fewer than 3 candidates of 2020-09-10; run ranking.score"
    with pytest.raises(JobError, match=words):
        publish(tmp_path, short)
    settings = Settings(as_of_date=AS_OF, warehouse=str(tmp_path))
    assert Job("test", settings, [RECOMMENDATIONS], []).read_arrow(RECOMMENDATIONS).num_rows == 6


def test_a_date_without_candidates_stops_the_publish(tmp_path: Path) -> None:
    other = [row | {"as_of_date": AS_OF - timedelta(days=7)} for row in lists("ann", "bob", "cat")]
    with pytest.raises(JobError, match=r"3 customers have fewer than 3 candidates of 2020-09-10; run ranking\.score"):
        publish(tmp_path, other)


def test_customers_without_exactly_top_k_articles_are_refused_with_the_numbers() -> None:
    people = pl.DataFrame({"customer_id": ["ann", "bob", "cat"]})

    def counted(picks: dict[str, str], exclude_bought: bool = False) -> int:
        rows = [{"customer_id": c, "article_id": a} for c, articles in picks.items() for a in articles]
        given = Settings(as_of_date=AS_OF, top_k=3, exclude_bought=exclude_bought)
        return check_counts(
            [count(pl.DataFrame(rows[:2])), count(pl.DataFrame(rows[2:]))], people, given, max(map(len, picks.values()))
        )

    assert counted({"ann": "xyz", "bob": "xyz", "cat": "zyx"}) == 0
    assert counted({"ann": "xy", "bob": "xy", "cat": "zy"}) == 3, "two articles are all that this shop has"
    assert counted({"ann": "xyz", "bob": "x", "cat": "xyz"}, exclude_bought=True) == 1
    assert counted({"ann": "xy", "bob": "x"}, exclude_bought=True) == 3, "cat has bought all that this shop has"
    with pytest.raises(JobError, match=r"1 customers have fewer than 1 candidates .* drop --exclude-bought"):
        counted({"ann": "xyz", "bob": "x"}, exclude_bought=True)
    with pytest.raises(JobError, match=r"1 customers have fewer than 3 candidates"):
        counted({"ann": "xyz", "bob": "xy", "cat": "xyz"})
    with pytest.raises(JobError, match="2 customers have fewer"):
        counted({"ann": "xyz"})
    with pytest.raises(ContractError, match="1 customers have repeated picks"):
        counted({"ann": "xyz", "bob": "xyx", "cat": "xyz"})
    with pytest.raises(ContractError, match="1 customers have repeated picks"):
        counted({"ann": "wxyz", "bob": "xyz", "cat": "xyz"})


def test_buckets_can_be_computed_anywhere(tmp_path: Path) -> None:
    found = {row["customer_id"]: row["bucket"] for row in publish(tmp_path, lists("ann", "bob", "cat"))[1]}
    assert found == {c: int(hashlib.md5(c.encode()).hexdigest()[:8], 16) % 100 for c in ("ann", "bob", "cat")}
    for customer, bucket in found.items():
        query = "SELECT ('0x' || md5($1)[:8])::BIGINT % 100"
        assert duckdb.execute(query, [customer]).fetchall() == [(bucket,)]


def test_publishing_does_not_wait_for_torch() -> None:
    """Its import takes as long as the work."""
    code = "import sys, jobs.publish.recommendations; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
