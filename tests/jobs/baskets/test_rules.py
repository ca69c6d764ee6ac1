"""Itemsets and rules against counting by hand, against mlxtend's Apriori and FP-Growth, and Spark MLlib's."""

from __future__ import annotations

import csv
import os
from collections import Counter, defaultdict
from itertools import combinations
from math import comb
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlxtend.frequent_patterns import apriori, association_rules, fpgrowth
from scipy.stats import fisher_exact

from jobs.baskets import itemsets
from jobs.baskets.baskets import NO_ITEM, Baskets, baskets_of
from jobs.baskets.itemsets import Mined, frequent_itemsets, min_count_of
from jobs.baskets.rules import Rules, rules_of
from jobs.platform.errors import JobError

GROCERIES = os.environ.get("ATELIER_GROCERIES", "")
#: Customer, day, item.
Line = tuple[int, int, int]
LINES = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4), st.integers(0, 7)), max_size=70)


def baskets(lines: list[Line], items: int = 8, max_size: int = 100) -> Baskets:
    customer, day, item = np.array(lines, dtype=np.int32).reshape(-1, 3).T
    return baskets_of(customer, day + 18_500, item, items, max_size)


def random_lines(seed: int = 0, count: int = 700) -> list[Line]:
    rng = np.random.default_rng(seed)
    item = np.minimum(rng.geometric(0.22, count) - 1, 9)
    return list(
        zip(rng.integers(0, 14, count).tolist(), rng.integers(0, 9, count).tolist(), item.tolist(), strict=True)
    )


def by_hand(lines: list[Line], max_size: int = 10) -> dict[tuple[int, ...], tuple[int, int, int, int]]:
    """Every itemset: baskets, customers, first and last day, one basket after the other."""
    held: dict[tuple[int, int], set[int]] = defaultdict(set)
    for customer, day, item in lines:
        held[customer, day].add(item)
    where = defaultdict(list)
    for visit, items in held.items():
        for size in range(1, max_size + 1):
            for some in combinations(sorted(items), size):
                where[some].append(visit)
    return {
        some: (len(at), len({c for c, _ in at}), min(d for _, d in at) + 18_500, max(d for _, d in at) + 18_500)
        for some, at in where.items()
    }


def found(mined: Mined) -> dict[tuple[int, ...], tuple[int, ...]]:
    return {
        tuple(mined.codes[row].tolist()): tuple(map(int, figures))
        for of in mined.by_size
        for row, *figures in zip(of.items, of.basket_count, of.customer_count, of.first_day, of.last_day, strict=True)
    }


def as_table(of: Baskets) -> pd.DataFrame:
    """One row per basket, one column per item: what mlxtend takes."""
    held = np.zeros((len(of), of.items), dtype=bool)
    held[of.basket, of.item] = True
    return pd.DataFrame(held)


@settings(max_examples=60)
@given(LINES, st.integers(1, 4), st.integers(2, 5))
def test_every_itemset_to_the_last_count(lines: list[Line], min_count: int, max_size: int) -> None:
    expected = {
        some: figures for some, figures in by_hand(lines).items() if figures[0] >= min_count and len(some) <= max_size
    }
    assert found(frequent_itemsets(baskets(lines), min_count, max_size)) == expected


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = random_lines()
    whole = found(frequent_itemsets(baskets(lines, 10), 2, 4))
    monkeypatch.setattr(itemsets, "BLOCK", 3)
    assert (
        found(frequent_itemsets(baskets(lines, 10), 2, 4))
        == whole
        == {some: figures for some, figures in by_hand(lines, 4).items() if figures[0] >= 2}
    )


@pytest.mark.parametrize("method", [apriori, fpgrowth])
@pytest.mark.parametrize("share", [0.02, 0.1])
def test_apriori_and_fp_growth_of_mlxtend_find_the_same(method, share: float) -> None:
    of = baskets(random_lines(1), 10)
    theirs = method(as_table(of), min_support=share)
    expected = {tuple(sorted(row.itemsets)): round(row.support * len(of)) for row in theirs.itertuples()}
    ours = found(frequent_itemsets(of, min_count_of(share, len(of)), 10))
    assert {some: figures[0] for some, figures in ours.items()} == expected
    assert max(map(len, expected)) > 3


