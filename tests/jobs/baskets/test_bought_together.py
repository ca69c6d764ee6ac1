"""The job: from silver tables to gold/association_rules and gold/bought_together."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from itertools import combinations
from pathlib import Path

import pytest
from deltalake import DeltaTable

from expectations.articles import ARTICLES
from expectations.baskets import ASSOCIATION_RULES, BOUGHT_TOGETHER
from expectations.contract import Contract
from expectations.events import EVENTS
from expectations.transactions import TRANSACTIONS
from jobs.baskets import bought_together
from jobs.platform.errors import JobError
from jobs.platform.job import Job
from jobs.platform.settings import Settings
from tests.conftest import SHARED_DATA
from tests.jobs.evaluation.silver import put, put_purchases
from tests.jobs.retrieval.small import on

#: As of day 84 the window of twelve weeks begins on day 0.
AS_OF = 84
#: Articles 0 and 1 are two colours of a product; each product but article 5, which has none, is of one of two types.
PRODUCTS = ("p0", "p0", "p1", "p2", "p2", None)
TYPES = ("Trousers", "Trousers", "Sweater", "Sweater", "Sweater", None)
Line = tuple[int, int, int]


def shop(warehouse: Path, lines: Sequence[Line], delisted: dict[int, int] | None = None) -> Path:
    """Silver tables of six articles and nine customers; article code -> day it was delisted on."""
    put_purchases(warehouse, lines, customers=9, articles=6)
    gone = delisted or {}
    rows = [
        {
            "article_id": f"a{i:02d}",
            "article_key": i,
            "product_code": PRODUCTS[i],
            "product_type_name": TYPES[i],
            "is_delisted": i in gone,
            "delisted_date": on(gone[i]) if i in gone else None,
        }
        for i in range(6)
    ]
    put(warehouse, ARTICLES, rows, accept_drift=True)
    return warehouse


def run(warehouse: Path, **values: object) -> str:
    known = {"as_of_date": on(AS_OF), "warehouse": str(warehouse), "min_support": 1, "min_lift": 0} | values
    reads = bought_together.READS + bought_together.READS_EARLIER_RUNS
    job = Job("baskets.bought_together", Settings(**known), reads, bought_together.WRITES)
    return bought_together.main(job)


def rows(warehouse: Path, contract: Contract, **where: object) -> list[dict]:
    found = DeltaTable(str(warehouse / contract.path)).to_pyarrow_table().to_pylist()
    return [row for row in found if all(row[name] == value for name, value in where.items())]


def others(warehouse: Path, article: int) -> list[tuple[int, str]]:
    """What is offered beside an article, best first: code and level."""
    found = sorted(rows(warehouse, BOUGHT_TOGETHER, article_id=f"a{article:02d}"), key=lambda row: row["rank"])
    assert [row["rank"] for row in found] == list(range(1, len(found) + 1))
    return [(int(row["other_article_id"][1:]), row["level"]) for row in found]


#: Customer 0 buys 0, 1 and 2 together, customer 1 too, and 0 with 2 once more; customer 2 buys 3 alone, 3 buys 4 and 5.
LINES: list[Line] = [
    *[(10, 0, a) for a in (0, 1, 2)],
    *[(20, 1, a) for a in (0, 0, 1, 2)],
    *[(30, 1, a) for a in (0, 2)],
    (40, 2, 3),
    *[(83, 3, a) for a in (4, 5)],
]


def test_the_figures_of_a_rule(tmp_path: Path) -> None:
    said = run(shop(tmp_path, LINES))
    (row,) = rows(tmp_path, ASSOCIATION_RULES, antecedent="a00", consequent="a02")
    assert row == {
        "as_of_date": on(AS_OF),
        "level": "article",
        "antecedent": "a00",
        "antecedent_size": 1,
        "consequent": "a02",
        "basket_count": 3,
        "customer_count": 2,
        "first_date": on(10),
        "last_date": on(30),
        "support": pytest.approx(3 / 5),
        "confidence": 1.0,
        "lift": pytest.approx(5 / 3),
        "leverage": pytest.approx(3 / 5 - 9 / 25),
        "conviction": None,
        "p_value": 1.0,  # 1 of 10 ways, times 15 pairs of articles
        "score": pytest.approx(1 - 3 / 5),
        "antecedent_basket_count": 3,
        "consequent_basket_count": 3,
        "run_id": "manual",
    }
    assert "from 5 baskets of 12 weeks, 0 of more than 100 articles set aside" in said
    assert said.endswith("2 customers bought both a00 and a01")


def test_rules_of_products_and_types(tmp_path: Path) -> None:
    run(shop(tmp_path, LINES))
    by_product = {(r["antecedent"], r["consequent"]): r for r in rows(tmp_path, ASSOCIATION_RULES, level="product")}
    assert by_product.keys() == {("p0", "p1"), ("p1", "p0")}  # colours of one product are one item; article 5 has none
    assert by_product["p0", "p1"]["basket_count"] == 3
    types = rows(tmp_path, ASSOCIATION_RULES, level="product_type", antecedent="Trousers")
    assert [(r["consequent"], r["basket_count"], r["consequent_basket_count"]) for r in types] == [("Sweater", 3, 5)]


def test_lists_go_from_the_article_to_its_product_and_its_type(tmp_path: Path) -> None:
    run(shop(tmp_path, LINES), min_lift=1.01)
    assert others(tmp_path, 0) == [(2, "article")]  # and not 1, another colour of it
    assert others(tmp_path, 2) == [(0, "article"), (1, "article")]
    assert others(tmp_path, 4) == [(5, "article")]  # its type's rule says no more than chance
    assert others(tmp_path, 3) == []
    run(tmp_path, min_lift=0)
    assert others(tmp_path, 3) == [(0, "product_type")]  # new, nothing is known of it: the best-selling trousers
    assert others(tmp_path, 4) == [(5, "article"), (0, "product_type")]


def test_variants_where_they_are_wanted(tmp_path: Path) -> None:
    run(shop(tmp_path, LINES), complements_only=False)
    assert others(tmp_path, 0) == [(2, "article"), (1, "article")]


def test_an_article_that_is_listed_no_more_is_not_offered(tmp_path: Path) -> None:
    run(shop(tmp_path, LINES, delisted={2: AS_OF, 0: AS_OF + 1}))
    assert others(tmp_path, 2) == [] and (2, "article") not in others(tmp_path, 0)
    assert others(tmp_path, 3) == [(0, "product_type")]
    assert rows(tmp_path, ASSOCIATION_RULES, antecedent="a00", consequent="a02")  # what was bought was bought


def test_the_future_changes_nothing(tmp_path: Path) -> None:
    run(shop(tmp_path / "past", LINES))
    forged = [(AS_OF + day, c, a) for day in (0, 3) for c in range(9) for a in (0, 3, 5)]
    run(shop(tmp_path / "future", [*LINES, *forged]))
    for contract in (ASSOCIATION_RULES, BOUGHT_TOGETHER):
        found = [sorted(map(str, rows(tmp_path / which, contract))) for which in ("past", "future")]
        assert found[0] == found[1] != []


def test_the_window_ends_where_it_ends(tmp_path: Path) -> None:
    run(shop(tmp_path, [*LINES, *[(-1, 5, a) for a in (3, 5)]]), basket_weeks=12)
    assert not rows(tmp_path, ASSOCIATION_RULES, antecedent="a03", level="article")
    run(tmp_path, basket_weeks=13)
    assert rows(tmp_path, ASSOCIATION_RULES, antecedent="a03", consequent="a05")
    run(tmp_path, basket_weeks=1)
    assert {row["antecedent"] for row in rows(tmp_path, ASSOCIATION_RULES)} == {"a04", "a05"}


def test_larger_itemsets(tmp_path: Path) -> None:
    run(shop(tmp_path, LINES), itemset_size=3)
    (row,) = rows(tmp_path, ASSOCIATION_RULES, antecedent_size=2, consequent="a02")
    assert (row["antecedent"], row["basket_count"], row["customer_count"]) == ("a00 + a01", 2, 2)
    assert (row["antecedent_basket_count"], row["last_date"]) == (2, on(20))


@pytest.mark.parametrize(
    ("lines", "values", "said"),
    [
        ([(day, day % 9, day % 6) for day in range(30)], {}, "30 baskets"),  # one article each
        ([(AS_OF - 90, 0, 0), (AS_OF - 90, 0, 1)], {}, "0 baskets"),  # none in the window
        (LINES, {"min_support": 50}, "5 baskets"),
        (LINES, {"min_lift": 99}, "5 baskets"),
    ],
    ids=["one article each", "empty window", "much support", "much lift"],
)
def test_nothing_to_tell_is_an_empty_table_and_a_line(
    tmp_path: Path, lines: list[Line], values: dict, said: str
) -> None:
    shop(tmp_path, LINES) and run(tmp_path)  # there were rows before
    put(
        tmp_path,
        TRANSACTIONS,
        [
            {"t_dat": on(d), "customer_id": f"c{c}", "customer_key": c, "article_id": f"a{a:02d}", "article_key": a}
            for d, c, a in lines
        ],
        accept_drift=True,
    )
    words = run(tmp_path, **values)
    assert said in words and words.endswith("no two articles were bought together often enough")
    assert rows(tmp_path, ASSOCIATION_RULES) == rows(tmp_path, BOUGHT_TOGETHER) == []


def test_one_customer(tmp_path: Path) -> None:
    run(shop(tmp_path, [(day, 4, a) for day in (1, 2) for a in (0, 2)]))
    assert [row["customer_count"] for row in rows(tmp_path, ASSOCIATION_RULES, level="article")] == [1, 1]


def test_baskets_of_the_retailer_where_it_numbers_them(tmp_path: Path) -> None:
    """Two visits on one day; without their numbers articles 0 and 2 would be in one basket."""
    shop(tmp_path, LINES)
    bought = {"t_dat": on(9), "customer_id": "c4", "customer_key": 4}
    lines = [(0, "x"), (1, "x"), (2, "y"), (3, "y"), (4, "")]  # an empty number is none
    rows_ = [bought | {"article_id": f"a{a:02d}", "article_key": a, "basket_id": basket} for a, basket in lines]
    put(tmp_path, TRANSACTIONS, rows_, accept_drift=True)
    run(tmp_path)
    found = {(r["antecedent"], r["consequent"]) for r in rows(tmp_path, ASSOCIATION_RULES, level="article")}
    assert found == {("a00", "a01"), ("a01", "a00"), ("a02", "a03"), ("a03", "a02")}


def test_baskets_of_sessions(tmp_path: Path) -> None:
    """Two sessions of one day are two baskets, one over midnight is one; views, and what comes later, are in none."""
    with pytest.raises(JobError, match="silver/events: no such table yet"):
        run(shop(tmp_path, LINES), basket_of="session")
    log = [
        *[(83, "s1", None, "cart", a) for a in (0, 2)], (83, "s1", None, "view", 3), (83, "s2", "c1", "cart", 4),
        (82, "s3", "c1", "purchase", 0), (83, "s3", "c1", "cart", 2), *[(84, "s4", "c2", "cart", a) for a in (0, 2, 5)],
        (83, "s1", None, "cart", 99),  # no article of the shop
    ]  # fmt: skip
    rows_ = [
        {
            "event_id": f"e{n}", "event_date": on(day), "event_time": datetime.combine(on(day), time(), UTC),
            "event_type": kind, "session_id": session, "customer_id": customer,
            "visitor_id": None if customer else "v", "article_id": f"a{a:02d}", "weight": 1.0, "source_line": n + 1,
        }
        for n, (day, session, customer, kind, a) in enumerate(log)
    ]  # fmt: skip
    put(tmp_path, EVENTS, rows_, accept_drift=True)
    assert "from 3 baskets of 12 weeks" in run(tmp_path, basket_of="session")
    found = rows(tmp_path, ASSOCIATION_RULES, level="article")
    assert {(r["antecedent"], r["consequent"]) for r in found} == {("a00", "a02"), ("a02", "a00")}
    assert [found[0][name] for name in ("basket_count", "customer_count", "first_date")] == [2, 2, on(82)]


def test_large_baskets_are_set_aside_with_a_count(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        said = run(shop(tmp_path, LINES), max_basket_size=2)
    assert "2 baskets of more than 2 articles set aside" in caplog.text
    assert "3 baskets of 12 weeks, 2 of more than 2 articles set aside" in said
    assert not rows(tmp_path, ASSOCIATION_RULES, antecedent="a01")


def test_too_many_rules_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bought_together, "MAX_RULES", 3)
    with pytest.raises(JobError, match=r"more than 3 rules with --min-support 1, .* raise one of them"):
        run(shop(tmp_path, LINES))


@pytest.mark.skipif(not (SHARED_DATA / "completejourney").exists(), reason="the Complete Journey data is not here")
def test_real_purchases_by_brute_force() -> None:
    """A quarter of grocery baskets: every pair of the product types, basket after basket."""
    import polars as pl

    from jobs.baskets.baskets import baskets_of
    from jobs.baskets.itemsets import frequent_itemsets

    lines = pl.read_parquet(SHARED_DATA / "completejourney" / "transactions_sample.parquet").select(
        pl.col("household_id").cast(pl.Int32),
        pl.col("transaction_timestamp").dt.date().alias("day"),
        pl.col("product_id").rank("dense").cast(pl.Int32) - 1,
    )
    lines = lines.filter(pl.col("day") >= pl.col("day").max() - timedelta(84))
    counted: dict[tuple[int, int], list] = {}
    for (household, day), items in lines.group_by("household_id", "day"):
        for pair in combinations(sorted(set(items["product_id"])), 2):
            counted.setdefault(pair, []).append((household, day))
    of = baskets_of(*(lines[c].cast(pl.Int32).to_numpy() for c in lines.columns), lines["product_id"].max() + 1, 1000)
    mined = frequent_itemsets(of, 1, 2)
    pairs = mined.by_size[1]
    found = {
        tuple(mined.codes[row].tolist()): (int(n), int(c))
        for row, n, c in zip(pairs.items, pairs.basket_count, pairs.customer_count, strict=True)
    }
    assert len(found) > 5_000
    assert found == {pair: (len(at), len({h for h, _ in at})) for pair, at in counted.items()}
