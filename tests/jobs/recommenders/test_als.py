"""Alternating least squares, against the equations of the paper in plain numpy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from jobs.recommenders import als, als_spark
from jobs.recommenders.als import ALPHA, FoldedIn
from jobs.recommenders.recommender import TrainingContext
from jobs.recommenders.weights import weights
from jobs.retrieval.purchases import Purchases
from tests.jobs.recommenders.shops import AS_OF_DAY, known
from tests.jobs.retrieval.small import codes, everyone, on, purchases


def shop(customers: int = 20, articles: int = 15) -> Purchases:
    rng = np.random.default_rng(1)
    lines = np.stack([rng.integers(0, AS_OF_DAY, 120), *(rng.integers(0, n, 120) for n in (customers, articles))], 1)
    return purchases(list(map(tuple, lines.tolist())), customers, articles)


def solved(others: np.ndarray, weight: np.ndarray, penalty: np.ndarray) -> np.ndarray:
    """One half step: equation 4 of Hu, Koren and Volinsky for each row of weights, with its penalty."""
    rows = []
    for row, by in zip(weight, penalty, strict=True):
        confidence = 1 + ALPHA * row
        left = others.T @ (confidence[:, None] * others) + by * np.eye(others.shape[1])
        rows.append(np.linalg.solve(left, others.T @ (confidence * (row > 0))))
    return np.array(rows)


def loss(x: np.ndarray, y: np.ndarray, weight: np.ndarray, penalty: float) -> float:
    """The objective of the paper (equation 3)."""
    error = (1 + ALPHA * weight) * ((weight > 0) - x @ y.T) ** 2
    return float(error.sum() + penalty * ((x**2).sum() + (y**2).sum()))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(als, "FACTORS", 4)
    monkeypatch.setattr(als_spark, "FACTORS", 4)


@pytest.mark.parametrize("fit", [als.fit, als_spark.fit])
def test_customers_solve_the_normal_equations_and_articles_nearly_do(
    fit: Callable[[TrainingContext], FoldedIn], request: pytest.FixtureRequest
) -> None:
    """Customers exactly; after enough steps a further one leaves the articles where they are."""
    if fit is als_spark.fit:
        request.getfixturevalue("spark")
    history = shop()
    model = fit(known(history))
    weight = weights(history, on(AS_OF_DAY)).toarray().astype(float)
    assert model.articles == history.article_ids.slice(0, 15) and model.vectors.shape == (15, 4)
    sizes = [(weight > 0).sum(axis=axis) if model.per_article else np.ones(weight.shape[1 - axis]) for axis in (1, 0)]
    is_known, vectors = model.at(history, on(AS_OF_DAY), 3).vectors(everyone(history))
    assert is_known.all()
    np.testing.assert_allclose(
        vectors, solved(model.vectors, weight, model.regularisation * sizes[0]), rtol=2e-3, atol=1e-4
    )
    articles = solved(vectors, weight.T, model.regularisation * sizes[1])
    np.testing.assert_allclose(model.vectors, articles, rtol=0.1, atol=0.02)


def test_the_loss_falls_with_every_iteration(monkeypatch: pytest.MonkeyPatch) -> None:
    history = shop()
    weight = weights(history, on(AS_OF_DAY)).toarray().astype(float)
    losses = []
    for iterations in (1, 2, 4, 15):
        monkeypatch.setattr(als, "ITERATIONS", iterations)
        model = als.fit(known(history))
        _, vectors = model.at(history, on(AS_OF_DAY), 3).vectors(everyone(history))
        losses.append(loss(vectors, model.vectors, weight, model.regularisation))
    assert losses == sorted(losses, reverse=True) and losses[-1] < 0.9 * losses[0]


def test_scores_are_inner_products() -> None:
    history = shop()
    source = als.fit(known(history)).at(history, on(AS_OF_DAY), 15)
    found = source.of(codes(3, 7))
    _, vectors = source.vectors(codes(3, 7))
    scores = vectors @ als.fit(known(history)).vectors.T
    np.testing.assert_allclose(found.scores, -np.sort(-scores, axis=1), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(found.articles, np.argsort(-scores, axis=1))