def test_fp_growth_of_spark_finds_the_same(spark) -> None:
    from pyspark.ml.fpm import FPGrowth

    of = baskets(random_lines(2), 10)
    rows = [(of.item[of.basket == basket].tolist(),) for basket in range(len(of))]
    model = FPGrowth(minSupport=0.03, minConfidence=0.0).fit(spark.createDataFrame(rows, "items array<int>"))
    theirs = {tuple(sorted(row["items"])): row["freq"] for row in model.freqItemsets.collect()}
    ours = found(frequent_itemsets(of, min_count_of(0.03, len(of)), 10))
    assert {some: figures[0] for some, figures in ours.items()} == theirs
    assert max(map(len, theirs)) > 3


def in_rows(mined: Mined, rules: list[Rules]) -> dict[tuple[tuple[int, ...], int], dict[str, float]]:
    return {
        (tuple(r.antecedent[i].tolist()), int(r.consequent[i])): {name: float(v[i]) for name, v in r.measures.items()}
        for r in rules
        for i in range(len(r))
    }


def test_measures_are_those_of_mlxtend_and_of_fishers_test() -> None:
    together = [(customer, 0, item) for customer in range(100, 140) for item in (0, 1, 2)]
    of = baskets([*random_lines(3), *together, *((customer, 0, 9) for customer in range(200, 300))], 10)
    mined = frequent_itemsets(of, 4, 4)
    ours = in_rows(mined, list(rules_of(mined)))
    theirs = association_rules(
        apriori(as_table(of), min_support=4 / len(of), max_len=4), metric="confidence", min_threshold=0
    )
    theirs = theirs[theirs.consequents.map(len) == 1]
    assert len(ours) == len(theirs) > 200
    assert sum(row["p_value"] < 0.01 for row in ours.values()) > 10
    for row in theirs.itertuples():
        mine = ours[tuple(sorted(row.antecedents)), *row.consequents]
        for name in ("support", "confidence", "lift", "leverage"):
            assert mine[name] == pytest.approx(getattr(row, name), abs=1e-12)
        assert (mine["conviction"] == pytest.approx(row.conviction)) or (
            np.isinf(row.conviction) and np.isnan(mine["conviction"])
        )
        both, left, right = (round(s * len(of)) for s in (row.support, row[3], row[4]))
        table = [[both, left - both], [right - both, len(of) - left - right + both]]
        size = len(row.antecedents) + 1
        tests = comb(10, size) * (size if size > 2 else 1)
        assert mine["p_value"] == pytest.approx(min(fisher_exact(table, "greater").pvalue * tests, 1), rel=1e-6)
        assert mine["score"] == pytest.approx(row.confidence * (1 - 1 / row.lift), abs=1e-12)


def test_a_pair_by_hand() -> None:
    """Four baskets: both articles in two of them, bought by one customer, article 1 in one more."""
    lines = [(0, 0, 0), (0, 0, 1), (0, 0, 0), (0, 3, 1), (0, 3, 0), (1, 2, 1), (1, 4, 2)]
    mined = frequent_itemsets(baskets(lines, 3), 2, 2)
    assert found(mined)[0, 1] == (2, 1, 18_500, 18_503)
    rules = in_rows(mined, list(rules_of(mined)))
    assert rules[(0,), 1] == pytest.approx(
        {
            "support": 0.5,
            "confidence": 1.0,
            "lift": 4 / 3,
            "leverage": 0.5 - 0.5 * 0.75,
            "conviction": np.nan,
            "p_value": 1.0,  # 3 of 6 ways, times 3 pairs that could be formed
            "score": 0.25,
        },
        nan_ok=True,
    )
    assert rules[(1,), 0]["conviction"] == pytest.approx(0.5 / (1 / 3))


