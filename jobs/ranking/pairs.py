"""Pair features: how a customer and an article relate, as counted, before imputation and scaling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jobs.platform.codes import Ints
from jobs.ranking.behaviour import Floats
from jobs.ranking.histories import Bought
from jobs.ranking.inputs import AFFINITIES, AFFINITY_NUMERIC, BOUGHT, PAIR_NUMERIC
from jobs.ranking.snapshot import Snapshot
from jobs.retrieval.purchases import day_number

#: The attribute within which a customer's price level is taken.
PRICE_GROUP = "product_group_name"
#: Days after which the recency of a purchase has fallen to a half.
RECENCY_DAYS = 14


@dataclass(frozen=True)
class Tastes:
    """Profiles of some customers from their histories, to be compared with any article.

    Attributes:
        customers: their codes, (n,).
        shares: per affinity attribute, the share of each value in the history, (n, values).
        price: mean price of the articles in the history by value of PRICE_GROUP, (n, values); NaN without any.
        image: unit mean image of the history, (n, d); zero without one.
    """

    customers: Ints
    shares: dict[str, Floats]
    price: Floats
    image: Floats

    @classmethod
    def of(cls, snapshot: Snapshot, customers: Ints) -> Tastes:
        """Tastes of these customers; empty without history."""
        weights = snapshot.weights[customers]
        shares = {name: (weights @ snapshot.one_hot(name)).toarray() for name in AFFINITIES}
        price = np.nan_to_num(snapshot.articles.numeric["price_mean"])
        spent = (weights.multiply(price[None, :]).tocsr() @ snapshot.one_hot(PRICE_GROUP)).toarray()
        with np.errstate(invalid="ignore", divide="ignore"):
            group_price = spent / np.where(shares[PRICE_GROUP] > 0, shares[PRICE_GROUP], np.nan)
        image = weights @ snapshot.unit_images
        image = image / np.maximum(np.linalg.norm(image, axis=1, keepdims=True), 1e-12)
        return cls(customers, shares, group_price.astype(np.float32), image.astype(np.float32))


def pair_columns(snapshot: Snapshot, tastes: Tastes, row: np.ndarray, article: Ints) -> dict[str, Floats]:
    """The features PAIR_NUMERIC of pairs; NaN where unknown.

    Args:
        row: positions in the customers of `tastes`, any shape.
        article: article codes, same shape.
    """
    customer = tastes.customers[row]
    customers, articles = snapshot.customers.numeric, snapshot.articles.numeric
    things = (article, snapshot.product[article], snapshot.codes("product_type_name")[article])
    columns: dict[str, np.ndarray] = {}
    for name, bought, thing in zip(BOUGHT, snapshot.bought_things, things, strict=True):
        columns |= {f"{name}_{what}": v for what, v in bought_columns(bought, customer, thing, snapshot).items()}
    price = articles["price_mean"][article]
    group = snapshot.codes(PRICE_GROUP)[article]
    with np.errstate(divide="ignore", invalid="ignore"):
        columns["price_difference"] = finite(np.log(price / customers["price_mean"][customer]))
        columns["group_price_difference"] = finite(np.log(price / tastes.price[row, group]))
    columns["image_similarity"] = np.einsum("...d,...d->...", tastes.image[row], snapshot.unit_images[article])
    columns["newness_difference"] = articles["days_on_sale"][article] - customers["newness"][customer]
    columns["age_band_lift"] = snapshot.age_band_lift[article, snapshot.age_band[customer]]
    columns |= affinity_columns(snapshot, tastes, row, article)
    return {name: columns[name].astype(np.float32, copy=False) for name in PAIR_NUMERIC}


def affinity_columns(snapshot: Snapshot, tastes: Tastes, row: np.ndarray, article: Ints) -> dict[str, Floats]:
    """The features AFFINITY_NUMERIC of pairs, arguments as above: how much of the history has the article's value."""
    values = (tastes.shares[name][row, snapshot.codes(name)[article]] for name in AFFINITIES)
    return dict(zip(AFFINITY_NUMERIC, values, strict=True))


def bought_columns(bought: Bought, customer: Ints, thing: Ints, snapshot: Snapshot) -> dict[str, np.ndarray]:
    """Log counts of units and visits, recency (1 today, 0 never), and days since relative to the pair's mean gap."""
    position = bought.position(customer, thing)
    found = position >= 0
    if not len(bought.keys):
        position = np.zeros_like(position)
        return {name: np.zeros(position.shape) for name in ("units", "visits", "recency", "overdue")}
    visits = np.where(found, bought.visits[position], 0)
    waited = day_number(snapshot.as_of_date) - bought.last_day[position]
    gap = (bought.last_day[position] - bought.first_day[position]) / np.maximum(visits - 1, 1)
    return {
        "units": np.log1p(np.where(found, bought.units[position], 0)),
        "visits": np.log1p(visits),
        "recency": np.where(found, np.exp2(-waited / RECENCY_DAYS), 0),
        "overdue": np.where(visits > 1, np.log1p(waited) - np.log1p(gap), np.nan),
    }


def finite(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), values, np.nan)
