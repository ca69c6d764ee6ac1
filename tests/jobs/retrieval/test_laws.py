"""Laws that every candidate source keeps, whatever was bought."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.platform.codes import NO_ARTICLE, Ints
from jobs.retrieval import two_tower, windows
from jobs.retrieval.candidates import MODULES, SOURCES, SYSTEMS, HeuristicSources, merge
from jobs.retrieval.context import SourceContext
from jobs.retrieval.source import TopK
from tests.jobs.retrieval.small import codes, everyone, on, purchases

COUNTS = {module.SOURCE: module.COUNT for module in MODULES}
PERSONAL = (
    "repurchase",
    "same_product",
    "co_occurrence",
    "product_factors",
    "similar_images",
    "popularity_department",
    "popularity_section",
)
#: They have no place in a sparse shop, as the small ones here are.
OF_LARGE_SHOPS = ("co_occurrence", "popularity_age_band")
AS_OF_DAY = 60
LINES = st.lists(st.tuples(st.integers(0, AS_OF_DAY + 9), st.integers(0, 5), st.integers(0, 7)), max_size=40)
each_source = pytest.mark.parametrize("name", COUNTS)
some = settings(max_examples=12, deadline=None)


def facts(lines: list[tuple[int, int, int]], customers: int = 7, articles: int = 8) -> SourceContext:
    """A shop whose last customer never bought, if lines name the first six."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(articles, 3)).astype(np.float32)
    images[articles // 2] = 0
    return SourceContext(
        history=purchases(lines, customers, articles),
        as_of_date=on(AS_OF_DAY),
        product=rng.integers(0, max(articles // 2, 1), articles).astype(np.int32),
        department=rng.integers(0, 3, articles).astype(np.int32),
        section=rng.integers(0, 2, articles).astype(np.int32),
        age_band=rng.integers(0, 3, customers).astype(np.int32),
        images=images,
    )


def source(name: str, of: SourceContext) -> Callable[[Ints], TopK]:
    """The source of that name: customers -> what it finds."""
    if name in OF_LARGE_SHOPS:
        vars(of)["windows"] = windows.Windows(7, 28, 56, 14, 9.0)
    if name == "product_factors":  # which has none elsewhere
        vars(of)["windows"] = windows.Windows(14, 56, 112, 28, 1.0)
    if name != two_tower.SOURCE:
        known = HeuristicSources(of)
        return lambda customers: known.of(customers)[name]
    rng = np.random.default_rng(1)
    items = rng.normal(size=(len(of.product), 3)).astype(np.float32)
    queries = rng.normal(size=(len(of.age_band), 3)).astype(np.float32)
    nearest = two_tower.NearestArticles(items, of.history.before(of.as_of_date).articles_on_sale())
    return lambda customers: nearest.of(queries[customers])


def assert_same(found: TopK, other: TopK) -> None:
    assert found.articles.tolist() == other.articles.tolist()
    np.testing.assert_array_equal(found.scores, other.scores)


def test_a_sparse_shop_has_factors_in_place_of_neighbours_and_age_bands() -> None:
    shop = facts([(AS_OF_DAY - 1, customer, article) for customer in range(2) for article in range(3)])
    sparse = HeuristicSources(shop).of(codes(0))
    vars(shop)["windows"] = windows.Windows(7, 28, 56, 14, 9.0)
    dense = HeuristicSources(shop).of(codes(0))
    for name in (*OF_LARGE_SHOPS, "product_factors"):
        found = [(of[name].articles != NO_ARTICLE).any() for of in (sparse, dense)]
        assert found == [name not in OF_LARGE_SHOPS, name in OF_LARGE_SHOPS], name
    merged = merge(dense)
    assert np.isnan(merged.ranks["product_factors"]).all() and merged.articles.shape == merged.ranks["repurchase"].shape


def test_every_source_is_known_or_the_two_towers_or_a_system() -> None:
    assert set(COUNTS) == set(SOURCES) - set(SYSTEMS) == {*HeuristicSources(facts([])).of(codes(0)), two_tower.SOURCE}


@each_source
@some
@given(LINES)
def test_rows_are_distinct_articles_on_sale_in_falling_order(name: str, lines: list[tuple[int, int, int]]) -> None:
    shop = facts(lines)
    articles, scores = source(name, shop)(everyone(shop.history))
    assert articles.shape == scores.shape == (7, COUNTS[name])
    assert articles.dtype == np.int32 and scores.dtype == np.float32
    assert ((articles == NO_ARTICLE) == np.isnan(scores)).all()
    on_sale = shop.history.before(shop.as_of_date).articles_on_sale()
    for row, score in zip(articles, scores, strict=True):
        found = row[row != NO_ARTICLE]
        assert (row[: len(found)] == found).all(), "gaps are at the right"
        assert len(set(found.tolist())) == len(found)
        assert on_sale[found].all()
        assert (np.diff(score[: len(found)]) <= 0).all()


@each_source
@some
@given(LINES, LINES)
def test_nothing_dated_on_or_after_the_as_of_date_matters(
    name: str, lines: list[tuple[int, int, int]], forged: list[tuple[int, int, int]]
) -> None:
    past = [line for line in lines if line[0] < AS_OF_DAY]
    future = [(day + AS_OF_DAY, *who) for day, *who in forged]
    shops = [facts(past), facts(lines), facts([*past, *future])]
    first, *others = (source(name, shop)(everyone(shop.history)) for shop in shops)
    for other in others:
        assert_same(other, first)


@each_source
@some
@given(LINES, st.lists(st.integers(0, 6), max_size=9))
def test_a_customers_row_depends_on_nobody_else_asked(
    name: str, lines: list[tuple[int, int, int]], asked: list[int]
) -> None:
    shop = facts(lines)
    of = source(name, shop)
    all_of_them = of(everyone(shop.history))
    rows = codes(*asked)
    assert_same(of(rows), TopK(all_of_them.articles[rows], all_of_them.scores[rows]))
    assert_same(source(name, replace(shop))(everyone(shop.history)), all_of_them)  # built again: the same


@pytest.mark.parametrize("name", PERSONAL)
@some
@given(LINES)
def test_a_personal_source_finds_nothing_for_who_never_bought(name: str, lines: list[tuple[int, int, int]]) -> None:
    assert (source(name, facts(lines))(codes(6)).articles == NO_ARTICLE).all()


@each_source
def test_a_catalogue_of_one_article(name: str) -> None:
    of = source(name, facts([(AS_OF_DAY - 1, 0, 0), (AS_OF_DAY, 1, 0)], customers=2, articles=1))
    found = [[article for article in row if article != NO_ARTICLE] for row in of(codes(0, 1)).articles.tolist()]
    alone: dict[str, list[list[int]]] = {
        own: [[0], []] for own in ("repurchase", "product_factors", "popularity_department", "popularity_section")
    }
    alone |= {other: [[], []] for other in ("same_product", "co_occurrence", "similar_images")}
    assert found == alone.get(name, [[0], [0]])


@each_source
@pytest.mark.parametrize("lines", [[], [(AS_OF_DAY, 0, 0)], [(0, 0, 0), (0, 1, 0), (0, 1, 1)]])
def test_a_week_or_a_whole_history_without_purchases(
    name: str, lines: list[tuple[int, int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "CHOICES", (7,))  # so little is sold here that all would look far back
    found = source(name, facts(lines))(codes(0, 1, 6)).articles
    past = [line for line in lines if line[0] < AS_OF_DAY]
    # What they find need not have sold lately.
    everlasting = name in ("repurchase", "product_factors", "popularity", "popularity_section", "two_tower")
    assert (found != NO_ARTICLE).any() == bool(past and everlasting)