def test_chance_pairs_are_told_from_true_ones() -> None:
    """Of 1,000 baskets article 0 and 1 go together in 30, 2 and 3 as often as by chance."""
    rng = np.random.default_rng(5)
    lines = [(basket, 0, item) for basket in range(30) for item in (0, 1)]
    lines += [(basket, 0, int(item)) for basket in range(1000) for item in rng.choice(np.arange(2, 12), 3, False)]
    mined = frequent_itemsets(baskets(lines, 12), 5, 2)
    rules = in_rows(mined, list(rules_of(mined)))
    assert rules[(0,), 1]["p_value"] < 1e-40
    assert min(row["p_value"] for (left, right), row in rules.items() if left[0] > 1 and right > 1) > 0.05


@pytest.mark.parametrize("size", [1, 2])
def test_rules_are_counted_as_arules_counts_them(size: int) -> None:
    """One item on the right, itemsets of any size; from one item on (arules' default) {} -> y counts as well."""
    lines = random_lines(6)
    every, n = by_hand(lines), len(baskets(lines))
    expected = {
        (tuple(x for x in some if x != y), y)
        for some, (count, *_) in every.items()
        for y in some
        if len(some) >= size
        and count >= 3
        and count / (every[tuple(x for x in some if x != y)][0] if len(some) > 1 else n) >= 0.3
    }
    mined = frequent_itemsets(baskets(lines, 10), 3, 10)
    rules = in_rows(mined, list(rules_of(mined, min_confidence=0.3, min_items=size)))
    assert rules.keys() == expected
    assert any(not left for left, _ in expected) == (size == 1)


def groceries(path: Path) -> tuple[Baskets, int]:
    """A basket per line, items with commas between, as arules' read.transactions(format = "basket") takes it."""
    with open(path, encoding="utf-8") as file:
        rows = [[item.strip() for item in row if item.strip()] for row in csv.reader(file)]
    code = {name: i for i, name in enumerate(sorted({item for row in rows for item in row}))}
    return baskets([(i, 0, code[item]) for i, row in enumerate(rows) for item in row], len(code)), len(rows)


def rules_in(of: Baskets, support: float, confidence: float) -> int:
    """As many as arules finds with these thresholds."""
    mined = frequent_itemsets(of, min_count_of(support, len(of)), 10)
    return sum(map(len, rules_of(mined, min_confidence=confidence, min_items=1)))


@pytest.mark.skipif(not Path(GROCERIES).is_file(), reason="ATELIER_GROCERIES names no file of the Groceries baskets")
@pytest.mark.parametrize(("support", "confidence", "count"), [(0.001, 0.8, 410), (0.001, 0.5, 5668), (0.01, 0.3, 125)])
def test_the_published_figures_of_groceries(support: float, confidence: float, count: int) -> None:
    of, lines = groceries(Path(GROCERIES))
    assert (lines, len(of), of.items) == (9835, 9835, 169)
    assert rules_in(of, support, confidence) == count


@pytest.mark.parametrize(("support", "confidence"), [(0.01, 0.8), (0.01, 0.5), (0.05, 0.3)])
def test_a_file_like_groceries_by_hand(tmp_path: Path, support: float, confidence: float) -> None:
    """The same way from file to number of rules, on lines that can be counted here."""
    rng = np.random.default_rng(8)
    names = np.array(["whole milk", "rolls/buns", "frozen vegetables", "soda", "yogurt", "citrus fruit"])
    often = np.array([0.3, 0.25, 0.2, 0.15, 0.07, 0.03])
    rows = [rng.choice(names, rng.integers(1, 6), replace=False, p=often).tolist() for _ in range(300)]
    rows[0] += [" ", "soda "] if "soda" not in rows[0] else [" "]  # blanks, and an empty item
    (tmp_path / "baskets.csv").write_text("".join(",".join(row) + "\n" for row in rows))
    held = [{item.strip() for item in row if item.strip()} for row in rows]
    counted = Counter(some for row in held for size in range(1, 7) for some in combinations(sorted(row), size))
    least = support * len(rows)
    expected = sum(
        count >= least and count / (counted[tuple(x for x in some if x != y)] if len(some) > 1 else 300) >= confidence
        for some, count in counted.items()
        for y in some
    )
    of, lines = groceries(tmp_path / "baskets.csv")
    assert (lines, of.items) == (300, 6) and expected > 10
    assert rules_in(of, support, confidence) == expected


