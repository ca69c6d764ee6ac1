"""No input of the model moves when what is dated on or after the as-of date is forged, deleted or shuffled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest

from expectations.events import EVENTS
from jobs.platform.job import Job
from jobs.ranking.candidate_retrieval import Retrieval
from jobs.ranking.fit import fit_entities
from jobs.ranking.fitted_inputs import Inputs
from jobs.ranking.preprocessing import Preprocessing
from jobs.ranking.snapshot import Columns, Snapshot, SnapshotLoader, _codes
from jobs.ranking.training_set import candidate_pairs, purchase_pairs
from jobs.retrieval.purchases import NEVER, Purchases, day_number
from tests.jobs.ranking.conftest import (
    ARTICLES,
    CUSTOMERS,
    ENCODER,
    EVERYONE,
    Shop,
    made_up_towers,
    make_purchases,
    make_snapshot,
    moved_inputs,
    scoring_inputs,
)

START, WEEK = date(2020, 9, 9), timedelta(days=7)  # a snapshot whose shop knows two weeks more


def forged(purchases: Purchases, future: np.ndarray) -> Purchases:
    rng = np.random.default_rng(1)
    customer = np.where(future, rng.integers(0, CUSTOMERS, len(purchases)), purchases.customer)
    article = np.where(future, rng.integers(0, ARTICLES, len(purchases)), purchases.article)
    return replace(purchases, customer=customer.astype(np.int32), article=article.astype(np.int32))


def deleted(purchases: Purchases, future: np.ndarray) -> Purchases:
    kept = ~future
    return replace(
        purchases, day=purchases.day[kept], customer=purchases.customer[kept], article=purchases.article[kept]
    )


def shuffled(purchases: Purchases, future: np.ndarray) -> Purchases:
    article = purchases.article.copy()
    article[future] = np.random.default_rng(2).permutation(article[future])
    return replace(purchases, article=article)


def fitted(purchases: Purchases, start: date = START - WEEK) -> Inputs:
    """Inputs fitted on the week from `start`."""
    labels = purchases.between(start, start + WEEK)
    inputs = fit_entities([purchase_pairs(make_snapshot(purchases, start), labels, np.random.default_rng(0))], ENCODER)
    retrieval = Retrieval(inputs, made_up_towers(inputs), {}, make_snapshot(purchases, start))
    pairs = candidate_pairs(retrieval, labels, np.random.default_rng(0))
    return replace(inputs, pairs=Preprocessing.fit([(Columns(pairs.features, {}), np.arange(len(pairs.row)))]))


def moved(change: Callable[[Purchases, np.ndarray], Purchases]) -> set[str]:
    """The inputs as of START that the change of everything from START on moves."""
    shop = make_purchases()
    other = change(shop, shop.day >= day_number(START))
    with np.errstate(all="ignore"):  # purchases of the future have a negative age
        first, second = (scoring_inputs(fitted(p), make_snapshot(p, START)) for p in (shop, other))
    assert first.keys() == second.keys()
    return moved_inputs(first, second)


CHANGES = pytest.mark.parametrize("change", [forged, deleted, shuffled])


def delisted(purchases: Purchases, _: np.ndarray) -> Purchases:
    """Every second article from the day after the as-of date on."""
    is_gone = np.arange(len(purchases.article_ids)) % 2 == 0
    return replace(purchases, delisted_date=np.where(is_gone, day_number(START) + 1, NEVER).astype(np.int32))


@pytest.mark.parametrize("change", [forged, deleted, shuffled, delisted])
def test_nothing_from_the_as_of_date_on_moves_an_input(change: Callable[..., Purchases]) -> None:
    assert moved(change) == set()


@CHANGES
def test_a_history_that_reaches_too_far_would_be_seen(
    change: Callable[..., Purchases], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Purchases, "before", lambda self, as_of_date: self)
    assert {"pair bought_visits", "pair newness_difference", "customer repeat_share", "article numeric"} <= moved(
        change
    )


@pytest.mark.parametrize("table", ["customer_features", "article_features", "interactions"])
def test_a_table_read_a_week_too_far_would_be_seen(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read = getattr(Shop, table)
    monkeypatch.setattr(
        Shop, table, lambda self, **where: read(self, **{k: [d + WEEK for d in v] for k, v in where.items()})
    )
    assert moved(forged)


def test_preprocessing_learns_nothing_from_the_weeks_it_is_not_fitted_on() -> None:
    """Forge the label week and later; the fit on the weeks before stays, and one that includes it would not."""
    shop = make_purchases()
    other = forged(shop, shop.day >= day_number(START))
    assert fitted(shop) == fitted(other)

    for part in ("customers", "pairs"):
        assert getattr(fitted(shop, START), part) != getattr(fitted(other, START), part), part


def test_preprocessing_learns_nothing_from_images_of_articles_that_were_never_sold() -> None:
    """An article delivered with its picture before its first sale is not yet known."""
    shop, start = make_purchases(), START - WEEK
    unsold = 1
    shop = deleted(shop, (shop.article == unsold) & (shop.day < day_number(START)))
    snapshot = make_snapshot(shop, start)
    assert snapshot.images[unsold].any() and not snapshot.on_sale[unsold]
    larger = snapshot.images.copy()
    larger[unsold] *= 5
    labels = shop.between(start, START)
    first, second = (
        fit_entities([purchase_pairs(replace(snapshot, images=images), labels, np.random.default_rng(0))], ENCODER)
        for images in (snapshot.images, larger)
    )
    assert first == second


def test_codes_of_a_category_keep_their_order_whatever_else_is_listed() -> None:
    """Ties between departments, say, are broken by them."""
    few, more = (pa.array(texts) for texts in (["b", "c", None, "b"], ["d", "a", "b", "c", None, "b"]))
    assert _codes(few).tolist() == [0, 1, 2, 0]
    assert _codes(more).tolist() == [3, 0, 1, 2, 4, 1]


@dataclass
class LoggedShop(Shop):
    """With a log of views: (days before START, customer, article)."""

    views: tuple[tuple[int, int, int], ...]

    def exists(self, _: Any) -> bool:
        return True

    def read_arrow(self, contract: Any, columns: Any = None, where: Any = None) -> pa.Table:
        if contract is not EVENTS:
            return super().read_arrow(contract, columns, where)
        schema = [("event_date", pa.date32()), ("event_type", pa.string()), ("weight", pa.float64())]
        schema += [(name, pa.string()) for name in ("customer_id", "visitor_id", "article_id")]
        rows = [
            (START - timedelta(days=ago), "view", 1.0, f"c{customer:03}", None, f"{article:010}")
            for ago, customer, article in self.views
        ]  # of all days: a reader that leaves it to the table's partitions alone would see the future
        names = [name for name, _ in schema]
        return pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows], pa.schema(schema))


def test_products_in_another_order_are_the_same_products() -> None:
    """As they come to be when an article is listed that sells later."""
    snapshot = make_snapshot(make_purchases(), START)
    other = replace(snapshot, product=snapshot.product.max() - snapshot.product)
    apart = replace(snapshot, product=np.arange(ARTICLES, dtype=np.int32))

    def known(of: Snapshot) -> list[bytes]:
        return [array.tobytes() for array in of.known()]

    assert known(other) == known(snapshot) != known(apart)


def test_what_is_looked_at_before_the_date_is_history_and_what_comes_later_is_not() -> None:
    shop, never_bought = make_purchases(), CUSTOMERS - 1

    def known(*views: tuple[int, int, int], with_events: bool = True) -> Snapshot:
        job = cast(Job, LoggedShop(shop, views))
        return SnapshotLoader(job, shop, ENCODER, with_events=with_events).at(START)

    before, later = ((1, never_bought, 3), (2, 0, 5)), ((0, never_bought, 7), (-1, 1, 8), (-1, never_bought - 1, 3))
    found, forged_later, alone = known(*before), known(*before, *later), known(*before, with_events=False)
    assert all(
        np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
        for a, b in zip(found.known(), forged_later.known(), strict=True)
    )
    assert (found.weights != forged_later.weights).nnz == 0
    assert found.weights[never_bought].toarray().nonzero()[1].tolist() == [3]
    changed = np.flatnonzero((found.weights != alone.weights).sum(axis=1))
    assert changed.tolist() == [0, never_bought]
    inputs = fitted(shop)
    picks = [Retrieval(inputs, made_up_towers(inputs), {}, of).nearest(EVERYONE, 5).scores for of in (found, alone)]
    assert np.flatnonzero((picks[0] != picks[1]).any(axis=1)).tolist() == [0, never_bought]
