"""Garment and colour in one vector: what the fit learns, chooses, and does without labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from jobs.embeddings import joining, reduction

PRODUCTS, TYPES, COLOURS, FIRST = 150, 5, 6, 24


def shop(seed: int, products: int = PRODUCTS) -> tuple[np.ndarray, pa.Table]:
    """Three articles of each product. What is strongest in a garment's features is the colour, as on photographs."""
    rng = np.random.default_rng(seed)
    product = np.repeat(np.arange(products), 3)
    colour = rng.integers(0, COLOURS, len(product))
    looks = np.random.default_rng(1)
    of_type, of_colour = looks.normal(size=(TYPES, FIRST)), looks.normal(size=(COLOURS, FIRST))
    garment = of_type[product % TYPES] + rng.normal(size=(products, FIRST))[product] * 0.7
    garment += 2.5 * of_colour[colour] + rng.normal(size=(len(product), FIRST)) * 0.2
    shades = np.eye(COLOURS)[colour] + rng.normal(size=(len(product), COLOURS)) * 0.2
    labels = {
        "product_code": [f"p{i}" for i in product],
        "product_type_name": [f"t{i % TYPES}" for i in product],
        "colour_group_name": [f"c{i}" for i in colour],
    }
    return np.hstack([garment, shades]).astype(np.float32), pa.table(labels)


def shares(vectors: np.ndarray, articles: pa.Table) -> dict[str, float]:
    labels = {name: joining.codes(articles, name) for name in joining.GROUPS}
    return joining._shares(joining._products(vectors), labels, np.arange(len(vectors)))


def test_on_products_it_has_not_seen_it_finds_product_and_colour() -> None:
    features, articles = shop(2)
    fitted, chosen = joining.fit(features, FIRST, articles, seed=0)
    unseen, their = shop(3)
    joined = shares(fitted.apply(unseen, 256), their)
    centred = unseen - features.mean(axis=0)
    garment, colour = shares(centred[:, :FIRST], their), shares(centred[:, FIRST:], their)
    assert joined["product_code"] > garment["product_code"] + 0.1  # garment's features alone see the colour first
    assert joined["product_type_name"] > 0.9 and joined["product_code"] > colour["product_code"] + 0.1
    assert joined["colour_group_name"] > 1.5 / COLOURS
    assert (chosen.pop("type_weight"), chosen.pop("colour_weight")) in joining.WEIGHTS
    assert set(chosen) == {"val/same_product_type", "val/same_colour_group", "val/same_product"}


def test_the_weights_are_chosen_on_what_was_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The garment's features alone always find the colour here, so that no weights find it more often."""
    features, articles = shop(2)
    found = {}
    for weights in joining.WEIGHTS:
        with monkeypatch.context() as patch:
            patch.setattr(joining, "WEIGHTS", (weights,))
            shown = joining.fit(features, FIRST, articles, seed=0)[1]
        found[weights] = np.prod([share for name, share in shown.items() if name.startswith("val/")])
    chosen = joining.fit(features, FIRST, articles, seed=0)[1]
    assert (chosen["type_weight"], chosen["colour_weight"]) == max(found, key=lambda weights: found[weights])
    assert chosen["type_weight"] > 0  # which the block of the type is there for


def test_enough_colour_then_the_best_type_and_product() -> None:
    type_, colour, product = joining.TYPE, joining.COLOUR, joining.PRODUCT
    found = {
        (0.0, 0.4): {type_: 0.9, colour: 0.3, product: 0.5},
        (1.0, 0.5): {type_: 0.8, colour: 0.6, product: 0.2},
        (0.0, 1.0): {type_: 0.7, colour: 0.9, product: 0.1},
    }
    assert joining._chosen(found, {type_: 0.9, colour: 0.39, product: 0.2}) == (1.0, 0.5)
    assert joining._chosen(found, {type_: 0.9, colour: 0.5, product: 0.2}) == (0.0, 1.0)
    assert joining._chosen(found, {type_: 0.9, colour: 0.1, product: 0.2}) == (0.0, 0.4)
    # Where no weights find so much of it, or no label says what it is.
    assert joining._chosen(found, {type_: 0.9, colour: 0.7, product: 0.2}) == (0.0, 0.4)
    assert joining._chosen(found, {type_: 0.9, product: 0.2}) == (0.0, 0.4)


def test_shorter_vectors_are_the_first_of_the_longer() -> None:
    features, articles = shop(2)
    fitted, _ = joining.fit(features, FIRST, articles, seed=0)
    assert fitted.apply(features, 8) == pytest.approx(fitted.apply(features, 256)[:, :8], abs=1e-5)
    assert (np.diff(fitted.variance_ratio) <= 1e-6).all() and fitted.variance_kept(256) == pytest.approx(1)


def test_it_comes_back_from_a_file_and_is_compared_as_it_is(tmp_path: Path) -> None:
    features, articles = shop(2)
    fitted, _ = joining.fit(features, FIRST, articles, seed=0)
    fitted.save(tmp_path / "pca.npz")
    loaded = reduction.load(tmp_path / "pca.npz")
    vectors = loaded.apply(features, 16)
    assert (vectors == fitted.apply(features, 16)).all() and loaded.uncentred(vectors) is vectors


@pytest.mark.parametrize("n", [2, 3, 30])
def test_without_labels_it_is_whitening(n: int) -> None:
    features, articles = shop(2, 10)
    nothing = pa.table({name: pa.nulls(n, pa.string()) for name in articles.column_names})
    fitted, chosen = joining.fit(features[:n], FIRST, nothing, seed=0)
    vectors = fitted.apply(features[:n], 256)
    assert (chosen["type_weight"], chosen["colour_weight"]) == joining.USUAL and len(chosen) == 2
    assert np.isfinite(vectors).all() and vectors.any()
    if n == 30:  # garment and colour have the mean square length that the weight says
        assert (vectors**2).sum(axis=1).mean() == pytest.approx(1 + sum(w**2 for w in joining.USUAL), rel=1e-3)


def test_pictures_that_are_all_one_have_vectors_of_zeros() -> None:
    features, articles = shop(2, 4)
    fitted, _ = joining.fit(np.repeat(features[:1], 12, axis=0), FIRST, articles, seed=0)
    assert not fitted.apply(features[:1], 256).any()