@pytest.mark.parametrize(
    ("support", "baskets", "count"),
    [
        *[(5, 100, 5), (1, 100, 1), (2.5, 100, 3), (0.001, 9835, 10), (0.01, 9835, 99), (0.07, 100, 7), (0.3, 10, 3)],
        *[(1e-9, 100, 1), (0.5, 0, 1), (0.1, 3, 1)],
    ],
)
def test_the_least_support_is_a_number_or_a_share(support: float, baskets: int, count: int) -> None:
    assert min_count_of(support, baskets) == count


def test_large_baskets_are_set_aside_and_counted() -> None:
    lines = [(0, 0, item) for item in range(4)] + [(1, 0, item) for item in range(3)] + [(1, 0, 0)]
    of = baskets(lines, max_size=3)
    assert (len(of), of.set_aside, of.customer.tolist(), of.sizes.tolist()) == (1, 1, [1], [3])
    assert baskets(lines, max_size=4).set_aside == 0


def test_visits_where_the_retailer_numbers_them() -> None:
    """Customer 0 goes twice on day 5, the second time over midnight; what has no number is a basket of its day."""
    lines = [(0, 5, 0, 7), (0, 5, 1, 7), (0, 5, 2, 3), (0, 6, 3, 3), (0, 5, 4, -1), (0, 6, 4, -1), (1, 6, 0, 7)]
    customer, day, item, visit = np.array(lines, dtype=np.int32).T
    of = baskets_of(customer, day, item, 5, 100, visit)
    held = {(int(of.customer[b]), int(of.day[b]), tuple(of.item[of.basket == b].tolist())) for b in range(len(of))}
    assert held == {(0, 5, (0, 1)), (0, 5, (2, 3)), (0, 5, (4,)), (0, 6, (4,)), (1, 5, (0,))}


def test_products_of_a_basket_count_once() -> None:
    of = baskets([(0, 0, 0), (0, 0, 1), (0, 0, 2), (1, 0, 3), (1, 1, 1)]).of(
        np.array([0, 0, 1, NO_ITEM, 0, 0, 0, 0]), 2
    )
    assert (of.basket.tolist(), of.item.tolist(), len(of), of.items) == ([0, 0, 2], [0, 1, 0], 3, 2)


def test_thirty_baskets_of_fifty_articles_are_counted_at_once() -> None:
    mined = frequent_itemsets(baskets([(c, 0, item) for c in range(30) for item in range(50)], 50), 5, 2)
    assert len(mined.by_size[1]) == comb(50, 2) and set(mined.by_size[1].basket_count) == {30}


def test_itemsets_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(itemsets, "MAX_OCCURRENCES", 100_000)
    of = baskets([(c, 0, item) for c in range(30) for item in range(50)], 50)
    with pytest.raises(JobError, match=r"itemsets of 3 items occur 588,000 times, .* --min-support"):
        frequent_itemsets(of, 5, 10)


@pytest.mark.parametrize("lines", [[], [(c, 0, c) for c in range(5)]], ids=["nothing", "one article each"])
def test_no_pairs_no_rules(lines: list[Line]) -> None:
    mined = frequent_itemsets(baskets(lines), 1, 3)
    assert [len(of) for of in mined.by_size[1:]] == [0] and sum(map(len, rules_of(mined))) == 0


def test_an_article_bought_by_everybody_says_nothing() -> None:
    lines = [(c, 0, 7) for c in range(20)] + [(c, 0, 0) for c in range(10)]
    mined = frequent_itemsets(baskets(lines), 1, 2)
    rules = in_rows(mined, list(rules_of(mined)))
    assert rules[(0,), 7] == pytest.approx(
        {"support": 0.5, "confidence": 1, "lift": 1, "leverage": 0, "conviction": np.nan, "p_value": 1, "score": 0},
        nan_ok=True,
    )
