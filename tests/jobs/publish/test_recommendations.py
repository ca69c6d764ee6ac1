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
from jobs.platform.codes import NO_ARTICLE
from jobs.platform.errors import ContractError, JobError
from jobs.publish.recommendations import age_band, age_band_sales, check_counts, popular_list, transform
from jobs.ranking import behaviour
from jobs.retrieval import popularity_age_band
from jobs.retrieval.popularity import popular_articles
from tests.jobs.platform.checked import check
from tests.jobs.retrieval.small import everyone, on, purchases

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


def candidates(
    spark: SparkSession, picks: dict[str, list[str]], as_of_date: date = AS_OF, source: str = "two_tower"
) -> DataFrame:
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
                "source": source,
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
    people: dict[str, int | None] = AGES,
    articles: list[dict[str, Any]] | None = None,
    source: str = "two_tower",
) -> list[Row]:
    """The published rows, by customer and rank."""
    published = transform(
        candidates(spark, picks or {}, candidate_date, source),
        rows(spark, CUSTOMERS, [{"customer_id": c, "age": age} for c, age in people.items()]),
        rows(spark, ARTICLES, articles or [{"article_id": f"a{i}"} for i in range(1, 9)]),
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
    for cold in ("cold30", "cold20", "ageless"):
        assert found[cold] == [(a, "popularity_age_band") for a in ("a1", "a3", "a2")] + [("a4", ever)], cold
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


def test_cold_customers_get_the_list_of_their_age_band(spark: SparkSession) -> None:
    # In the last week everybody bought a1 three times, a3 three times, a2 once. Of these those from 35 on (cat, 38)
    # bought a3 twice, those from 25 on (ann) a1 twice and a2 once, those from 30 on (bob) a1 and a3 once each, the
    # youngest and those of unknown age nothing: everybody's list, a1 before a3 by id.
    people = AGES | {"cold37": 37, "cold26": 26}
    published = publish(spark, people=people)
    found, reasons = lists(published), {(row.customer_id, row["rank"]): row.reason for row in published}
    band, ever = "popularity_age_band", ("a4", "popularity_all_time")
    assert found["cold37"] == [("a3", band), ("a1", band), ("a2", band), ever]
    for cold in ("cold26", "cold30", "cold20", "ageless"):
        assert found[cold] == [("a1", band), ("a3", band), ("a2", band), ever]
    assert ("a1", "popularity") in found["cat"]  # has history: no age band
    mine, all_buy = "Popular this week with people your age", "Popular this week"
    assert [reasons["cold37", rank] for rank in (1, 2, 3)] == [mine, all_buy, all_buy]
    assert [reasons["cold26", rank] for rank in (1, 2, 3)] == [mine, all_buy, mine]
    assert {reasons["ageless", rank] for rank in (1, 2, 3)} == {all_buy}


def test_a_candidate_of_the_same_product_names_the_latest_purchase_of_it(spark: SparkSession) -> None:
    picks = {"ann": ["a6", "a4"], "bob": ["a6", "a2"], "cat": ["a5"], "later": ["a2"]}
    product = {"a1": "p", "a3": "p", "a6": "p", "a2": "q", "a4": "q", "a5": "q"}
    colours = {"a1": "Black", "a2": "Dark Red", "a3": "White", "a4": "Blue", "a5": "Pink", "a6": "Green"}
    articles = [
        {"article_id": a, "product_code": product.get(a), "colour_group_name": colours.get(a),
         "product_type_name": "Dress"} for a in [f"a{i}" for i in range(1, 9)]
    ]  # fmt: skip
    bought = [*BOUGHT, (9, "bob", "a5"), (9, "bob", "a5")]
    published = publish(spark, picks, bought, articles=articles, source="same_product")
    said = {(row.customer_id, row.article_id): row.reason for row in published if row.source == "same_product"}
    assert said == {
        ("ann", "a6"): "You bought the same dress in black",
        ("ann", "a4"): "You bought the same dress in dark red",  # a2 three days ago, a5 long before
        ("bob", "a6"): "You bought the same dress in black",  # a1 and a3 on one day: the smaller id
        ("bob", "a2"): "You bought the same dress in pink",  # of one day a5 has three units, a4 two
        ("cat", "a5"): "You bought this in another version",  # never bought: nothing to name
        ("later", "a2"): "You bought this in another version",
    }


def test_the_lists_of_age_bands_are_the_candidate_source(spark: SparkSession) -> None:
    generator = np.random.default_rng(5)
    ages = [None if i % 6 == 0 else int(generator.integers(15, 90)) for i in range(24)]
    sold = [tuple(int(v) for v in generator.integers([30, 0, 0], [40, 24, 9])) for _ in range(400)]
    history = purchases(sold, customers=24, articles=9)
    band = behaviour.age_bands(np.array([np.nan if age is None else age for age in ages], dtype=np.float32))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(popularity_age_band, "PRIOR_UNITS", 7)
        ours = popularity_age_band.PopularityByAgeBand(history, on(40), band).of(everyone(history)).articles
        people = rows(spark, CUSTOMERS, [{"customer_id": f"c{i}", "age": age} for i, age in enumerate(ages)])
        people = people.select("customer_id", "age", age_band().alias("band"))
        days = [(40 - day, f"c{customer}", f"a{article:02d}") for day, customer, article in sold]
        bands = age_band_sales(transactions(spark, days), people, AS_OF)
        theirs = people.join(bands, "band").orderBy("customer_id", "position").collect()
    lists_of = {f"c{i}": [f"a{code:02d}" for code in row if code != NO_ARTICLE] for i, row in enumerate(ours.tolist())}
    assert len({tuple(some) for some in lists_of.values()}) > 4  # the bands differ
    assert {c: [row.article_id for row in theirs if row.customer_id == c] for c in lists_of} == lists_of


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
