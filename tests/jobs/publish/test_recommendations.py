"""Published picks on seven customers and eight articles, worked out by hand."""

from __future__ import annotations

import hashlib
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pytest

from expectations.articles import ARTICLES
from expectations.contract import Contract
from expectations.customers import CUSTOMERS
from expectations.recommendations import CANDIDATES, RECOMMENDATIONS
from expectations.transactions import TRANSACTIONS
from jobs.platform.errors import ContractError, JobError
from jobs.publish import recommendations
from jobs.publish.recommendations import check_counts, popular_list, transform
from jobs.retrieval.popularity import popular_articles
from tests.jobs.platform.checked import check
from tests.jobs.retrieval.small import on, purchases

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row, SparkSession

AS_OF = date(2020, 9, 16)
#: Days before the as-of date, customer, article.
BOUGHT = [
    (1, "ann", "a1"), (1, "ann", "a1"), (3, "ann", "a2"), (40, "ann", "a5"),
    (2, "bob", "a1"), (2, "bob", "a3"), (9, "bob", "a4"), (9, "bob", "a4"), (9, "bob", "a5"), (30, "bob", "a6"),
    (5, "cat", "a3"), (5, "cat", "a3"),
]  # fmt: skip
# Last 7 days: a1 3, a3 3, a2 1. Before: a4 2, a5 2, a6 1. a7 was never sold, a8 launches on the as-of date.
POPULAR = ["a1", "a3", "a2", "a4", "a5", "a6"]
AGES = {"ann": 25, "bob": 31, "cat": 38, "cold30": 33, "cold20": 21, "ageless": None, "later": 44}


def rows(spark: SparkSession, contract: Contract, values: list[dict[str, Any]]) -> DataFrame:
    """A table with nulls in the columns that are not given."""
    full = [tuple(value.get(name) for name in contract.column_names) for value in values]
    return spark.createDataFrame(full, contract.ddl)


def transactions(spark: SparkSession, bought: list[tuple[int, str, str]] = BOUGHT) -> DataFrame:
    return rows(
        spark,
        TRANSACTIONS,
        [
            {"t_dat": AS_OF - timedelta(days=ago), "customer_id": c, "article_id": a, "price": 1.0}
            for ago, c, a in bought
        ],
    )


def candidates(spark: SparkSession, picks: dict[str, list[str]], as_of_date: date = AS_OF) -> DataFrame:
    return rows(
        spark,
        CANDIDATES,
        [
            {
                "as_of_date": as_of_date,
                "customer_id": customer,
                "rank": rank,
                "article_id": article,
                "score": -float(rank),
                "source": "two_tower",
                "model_version": "7",
            }
            for customer, articles in picks.items()
            for rank, article in enumerate(articles, start=1)
        ],
    )


def publish(
    spark: SparkSession,
    picks: dict[str, list[str]] | None = None,
    bought: list[tuple[int, str, str]] = BOUGHT,
    *,
    top_k: int = 4,
    exclude_bought: bool = False,
    candidate_date: date = AS_OF,
) -> list[Row]:
    """The published rows, by customer and rank."""
    published = transform(
        candidates(spark, picks or {}, candidate_date),
        rows(spark, CUSTOMERS, [{"customer_id": c, "age": age} for c, age in AGES.items()]),
        rows(spark, ARTICLES, [{"article_id": f"a{i}"} for i in range(1, 9)]),
        transactions(spark, bought),
        as_of_date=AS_OF,
        top_k=top_k,
        exclude_bought=exclude_bought,
        run_id="run",
    )
    return sorted(published.collect(), key=lambda row: (row.customer_id, row["rank"]))


@pytest.fixture(scope="module")
def plain(spark: SparkSession) -> list[Row]:
    """What is published without candidates, four places each."""
    return publish(spark)


def lists(published: list[Row]) -> dict[str, list[tuple[str, str]]]:
    """(article, source) per customer, in the order of rank; asserts that ranks count from 1."""
    found: dict[str, list[tuple[str, str]]] = {}
    for row in published:
        found.setdefault(row.customer_id, []).append((row.article_id, row.source))
        assert row["rank"] == len(found[row.customer_id])
    return found


def articles_of(published: list[Row]) -> dict[str, list[str]]:
    return {customer: [article for article, _ in picks] for customer, picks in lists(published).items()}


def test_without_a_champion_own_purchases_then_the_best_sellers(spark: SparkSession, plain: list[Row]) -> None:
    check(RECOMMENDATIONS, spark.createDataFrame(plain, RECOMMENDATIONS.ddl))
    found = lists(plain)
    own, week, ever = "repurchase", "popularity", "popularity_all_time"
    assert found["ann"] == [("a1", own), ("a2", own), ("a5", own), ("a3", week)]
    # Same day: a4 has two units, a5 one. Four own articles fill four places.
    assert found["bob"] == [("a1", own), ("a3", own), ("a4", own), ("a5", own)]
    assert found["cat"] == [("a3", own), ("a1", week), ("a2", week), ("a4", ever)]
    for cold in ("cold30", "cold20", "ageless", "later"):
        assert found[cold] == [("a1", week), ("a3", week), ("a2", week), ("a4", ever)]
    assert {row.model_version for row in plain} == {"baseline"}


def test_candidates_come_first_and_say_which_model(spark: SparkSession) -> None:
    # a8 has not been sold yet: a candidate list that names it does not get it published.
    published = publish(spark, {"ann": ["a6", "a8", "a1"], "bob": ["a5", "a4", "a3", "a2", "a1"]})
    rows_of = {(r.customer_id, r["rank"]): r for r in published}
    assert articles_of(published)["ann"] == ["a6", "a1", "a2", "a5"]
    assert articles_of(published)["bob"] == ["a5", "a4", "a3", "a2"]
    model, fallback = rows_of["ann", 1], rows_of["ann", 3]
    assert (model.model_version, model.score, model.reason) == ("7", -1.0, "Matches what you like")
    assert (fallback.model_version, fallback.source, fallback.reason) == (
        "baseline",
        "repurchase",
        "You bought this before",
    )
    assert rows_of["cold30", 4].reason == "A long-standing favourite"


def test_candidates_of_another_date_are_not_used(spark: SparkSession, plain: list[Row]) -> None:
    assert publish(spark, {"ann": ["a6"]}, candidate_date=AS_OF - timedelta(days=7)) == plain


def test_excluding_what_was_bought_reaches_further_down(spark: SparkSession) -> None:
    found = articles_of(publish(spark, {"ann": ["a1", "a6"]}, top_k=3, exclude_bought=True))
    assert found["ann"] == ["a6", "a3", "a4"]
    assert found["cat"] == ["a1", "a2", "a4"]
    assert found["cold20"] == ["a1", "a3", "a2"]
    # Bob bought five of the six articles on sale: only a2 is left for him.
    assert found["bob"] == ["a2"]


def test_customers_without_exactly_top_k_articles_are_refused_with_the_numbers(spark: SparkSession) -> None:
    people = rows(spark, CUSTOMERS, [{"customer_id": c} for c in ("ann", "bob", "cat")])

    def counted(picks: dict[str, str]) -> None:
        published = [{"customer_id": c, "article_id": a} for c, articles in picks.items() for a in articles]
        check_counts(rows(spark, RECOMMENDATIONS, published), people, 6, 3, AS_OF)

    counted({"ann": "xyz", "bob": "xyz", "cat": "zyx"})
    with pytest.raises(JobError, match=r"1 customers have fewer than 3 articles left of the 6 sold before 2020-09-16"):
        counted({"ann": "xyz", "bob": "xy", "cat": "xyz"})
    with pytest.raises(JobError, match="2 customers have fewer"):
        counted({"ann": "xyz"})
    with pytest.raises(ContractError, match="1 customers have repeated picks"):
        counted({"ann": "xyx", "bob": "xyz", "cat": "xyz"})
    with pytest.raises(ContractError, match="1 customers have repeated picks"):
        counted({"ann": "wxyz", "bob": "xyz", "cat": "xyz"})
    with pytest.raises(JobError, match="only 2 articles were sold before 2020-09-16, fewer than top-k 3"):
        check_counts(people, people, 2, 3, AS_OF)


def test_every_customer_gets_exactly_top_k_distinct_articles(spark: SparkSession) -> None:
    # Six articles are on sale; "nobody" is no customer.
    found = articles_of(publish(spark, {"ann": ["a6", "a1"], "nobody": ["a1"]}, top_k=6))
    assert set(found) == set(AGES)
    assert all(len(set(picks)) == len(picks) == 6 for picks in found.values())


def test_cold_customers_get_their_age_band_where_it_bought_enough(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In the last week customers in their thirties bought a3 three times and a1 once; those in their twenties three
    # units in all, too few.
    monkeypatch.setattr(recommendations, "MIN_BAND_UNITS", 4)
    found = lists(publish(spark))
    band = "popularity_age_band"
    assert found["cold30"] == [("a3", band), ("a1", band), ("a2", "popularity"), ("a4", "popularity_all_time")]
    assert found["cold20"][0] == ("a1", "popularity")
    assert found["ageless"][0] == ("a1", "popularity")
    assert found["cat"][0] == ("a3", "repurchase")  # has history: no age band
    assert ("a1", "popularity") in found["cat"]


def test_purchases_on_or_after_the_as_of_date_change_nothing(spark: SparkSession) -> None:
    future = [(0, "later", "a8"), (0, "ann", "a8"), *[(-5, "cold30", "a6")] * 9, (-1, "bob", "a7")]
    picks = {"ann": ["a6", "a8"], "later": ["a2"]}
    for exclude_bought in (False, True):
        before = publish(spark, picks, top_k=2, exclude_bought=exclude_bought)
        after = publish(spark, picks, BOUGHT + future, top_k=2, exclude_bought=exclude_bought)
        assert before == after


def test_the_order_of_the_input_changes_nothing(spark: SparkSession, plain: list[Row]) -> None:
    assert publish(spark, bought=BOUGHT[::-1]) == plain


def test_the_list_of_everyone_is_the_popularity_source(spark: SparkSession) -> None:
    generator = np.random.default_rng(3)
    sold = [tuple(int(v) for v in generator.integers([0, 0, 0], [40, 5, 12])) for _ in range(60)]
    ours = popular_articles(purchases(sold, customers=5, articles=12), on(40), 12).tolist()
    days = [(40 - day, f"c{customer}", f"a{article:02d}") for day, customer, article in sold]
    theirs = popular_list(transactions(spark, days), AS_OF).orderBy("position").collect()
    assert [row.article_id for row in theirs] == [f"a{code:02d}" for code in ours]


def test_buckets_can_be_computed_anywhere(plain: list[Row]) -> None:
    found = {row.customer_id: row.bucket for row in plain}
    assert found == {c: int(hashlib.md5(c.encode()).hexdigest()[:8], 16) % 100 for c in AGES}
    for customer, bucket in found.items():
        query = "SELECT ('0x' || md5($1)[:8])::BIGINT % 100"
        assert duckdb.execute(query, [customer]).fetchone() == (bucket,)
